package suite

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/fault"
)

// face is a reason that the allocator tells people in five ways: by an event, a
// condition, a metric, a line of the log, and the command explain.
type face struct {
	reason string
	role   role // the control plane unless told otherwise
	// provoke brings a Cluster to the reason; cure removes the cause.
	provoke func(s *stage) (c *cluster, cure func())
	// after is the reason after the cure, empty where the role does not apply any more.
	after string
	// published is how many VIPs were published for the class by then.
	published float64
	// earlier is how often the Cluster had come to the reason before.
	earlier int
	// failure is what allocation_errors_total counts, if the reason is a failure.
	failure string
}

// stage is what a face is shown on: a world of its own, and an allocator that all
// faces share, behind a proxy.
type stage struct {
	*world
	allocator *allocator.Process
	proxy     *fault.Proxy
}

// faces are all of them: each Reason with its cause and cure on real servers.
func faces() []face {
	return slices.Concat(readyFaces(), poolFaces(), classFaces(), claimFaces())
}

// TestFaces provokes every reason, looks it in its five faces, cures the cause, and
// sees all five turn. One allocator serves all of them, so that its metrics tell of
// these Clusters alone: one for each role and reason.
func TestFaces(t *testing.T) {
	t.Parallel()
	host := newFacesHost(t)
	for _, f := range faces() {
		if f.role == "" {
			f.role = controlPlane
		}
		t.Run(f.reason+" "+string(f.role), func(t *testing.T) {
			s := host.stage(t)
			c, cure := f.provoke(s)
			f.shownOn(s, c)
			cure()
			if f.after != "" {
				f.turned().shownOn(s, c)
			} else {
				f.vanished(s, c)
			}
			f.waitsNoMore(s)
		})
	}
	for _, n := range noteFaces() {
		t.Run("note "+n.note, func(t *testing.T) { n.play(host.stage(t)) })
	}
	t.Run("note ClassUngated", func(t *testing.T) { playUngatedClass(host.stage(t)) })
	t.Run("PoolsOverlap", func(t *testing.T) { playPoolsThatOverlap(host.stage(t)) })
}

// turned is the face after the cure.
func (f *face) turned() *face {
	turned := &face{reason: f.after, role: f.role, published: anyNumber}
	if f.after == "Allocated" {
		turned.earlier = int(f.published)
	}
	return turned
}

// anyNumber stands for a number that does not matter.
const anyNumber = -2

// newFacesHost starts the allocator that the stages share.
func newFacesHost(t *testing.T) *stage {
	t.Helper()
	w := newLonelyWorld(t)
	w.apply(vipPoolKind)
	w.grantPoolKinds()
	proxy, kubeconfig := w.proxy()
	p := w.startAllocatorAt(kubeconfig, "--log-level=info", "--log-format=json", "--pool-kinds="+vipPools.GroupResource().String())
	return &stage{world: w, allocator: p, proxy: proxy}
}

// stage makes a world whose Clusters the host's allocator serves.
func (s *stage) stage(t *testing.T) *stage {
	t.Helper()
	w := newWorld(t)
	w.filter = s.filter
	return &stage{world: w, allocator: s.allocator, proxy: s.proxy}
}

// calm holds the reasons whose event is no warning.
var calm = map[string]bool{
	"Allocated": true, "Manual": true, "Disabled": true, "ClaimMoved": true, "ClassNotReady": true,
}

// kindOf is the type of the event of a reason.
func kindOf(reason string) string {
	if calm[reason] {
		return "Normal"
	}
	return "Warning"
}

// shownOn waits until the Cluster shows the reason in all five faces.
func (f *face) shownOn(s *stage, c *cluster) {
	s.t.Helper()
	c.becomes(reason(f.role, f.reason))
	s.eventually("event, metric and line of the log say "+f.reason, func() error {
		return errors.Join(f.toldBy(c.events()), f.logged(s, c), f.counted(s, c))
	})
	s.eventually("explain says "+f.reason, func() error {
		return f.explained(s, c, conditionOf(c.now(), f.role))
	})
}

// toldBy expects one event of the reason for the role.
func (f *face) toldBy(events []string) error {
	count, kind := 0, kindOf(f.reason)
	for _, event := range events {
		if strings.HasPrefix(event, fmt.Sprintf("%s %s: %s: ", kind, f.reason, f.role)) {
			count++
		}
	}
	if count != 1 {
		return fmt.Errorf("there are %d events %s %s of role %s in %q", count, kind, f.reason, f.role, events)
	}
	return nil
}

// logLine is a line of an allocator's log in JSON.
type logLine struct{ Cluster, Class, Pool, Role, Reason, Level, Msg string }

// log returns the lines of the allocator that have a reason.
func (s *stage) log() []logLine {
	var lines []logLine
	for text := range strings.Lines(s.allocator.Log()) {
		var line logLine
		if json.Unmarshal([]byte(text), &line) == nil && line.Reason != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// deeds are the lines that tell what the allocator did, not how things are.
var deeds = []string{"Published VIP", "Released claim", "Taking back a VIP whose claim was lost", "Applying claim"}

// logged expects one line about the role each time that it came to the reason.
func (f *face) logged(s *stage, c *cluster) error {
	lines := slices.DeleteFunc(s.log(), func(l logLine) bool {
		return l.Cluster != c.namespace+"/"+c.name || l.Role != string(f.role) || l.Reason != f.reason || slices.Contains(deeds, l.Msg)
	})
	if len(lines) != f.earlier+1 || lines[0].Msg == "" {
		return fmt.Errorf("the log has the lines %+v of %s", lines, f.reason)
	}
	return nil
}

// counted expects the metrics to tell of the Cluster, which is the only one with that
// reason and role: as waiting, or as one that needs nothing more.
func (f *face) counted(s *stage, c *cluster) error {
	series := s.series(s.allocator)
	class := c.now().Spec.Topology.ClassRef.Name
	if f.reason == "ClassNotFound" {
		class = "" // what does not exist is no label
	}
	want := map[string]float64{f.waiting("waiting_clusters"): 1, f.waiting("oldest_waiting_seconds"): above}
	result := "requeued"
	if ready[f.reason] {
		want, result = map[string]float64{f.waiting("waiting_clusters"): 0, f.waiting("oldest_waiting_seconds"): 0}, "success"
	}
	if f.failure != "" {
		want[fmt.Sprintf("allocation_errors_total{cluster_class=%q,reason=%q,role=%q}", class, f.failure, f.role)] = above
	}
	if f.failure != "claim_release_failed" { // which is an error until it succeeds
		want[fmt.Sprintf("reconcile_total{cluster_class=%q,result=%q}", class, result)] = above
	}
	if f.published != anyNumber {
		want[fmt.Sprintf("allocations_total{cluster_class=%q,role=%q}", class, f.role)] = f.published
	}
	return counts(series, want)
}

// waiting is the name of a gauge of the waiting Clusters.
func (f *face) waiting(gauge string) string {
	return fmt.Sprintf("%s{reason=%q,role=%q}", gauge, f.reason, f.role)
}

// counts expects the values; 0 stands for no series at all.
func counts(series allocator.Series, want map[string]float64) error {
	var errs []error
	for name, value := range want {
		got, shown := series[metricPrefix+name]
		if shown != (value != 0) || (value != above && got != value) || (value == above && got <= 0) {
			errs = append(errs, fmt.Errorf("%s is %v (shown: %t), want %v", name, got, shown, value))
		}
	}
	return errors.Join(errs...)
}

// flags are those of the allocator, which no Deployment tells explain.
func (s *stage) flags() []string {
	return []string{"--watch-filter=" + s.filter, "--pool-kinds=" + vipPools.GroupResource().String()}
}

// explained expects explain to come to the same, in the same words, and to say what to
// do where something is missing.
func (f *face) explained(s *stage, c *cluster, message string) error {
	r := c.explain(s.flags()...).role(f.role)
	source := "planned"
	if f.reason == "PatchRefused" {
		source = "reported" // only who tried knows
	}
	if !r.Applies || r.Source != source || r.Reason != f.reason || r.Ready != ready[f.reason] || !r.agrees(message) || (r.Next == "") != r.Ready {
		return fmt.Errorf("explain says %+v, the condition says %s", r, message)
	}
	return nil
}

// vanished waits until nothing speaks of the role any more.
func (f *face) vanished(s *stage, c *cluster) {
	s.t.Helper()
	c.becomes(noCondition(f.role))
	s.eventually("explain says nothing of the role", func() error {
		if r := c.explain(s.flags()...).role(f.role); r.Applies || r.Reason != "" {
			return fmt.Errorf("it says %+v", r)
		}
		return nil
	})
}

// waitsNoMore waits until the metrics have forgotten who waited.
func (f *face) waitsNoMore(s *stage) {
	s.t.Helper()
	s.eventually("no Cluster waits because of "+f.reason, func() error {
		return counts(s.series(s.allocator), map[string]float64{f.waiting("waiting_clusters"): 0, f.waiting("oldest_waiting_seconds"): 0})
	})
}
