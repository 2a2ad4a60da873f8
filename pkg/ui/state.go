package ui

// State is what an address of a pool is used for.
type State string

// States of addresses.
const (
	Free         State = "free"
	ControlPlane State = "control-plane"
	Ingress      State = "ingress"
	// Booked is a VIP that somebody typed, kept in the pool for its Cluster.
	Booked State = "booked"
	// InUse is an address that a Cluster uses and that this pool does not keep for it.
	InUse State = "in-use"
	// Grace is an address that was released and is kept back for a while.
	Grace State = "grace"
	// Refused is bound to a claim of ours, and may not be published.
	Refused State = "refused"
	// Foreign is held by a claim of somebody else.
	Foreign State = "foreign"
	// Excluded is never handed out.
	Excluded State = "excluded"
)

// States lists all of them in the order of the legend.
func States() []State {
	return []State{Free, ControlPlane, Ingress, Booked, InUse, Grace, Refused, Foreign, Excluded}
}

var words = map[State]struct{ letter, short, long string }{
	Free:         {"", "free", "free: the pool may hand it out"},
	ControlPlane: {"C", "control plane", "VIP of a control plane"},
	Ingress:      {"I", "ingress", "VIP of an ingress"},
	Booked:       {"B", "booked", "a VIP that was typed by hand, kept for its Cluster"},
	InUse:        {"!", "used, not kept", "used by a Cluster, but this pool does not keep it for it"},
	Grace:        {"G", "being released", "released, kept back for a while"},
	Refused:      {"R", "refused", "bound to a claim, but it may not be published"},
	Foreign:      {"F", "foreign", "held by somebody else's claim"},
	Excluded:     {"×", "never given", "never handed out: excluded, gateway or reserved"},
}

// Letter tells the states apart without colours.
func (s State) Letter() string { return words[s].letter }

// Words names the state.
func (s State) Words() string { return words[s].short }

// Meaning explains it.
func (s State) Meaning() string { return words[s].long }
