package rancher

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Options are what Plan depends on beside the Cluster and its targets.
type Options struct {
	// Workspaces are the namespaces in which Fleet Clusters may name a Cluster by label.
	Workspaces []string
	// RancherUnknown says that there are Rancher Clusters and we do not see them.
	// Then no Fleet Cluster is touched: a Rancher Cluster might be the target.
	RancherUnknown bool
}

// Decision is what is to be done for a Cluster, and why not more.
type Decision struct {
	Patches []Patch
	// Reason is PropagationBlocked, NoTarget, or empty if all is as it should be.
	Reason vip.Reason
	// Blocks say what is blocked, one sentence each.
	Blocks []string
}

// Plan decides what the targets of one Cluster get. It is a pure function.
func Plan(s Source, targets []Target, o Options) Decision {
	if s.State == Resting {
		return Decision{}
	}
	p := &planner{source: s, options: o, carried: map[vip.Role]string{}}
	var rancher, fleet []*Target
	for i := range targets {
		t := &targets[i]
		switch {
		case t.Deleting || t.Cluster != s.Key:
		case t.Kind == RancherCluster:
			rancher = append(rancher, t)
		default:
			fleet = append(fleet, t)
		}
	}
	if s.State == Served {
		p.choose(len(rancher)+len(fleet) > 0)
	}
	p.planRancher(sorted(rancher))
	p.planFleet(sorted(fleet))
	return p.decision()
}

// named is how many targets a block names at most.
const named = 3

type planner struct {
	source  Source
	options Options
	// carried are the VIPs that are fit to be carried.
	carried map[vip.Role]string
	// rancher is the Rancher Cluster that brings the stamps to Fleet by itself.
	rancher *Target
	served  bool
	patches []Patch
	blocks  []string
}

func (p *planner) block(format string, args ...any) {
	p.blocks = append(p.blocks, fmt.Sprintf(format, args...))
}

// choose leaves out what is no address: the annotation may be a user's, and whoever
// edits a Cluster must not be able to write anything at all into the templates of
// those who deploy to it. It says so where somebody waits for the VIP.
func (p *planner) choose(awaited bool) {
	for _, role := range vip.Roles() {
		address := p.source.VIPs[role]
		if address == "" || vip.PlausibleHost(address) {
			p.carried[role] = address
			continue
		}
		if !awaited {
			continue
		}
		p.block("annotation %s holds %.80q, which is neither an IP address nor a host name, and is not carried to Rancher and Fleet", role.Stamp(), address)
	}
}

// nothing tells whether there is no VIP to carry, so that nobody misses one.
func (p *planner) nothing() bool {
	return p.source.State != Served || (p.carried[vip.ControlPlane] == "" && p.carried[vip.Ingress] == "")
}

func (p *planner) planRancher(targets []*Target) {
	var candidates []*Target
	for _, t := range targets {
		if !t.Named || p.source.State != Served {
			p.take(t)
			continue
		}
		candidates = append(candidates, t)
		if !t.External && p.rancher == nil {
			p.rancher = t
		}
	}
	p.give(candidates)
}

func (p *planner) planFleet(targets []*Target) {
	var candidates []*Target
	passed := p.passedOn(targets)
	for _, t := range targets {
		listed := slices.Contains(p.options.Workspaces, t.Namespace)
		switch {
		case p.source.State == Served && t.OwnerUID != "":
			p.addon(t)
		case t.Derived:
			if t.Named && listed {
				p.refuse(t, "Rancher makes it from Rancher Cluster %s and would drop the stamps", t.Labels[derivedLabel])
			}
		case !t.Named || p.source.State != Served:
			p.take(t)
		case !listed:
			p.refuse(t, "--fleet-workspaces does not list namespace %s", t.Namespace)
			p.take(t)
		case t.ByAddon:
			p.addon(t)
		case p.options.RancherUnknown:
		case p.rancher != nil && (passed || !p.stamped(t)):
			p.refuse(t, "%s brings them to Fleet", p.rancher)
			p.take(t)
		default:
			candidates = append(candidates, t)
		}
	}
	p.give(candidates)
}

// passedOn tells whether Rancher's own Fleet Cluster has the stamps. It is made long after
// the Rancher Cluster, if at all; until then a Fleet Cluster that has them keeps them, or
// Fleet would uninstall what it deployed by them.
func (p *planner) passedOn(fleet []*Target) bool {
	return p.rancher != nil && slices.ContainsFunc(fleet, func(t *Target) bool {
		return t.Labels[derivedLabel] == p.rancher.Name && p.carriesAll(t)
	})
}

func (p *planner) carriesAll(t *Target) bool {
	for _, role := range vip.Roles() {
		if !p.source.Unsettled[role] && !t.carries(role, p.carried[role]) {
			return false
		}
	}
	return true
}

// stamped tells whether we have stamped the target for this Cluster.
func (p *planner) stamped(t *Target) bool {
	return t.Record.Cluster == p.source.Key && len(t.Record.VIPs) > 0
}

// refuse says why a target that asks for the stamps does not get them.
func (p *planner) refuse(t *Target, format string, args ...any) {
	if !p.nothing() {
		p.block("%s names this Cluster and does not get its stamps: %s", t, fmt.Sprintf(format, args...))
	}
}

// give stamps the one target of its kind. Where several say that they are, the one that
// has had the stamps so far keeps them: a newcomer may have chosen its labels itself. If
// none or several had, nobody can tell which is right: none gets anything, and what is
// outdated is withdrawn.
func (p *planner) give(targets []*Target) {
	chosen := p.first(targets)
	if chosen != nil {
		p.stamp(chosen)
	}
	for _, t := range targets {
		if t == chosen {
			continue
		}
		c := newChange(t)
		for role, recorded := range t.Record.VIPs {
			if recorded != p.carried[role] && !p.source.Unsettled[role] {
				c.withdraw(role)
			}
		}
		p.add(c)
	}
	if len(targets) > 1 && !p.nothing() {
		var names []string
		for _, t := range targets {
			names = append(names, t.String())
		}
		if len(names) > named {
			names = append(names[:named:named], "and more")
		}
		who := "none gets its stamps until one is left"
		if chosen != nil {
			who = fmt.Sprintf("%s, which had its stamps first, keeps them, and no other one gets any", chosen)
		}
		p.block("several name this Cluster (%s): %s", strings.Join(names, ", "), who)
	}
}

// first is the only target, or else the only one that we have stamped for this Cluster.
func (p *planner) first(targets []*Target) *Target {
	if len(targets) == 1 {
		return targets[0]
	}
	var first *Target
	for _, t := range targets {
		if !p.stamped(t) {
			continue
		}
		if first != nil {
			return nil
		}
		first = t
	}
	return first
}

func (p *planner) stamp(t *Target) {
	c := newChange(t)
	for _, role := range vip.Roles() {
		switch address := p.carried[role]; {
		case p.source.Unsettled[role]:
		case address != "" && t.Settling[role]:
			p.served = true
		case address != "":
			c.stamp(role, address)
			p.served = true
		default:
			c.withdraw(role)
		}
	}
	p.add(c)
	for _, foreign := range c.foreign {
		p.block("%s on %s: this controller did not write it and leaves it alone; remove it to have the VIP there", foreign, t)
	}
}

// take withdraws whatever we wrote on the target.
func (p *planner) take(t *Target) {
	c := newChange(t)
	for _, role := range vip.Roles() {
		c.withdraw(role)
	}
	p.add(c)
}

func (p *planner) add(c *change) {
	if patch := c.done(); !patch.Empty() {
		p.patches = append(p.patches, patch)
	}
}

// addon leaves the target to CAAPF, which copies the stamps itself. What we wrote
// before it came must go once it is outdated: CAAPF's own apply would be refused as
// long as a value of ours contradicts it.
func (p *planner) addon(t *Target) {
	if t.OwnerUID != "" && t.OwnerUID != p.source.UID {
		return // it belongs to an earlier Cluster of that name
	}
	outdated, missing := false, false
	for _, role := range vip.Roles() {
		if p.source.Unsettled[role] {
			continue
		}
		address, recorded := p.carried[role], t.Record.VIPs[role]
		outdated = outdated || (recorded != "" && recorded != address)
		missing = missing || !shows(t, role, address)
	}
	p.served = true
	if outdated {
		p.take(t)
	}
	if missing {
		p.block("%s belongs to the Cluster API Addon Provider Fleet, which does not bring it up to date: set spec.cluster.patchResource in its FleetAddonConfig", t)
	}
}

// shows tells whether templates can read the address on the target, by label or by
// annotation, and nothing else.
func shows(t *Target, role vip.Role, address string) bool {
	label, annotation := t.Labels[role.Stamp()], t.Annotations[role.Stamp()]
	if (label != "" && label != address) || (annotation != "" && annotation != address) {
		return false
	}
	return address == "" || label+annotation != ""
}

func (p *planner) decision() Decision {
	d := Decision{Patches: p.patches, Blocks: p.blocks}
	switch {
	case len(p.blocks) > 0:
		d.Reason = vip.PropagationBlocked
	case !p.served && !p.nothing():
		d.Reason = vip.NoTarget
	}
	return d
}

// sorted brings the targets into an order that does not depend on the caches.
func sorted(targets []*Target) []*Target {
	slices.SortFunc(targets, func(a, b *Target) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return targets
}
