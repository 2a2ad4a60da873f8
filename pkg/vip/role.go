package vip

// Role says what a virtual IP is for.
type Role string

// The roles. Their values are public: they stand in the role label of pools and claims.
const (
	ControlPlane Role = "control-plane"
	Ingress      Role = "ingress"
)

// Roles lists every role in the order in which they are planned. The control
// plane comes first because only its patch can be the one that first writes the
// endpoint.
func Roles() [2]Role { return [2]Role{ControlPlane, Ingress} }

// ParseRole returns the role of that name; ok is false for any other text.
func ParseRole(text string) (role Role, ok bool) {
	switch role := Role(text); role {
	case ControlPlane, Ingress:
		return role, true
	}
	return "", false
}
