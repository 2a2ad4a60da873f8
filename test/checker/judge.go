package checker

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Violation is a promise that was broken.
type Violation struct {
	Rule string
	Text string
	// Namespaces are those of the objects concerned.
	Namespaces []string
	histories  []*history
}

// judgeCluster judges the last version of a Cluster.
func (c *Checker) judgeCluster(h *history) {
	last := h.last()
	for address, users := range c.vips {
		if delete(users, h.uid); len(users) == 0 {
			delete(c.vips, address)
		}
	}
	if last.deleted {
		return
	}
	for address, role := range vips(last.object) {
		users := c.vips[address]
		if users == nil {
			users = map[types.UID]string{}
			c.vips[address] = users
		}
		for other := range users {
			c.violate("one VIP, one Cluster", address+" is the VIP of two Clusters", h, c.histories[other])
		}
		users[h.uid] = role
	}
	c.judgeRoles(h)
	if len(h.versions) < 2 {
		return
	}
	c.judgeRest(h)
	before := endpointBefore(h)
	now := textAt(last.object, "spec", "controlPlaneEndpoint", "host")
	if before != "" && now != "" && before != now {
		c.violate("an endpoint stays", fmt.Sprintf("the endpoint was %s and becomes %s", before, now), h)
	}
}

// judgeRest compares what only the allocator writes in the last two versions of a
// Cluster that rests in both.
func (c *Checker) judgeRest(h *history) {
	before, now := h.versions[len(h.versions)-2].object, h.last().object
	if !rests(before) || !rests(now) {
		return
	}
	for _, r := range roles {
		if value := now.GetAnnotations()[r.written()]; value != "" && value != before.GetAnnotations()[r.written()] {
			c.violate("who rests is left alone", fmt.Sprintf("a VIP was published for role %s of a Cluster that is paused or being deleted", r.name), h)
		}
	}
}

// rests tells whether a Cluster is paused, by a user, or being deleted.
func rests(o *unstructured.Unstructured) bool {
	if _, held := o.GetAnnotations()[prefix+"held"]; held {
		return false
	}
	_, annotated := o.GetAnnotations()["cluster.x-k8s.io/paused"]
	paused, _, _ := unstructured.NestedBool(o.Object, "spec", "paused")
	return annotated || paused || o.GetDeletionTimestamp() != nil
}

// judgeRoles compares the two roles of one Cluster.
func (c *Checker) judgeRoles(h *history) {
	o := h.last().object
	cp, ingress := o.GetAnnotations()[roles[0].stamp()], o.GetAnnotations()[roles[1].stamp()]
	if cp != "" && cp == ingress {
		c.violate("one VIP, one role", cp+" is the VIP of both roles", h)
	}
}

// endpointBefore is the last host that was set before the last version: an endpoint
// that somebody emptied must come back as it was.
func endpointBefore(h *history) string {
	for _, v := range slices.Backward(h.versions[:len(h.versions)-1]) {
		if host := textAt(v.object, "spec", "controlPlaneEndpoint", "host"); host != "" {
			return host
		}
	}
	return ""
}

// judgeClaim judges the last version of a claim.
func (c *Checker) judgeClaim(h *history) {
	last := h.last()
	first := h.versions[0].object.Object["spec"]
	if !reflect.DeepEqual(first, last.object.Object["spec"]) {
		c.violate("a claim's spec stays", "it changed", h)
	}
	if last.deleted || last.object.GetDeletionTimestamp() != nil {
		return
	}
	for _, other := range c.histories {
		if other == h || other.kind != h.kind || !other.live() || other.last().object.GetDeletionTimestamp() != nil || other.namespace != h.namespace {
			continue
		}
		mine, theirs := last.object, other.last().object
		if owners(mine) != "" && owners(mine) == owners(theirs) && roleOf(mine) != "" && roleOf(mine) == roleOf(theirs) {
			c.violate("one claim per role", "a Cluster has two live claims for role "+roleOf(mine), h, other)
		}
	}
}

func roleOf(claim *unstructured.Unstructured) string { return claim.GetLabels()[prefix+"role"] }

// judgePublished finds, for each VIP that was published from a claim, the binding
// that was in force then. It looks back, since the kinds arrive on different watches.
func (c *Checker) judgePublished() []Violation {
	bindings := map[string][]*history{} // namespace/claim -> IPAddresses
	for _, h := range c.sorted("IPAddress") {
		key := h.namespace + "/" + textAt(h.versions[0].object, "spec", "claimRef", "name")
		bindings[key] = append(bindings[key], h)
	}
	var found []Violation
	for _, h := range c.sorted("Cluster") {
		// What the first version says is the user's word: a restored backup, say.
		for i := 1; i < len(h.versions); i++ {
			before, now := h.versions[i-1].object, h.versions[i].object
			for _, r := range roles {
				value := now.GetAnnotations()[r.stamp()]
				published := now.GetAnnotations()[r.written()] != "" && value != "" &&
					value != before.GetAnnotations()[r.stamp()]
				if !published || bound(bindings[h.namespace+"/"+r.claimPrefix+h.name], value, h.versions[i].revision) {
					continue
				}
				found = append(found, violation("published is bound",
					fmt.Sprintf("%s was published for role %s, but no claim was bound to it", value, r.name),
					append([]*history{h}, bindings[h.namespace+"/"+r.claimPrefix+h.name]...)))
			}
		}
	}
	return found
}

func bound(candidates []*history, address string, revision uint64) bool {
	want, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	for _, h := range candidates {
		got, err := netip.ParseAddr(textAt(h.versions[0].object, "spec", "address"))
		alive := h.versions[0].revision < revision && (h.live() || h.last().revision > revision)
		if err == nil && got.Unmap() == want.Unmap() && alive {
			return true
		}
	}
	return false
}

func (c *Checker) violate(rule, text string, histories ...*history) {
	c.violations = append(c.violations, violation(rule, text, histories))
}

func violation(rule, text string, histories []*history) Violation {
	v := Violation{Rule: rule, Text: text, histories: histories}
	for _, h := range histories {
		v.Namespaces = append(v.Namespaces, h.namespace)
	}
	return v
}

// Violations waits until everything that happened before is seen and returns what
// was broken in one of the namespaces; without namespaces, in any.
func (c *Checker) Violations(ctx context.Context, namespaces ...string) ([]Violation, error) {
	if err := c.catchUp(ctx); err != nil {
		return nil, err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var found []Violation
	for _, v := range append(slices.Clone(c.violations), c.judgePublished()...) {
		concerns := func(namespace string) bool { return slices.Contains(v.Namespaces, namespace) }
		if len(namespaces) == 0 || len(v.Namespaces) == 0 || slices.ContainsFunc(namespaces, concerns) {
			v.Text = v.describe()
			found = append(found, v)
		}
	}
	return found, nil
}

// describe adds the history of the objects concerned.
func (v *Violation) describe() string {
	lines := []string{v.Text}
	for _, h := range v.histories {
		lines = append(lines, h.String())
		for i := range h.versions {
			lines = append(lines, "  "+h.versions[i].String())
		}
	}
	return strings.Join(lines, "\n")
}

// Versions counts the versions of Clusters, claims and addresses seen so far: a
// checker that saw none has proved nothing.
func (c *Checker) Versions() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	total := 0
	for _, h := range c.histories {
		total += len(h.versions)
	}
	return total
}
