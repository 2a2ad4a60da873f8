package rancher

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Patch is a change of labels and annotations of a target; a nil value removes the key.
type Patch struct {
	Target              *Target
	Labels, Annotations map[string]*string
}

// Empty tells whether the patch changes nothing.
func (p *Patch) Empty() bool { return len(p.Labels)+len(p.Annotations) == 0 }

// Body is the JSON merge patch. Its uid refuses an object that was made anew under
// the same name. There is no resourceVersion: the keys are ours, and a lock would
// lose to the heartbeats of Rancher and Fleet.
func (p *Patch) Body() ([]byte, error) {
	metadata := map[string]any{"uid": p.Target.UID}
	if len(p.Labels) > 0 {
		metadata["labels"] = p.Labels
	}
	if len(p.Annotations) > 0 {
		metadata["annotations"] = p.Annotations
	}
	data, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return nil, fmt.Errorf("patch of %s: %w", p.Target, err)
	}
	return data, nil
}

// entry is one label or annotation of a stamp; an empty value means that it is absent.
type entry struct {
	key, value string
	label      bool
}

// entries are what publishes the VIP of a role; all absent for an empty one. The
// label is left out where the VIP is no legal one, as any IPv6 address.
func entries(role vip.Role, address string) []entry {
	label, has := "", ""
	if address != "" {
		has = "true"
		if vip.LegalLabelValue(address) {
			label = address
		}
	}
	return []entry{{role.Stamp(), address, false}, {role.Stamp(), label, true}, {role.StampedLabel(), has, true}}
}

func (e *entry) on(t *Target) string {
	if e.label {
		return t.Labels[e.key]
	}
	return t.Annotations[e.key]
}

// name is what people call the entry.
func (e *entry) name() string {
	if e.label {
		return "label " + e.key
	}
	return "annotation " + e.key
}

// id tells entries and their values apart.
func (e *entry) id() string { return e.name() + "=" + e.value }

// entries are what the patch sets, and with an empty value what it removes.
func (p *Patch) entries() []entry {
	var all []entry
	for key, value := range p.Labels {
		all = append(all, entry{key: key, value: valueOf(value), label: true})
	}
	for key, value := range p.Annotations {
		all = append(all, entry{key: key, value: valueOf(value)})
	}
	return all
}

func valueOf(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}

// drop takes an entry out of the patch.
func (p *Patch) drop(e entry) {
	if e.label {
		delete(p.Labels, e.key)
	} else {
		delete(p.Annotations, e.key)
	}
}

// change collects what brings one target to its stamps.
type change struct {
	patch Patch
	// record is what the target's record will be.
	record Record
	// foreign names the entries that somebody else set.
	foreign []string
}

func newChange(t *Target) *change {
	return &change{
		patch:  Patch{Target: t, Labels: map[string]*string{}, Annotations: map[string]*string{}},
		record: Record{Cluster: t.Cluster, VIPs: maps.Clone(t.Record.VIPs)},
	}
}

func (c *change) set(e entry) {
	values := c.patch.Annotations
	if e.label {
		values = c.patch.Labels
	}
	if e.value == "" {
		values[e.key] = nil
		return
	}
	values[e.key] = &e.value
}

// stamp brings the role's entries to the address. If others set one of them, and we
// never wrote this role here, nothing of the role is written: half a stamp would
// contradict itself.
func (c *change) stamp(role vip.Role, address string) {
	t := c.patch.Target
	wanted := entries(role, address)
	if c.record.VIPs[role] == "" {
		foreign := false
		for _, e := range wanted {
			if live := e.on(t); live != "" && live != e.value {
				foreign = true
				c.foreign = append(c.foreign, fmt.Sprintf("%s holds %.80q", e.name(), live))
			}
		}
		if foreign {
			return
		}
	}
	for _, e := range wanted {
		if e.on(t) != e.value {
			c.set(e)
		}
	}
	c.record.VIPs[role] = address
}

// withdraw removes what we wrote for the role; what others wrote since stays.
func (c *change) withdraw(role vip.Role) {
	t := c.patch.Target
	for _, e := range entries(role, c.record.VIPs[role]) {
		if e.value != "" && e.on(t) == e.value {
			e.value = ""
			c.set(e)
		}
	}
	delete(c.record.VIPs, role)
}

// done adds the record and returns the patch.
func (c *change) done() Patch {
	text, written := c.record.text(), len(c.patch.Target.Record.VIPs) > 0
	if (text != "" || written) && text != c.patch.Target.Annotations[vip.PropagatedAnnotation] {
		c.set(entry{key: vip.PropagatedAnnotation, value: text})
	}
	return c.patch
}
