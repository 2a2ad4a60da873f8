package suite

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/chart"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// noteFace is a reason beside that of the role. It is told by an event and a line of the
// log of its own, and in the message of the condition and of explain. It has no metric:
// the reason that it stands beside has.
type noteFace struct {
	note, reason string
	role         role
	provoke      func(s *stage) (c *cluster, cure func())
}

func (n *noteFace) shownOn(s *stage, c *cluster) {
	s.t.Helper()
	s.eventually("condition, event, line of the log and explain tell of "+n.note, func() error {
		beside := n.besides(c)
		if beside == "" {
			return errors.New("explain does not")
		}
		told := face{reason: n.note, role: n.role}
		base := face{reason: n.reason, role: n.role}
		return errors.Join(
			check(c.now(), []expectation{reason(n.role, n.reason, beside)}),
			told.toldBy(c.events()), told.logged(s, c),
			base.explained(s, c, conditionOf(c.now(), n.role)),
		)
	})
}

// besides is what explain says of the note.
func (n *noteFace) besides(c *cluster) string {
	c.w.t.Helper()
	for _, note := range c.explain("--watch-filter=" + c.w.filter).role(n.role).Notes {
		if note.Reason == n.note {
			return note.Message
		}
	}
	return ""
}

// vanished waits until the condition and explain have dropped the note.
func (n *noteFace) vanished(s *stage, c *cluster, words string) {
	s.t.Helper()
	s.eventually("condition and explain drop "+n.note, func() error {
		if still := n.besides(c); still != "" {
			return fmt.Errorf("explain says %q", still)
		}
		return absent(conditionOf(c.now(), n.role), words)
	})
}

// play shows the note, cures its cause and sees it go.
func (n *noteFace) play(s *stage) {
	c, cure := n.provoke(s)
	c.becomes(reason(n.role, n.reason))
	n.shownOn(s, c)
	words := n.besides(c)
	cure()
	n.vanished(s, c, words)
	c.is(reason(n.role, n.reason))
}

// noteFaces are the notes that are told on the Cluster alone.
func noteFaces() []noteFace {
	return []noteFace{
		{note: "InvalidAnnotation", reason: "Allocated", role: ingress, provoke: func(s *stage) (*cluster, func()) {
			k := s.class(declares("ingressVip", text))
			s.pool(serving(ingress, k))
			c := s.cluster(k, annotated(ingress.enabled(), "no"))
			return c, func() { c.change(without(ingress.enabled())) }
		}},
		{note: "ValuesDiffer", reason: "Manual", role: controlPlane, provoke: func(s *stage) (*cluster, func()) {
			k, ip := s.class(declares("clusterVip", text)), newIP()
			c := s.cluster(k, at(ip, 6443), set("clusterVip", newIP()))
			return c, func() { c.change(set("clusterVip", ip)) }
		}},
		// Of what a user chose, these are notes: it stays the VIP.
		{note: "AddressInvalid", reason: "Manual", role: controlPlane, provoke: func(s *stage) (*cluster, func()) {
			k := s.class(declares("clusterVip", text))
			c := s.cluster(k, at("169.254.78.1", 6443))
			ip := newIP()
			return c, func() { c.change(at(ip, 6443), set("clusterVip", ip), annotated(controlPlane.stamp(), ip)) }
		}},
		{note: "DuplicateAddress", reason: "Manual", role: controlPlane, provoke: func(s *stage) (*cluster, func()) {
			k, ip := s.class(declares("clusterVip", text)), newIP()
			other := s.cluster(k, labelled(watchFilterLabel, "nobody"), at(ip, 6443))
			return s.cluster(k, at(ip, 6443)), other.remove
		}},
	}
}

// An ungated class is told of by an event on the class, and beside the reason of each
// Cluster that lacks its VIP.
func playUngatedClass(s *stage) {
	n := noteFace{note: "ClassUngated", reason: "NoPool", role: ingress}
	k := s.class(open(), declares("ingressVip", text))
	c := s.cluster(k)
	gate := func(state string) string {
		return fmt.Sprintf("class_gate{cluster_class=%q,role=%q,state=%q}", k.name, ingress, state)
	}
	c.becomes(reason(ingress, "NoPool"))
	words := ""
	s.eventually("all five tell of it", func() error {
		if words = n.besides(c); words == "" {
			return errors.New("explain does not")
		}
		_, why, _ := strings.Cut(words, ": ")
		base := face{reason: n.reason, role: n.role}
		return errors.Join(
			check(c.now(), []expectation{reason(ingress, "NoPool", words)}),
			s.hasEvent("ClusterClass", k.name, "Warning ClassUngated: ingress: "+why),
			s.hasLine(func(l logLine) bool {
				return l.Class == k.namespace+"/"+k.name && l.Reason == n.note && l.Role == string(ingress) && l.Msg == why
			}),
			counts(s.series(s.allocator), map[string]float64{gate("ungated"): 1, gate("gated"): 0}),
			base.explained(s, c, conditionOf(c.now(), ingress)),
		)
	})
	k.change(toInfrastructure("ingressVip", "/spec/template/spec/ingressVIP"))
	n.vanished(s, c, words)
	s.eventually("the metric turns", func() error {
		return counts(s.series(s.allocator), map[string]float64{gate("ungated"): 0, gate("gated"): 1})
	})
	c.becomes(reason(ingress, "NoPool"))
}

// hasEvent expects one event of an allocator on an object, as "Type Reason: message".
func (s *stage) hasEvent(kind, name, want string) error {
	var found []string
	for _, event := range s.eventsOn(kind, name) {
		if event == want {
			return nil
		}
		found = append(found, event)
	}
	return fmt.Errorf("%s %s has no event %q but %q", kind, name, want, found)
}

// eventsOn returns the allocators' events on an object of any namespace.
func (w *world) eventsOn(kind, name string) []string {
	w.t.Helper()
	var lines []string
	for _, event := range list[unstructured.Unstructured](w, coreEvents, metav1.NamespaceAll, "") {
		about, _, _ := unstructured.NestedStringMap(event.Object, "involvedObject")
		source, _, _ := unstructured.NestedString(event.Object, "source", "component")
		if about["kind"] == kind && about["name"] == name && strings.HasPrefix(source, observe.UserAgent) {
			lines = append(lines, fmt.Sprintf("%v %v: %v", event.Object["type"], event.Object["reason"], event.Object["message"]))
		}
	}
	return lines
}

func (s *stage) hasLine(want func(logLine) bool) error {
	if lines := s.log(); !slices.ContainsFunc(lines, want) {
		return fmt.Errorf("the log has no such line in %+v", lines)
	}
	return nil
}

// A Cluster that the hold gate keeps paused says so beside what it waits for.
func TestFacesOfAHeldCluster(t *testing.T) {
	w := newWorld(t)
	w.holdGate()
	p := w.startAllocator("--log-level=info", "--log-format=json", "--hold-gate="+w.namespace)
	s := &stage{world: w, allocator: p}
	n := noteFace{note: "ClusterHeld", reason: "NoPool", role: controlPlane}
	k := w.gatedClass(controlPlane)
	c := w.cluster(k, paused(true), annotated(prefix+"held", "true"))
	c.becomes(reason(controlPlane, "NoPool"))
	words := ""
	told := face{reason: n.note, role: n.role}
	held := map[string]float64{"held_clusters": 1, "oldest_held_seconds": above}
	w.eventually("all five tell of it", func() error {
		e := c.explain("--watch-filter="+w.filter, "--hold-gate="+w.namespace)
		r := e.role(controlPlane)
		i := slices.IndexFunc(r.Notes, func(note struct{ Reason, Message string }) bool { return note.Reason == n.note })
		if !e.Gates.Held || i < 0 || !r.agrees(conditionOf(c.now(), controlPlane)) {
			return fmt.Errorf("explain says %+v", e)
		}
		words = r.Notes[i].Message
		return errors.Join(
			check(c.now(), []expectation{reason(controlPlane, "NoPool", words)}),
			told.toldBy(c.events()), told.logged(s, c), counts(w.series(p), held),
		)
	})
	pool := w.pool(serving(controlPlane, k))
	c.becomes(has(controlPlane, pool.address(0)), func(o *clusterv1.Cluster) error {
		if o.Spec.Paused != nil {
			return errors.New("it is paused")
		}
		return errors.Join(same("annotation", prefix+"held", o.Annotations, ""), absent(conditionOf(o, controlPlane), words))
	})
	w.shows(p, map[string]float64{"held_clusters": 0})
	if e := c.explain("--watch-filter="+w.filter, "--hold-gate="+w.namespace); e.Gates.Held || len(e.role(controlPlane).Notes) > 0 {
		t.Errorf("explain says %+v", e)
	}
}

// holdGate switches a hold gate of the world's own on, but for its admission policy:
// the ConfigMap, and the right to read it.
func (w *world) holdGate() {
	w.t.Helper()
	w.apply(fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata: {name: %[1]s, namespace: %[2]s}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: %[1]s, namespace: %[2]s}
rules: [{apiGroups: [""], resources: [configmaps], resourceNames: [%[1]s], verbs: [list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[1]s, namespace: %[2]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}
subjects: [{kind: ServiceAccount, name: %[3]s, namespace: %[2]s}]
`, w.namespace, allocator.Namespace, chart.ManagerName))
}

// Pools that overlap are told of on both pools, in the log, and by the command pools.
func playPoolsThatOverlap(s *stage) {
	k := s.class(declares("clusterVip", text))
	first := s.pool(serving(controlPlane, k))
	second := s.pool(serving(ingress, k), ranges(first.address(3)+"-"+first.address(9)))
	pair := map[*pool]*pool{first: second, second: first}
	s.eventually("events, log and pools tell of it", func() error {
		var errs []error
		list := s.listPools()
		for p, other := range pair {
			shown := list[p.name]
			words := "its addresses overlap with those of GlobalInClusterIPPool " + other.name
			errs = append(errs,
				s.hasEvent("GlobalInClusterIPPool", p.name, "Warning PoolsOverlap: "+words+"; each provider knows only its own pool"),
				s.hasLine(func(l logLine) bool {
					return l.Pool == "GlobalInClusterIPPool "+p.name && l.Reason == "PoolsOverlap" && strings.HasPrefix(l.Msg, words)
				}),
				shown.warned(words))
		}
		return errors.Join(errs...)
	})
	second.change(ranges("SUBNET.3-SUBNET.9"))
	s.eventually("pools does not tell of it any more", func() error {
		for _, p := range s.listPools() {
			for _, warning := range p.Warnings {
				if err := absent(warning, "addresses overlap"); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
