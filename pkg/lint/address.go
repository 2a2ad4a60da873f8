package lint

import (
	"fmt"
	"net/netip"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// checkPlan has the planner judge the Cluster as if it had just been created, and
// reports what the planner would report.
func (l *linter) checkPlan(c *cluster, of *class) {
	s := &vip.Snapshot{Cluster: c.view, Class: assumed(), Holders: l.holders(c), Claims: map[vip.Role]*vip.Claim{}}
	if of != nil {
		s.Class = of.view
		s.Class.Ready = true
	}
	// Whether the Cluster is handled now does not matter here.
	s.Cluster.Paused, s.Cluster.Deleting = nil, false
	s.Cluster.Annotations = without(c.view.Annotations, vip.PausedAnnotation)
	for _, role := range vip.Roles() {
		outcome := vip.PlanRoles(s, role).Roles[role]
		if outcome == nil {
			continue
		}
		line := c.placeOf(role, s.Class)
		for _, note := range outcome.Notes {
			switch note.Reason {
			case vip.InvalidAnnotation:
				l.add(c.object, c.annotationLine(role.EnabledAnnotation()), Warning, AnnotationValue, "%s; only \"false\" switches the role off", note.Message)
			case vip.AddressInvalid:
				l.add(c.object, line, Error, ManualAddress, "%s; state one IP address, or a host name", note.Message)
			case vip.DuplicateAddress:
				l.add(c.object, line, Error, AddressTwice, "%s; choose another address for one of them", note.Message)
			}
		}
		if outcome.Reason == vip.Manual {
			l.checkManual(c, outcome.Address, line)
		}
	}
}

// assumed is a class that is not in the input: it declares the usual variables.
func assumed() vip.Class {
	class := vip.Class{Exists: true, Ready: true, Declares: map[string]bool{}, Roles: map[vip.Role]vip.ClassVariable{}}
	for _, role := range vip.Roles() {
		class.Declares[role.DefaultVariable()] = true
		class.Roles[role] = vip.ClassVariable{Path: role.DefaultVariable(), Declared: true}
	}
	return class
}

func without(annotations map[string]string, key string) map[string]string {
	rest := map[string]string{}
	for name, value := range annotations {
		if name != key {
			rest[name] = value
		}
	}
	return rest
}

// placeOf is the line of the role's VIP that a user chose.
func (c *cluster) placeOf(role vip.Role, class vip.Class) int {
	if role == vip.ControlPlane && c.view.Endpoint.Host != "" {
		return c.line("spec", "controlPlaneEndpoint", "host")
	}
	path := class.Roles[role].Path
	if _, value, exists := c.variable(path); role == vip.ControlPlane || exists && value != "" {
		return c.variableLine(path)
	}
	return c.annotationLine(role.Stamp())
}

// checkManual looks for pools that could hand out an address that was chosen by hand.
func (l *linter) checkManual(c *cluster, text string, line int) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return
	}
	for _, p := range l.pools {
		if p.Ranges == nil || !p.Contains(addr) || p.nodes {
			continue
		}
		whom := "another Cluster"
		if !p.Ours {
			whom = "a machine"
		}
		l.add(c.object, line, Warning, ManualInRange, "%s was chosen by hand, and %s (%s:%d) could hand it to %s; add it to excludedAddresses there", text, p.Ref, p.file, p.line("spec", "addresses"), whom)
	}
}

// user is a Cluster whose VIP is an address, and where it says so.
type user struct {
	*cluster
	where string
}

// indexUsers notes which Clusters use an address as VIP.
func (l *linter) indexUsers() {
	l.users = map[netip.Addr][]user{}
	for _, c := range l.clusters {
		class := vip.Class{}
		if of := l.classOf(c); of != nil {
			class = of.view
		}
		for key := range vip.Addresses(&c.view) {
			if where := vip.Where(&c.view, class, key); where != "" {
				l.users[key] = append(l.users[key], user{cluster: c, where: where})
			}
		}
	}
}

// holders lists who else in the input uses an address of the Cluster.
func (l *linter) holders(c *cluster) map[netip.Addr][]vip.Holder {
	holders := map[netip.Addr][]vip.Holder{}
	for key := range vip.Addresses(&c.view) {
		for _, other := range l.users[key] {
			// The same Cluster may be given twice, as base and overlay say.
			if other.name == c.name && sameNamespace(other.namespace, c.namespace) {
				continue
			}
			where := fmt.Sprintf("%s, %s:%d", other.where, other.file, other.line("metadata", "name"))
			holders[key] = append(holders[key], vip.Holder{Kind: "Cluster", Namespace: other.namespace, Name: other.name, Where: where})
		}
	}
	return holders
}
