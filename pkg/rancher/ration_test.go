package rancher

import (
	"strings"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time         { return c.at }
func (c *clock) passes(d time.Duration) { c.at = c.at.Add(d) }

func newClock() *clock { return &clock{at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func labelPatch(values ...string) *Patch {
	p := &Patch{Target: &Target{Kind: RancherCluster, Name: "c-aaaaa", UID: "uid"}, Labels: map[string]*string{}}
	for i := 0; i < len(values); i += 2 {
		p.Labels[values[i]] = &values[i+1]
	}
	return p
}

// try cuts the patch and, if anything is left, makes it.
func (r *ration) try(p *Patch, cause string) (written bool, block string, again time.Duration) {
	block, again = r.cut(p, cause)
	if p.Empty() {
		return false, block, again
	}
	r.wrote(p, cause)
	return true, block, again
}

func TestWritesAgainstSomebodyAreBounded(t *testing.T) {
	clock := newClock()
	r := newRation()
	r.now = clock.now
	const loops = 1000 // over 100 minutes
	var writes []time.Duration
	for i := range loops {
		if written, _, _ := r.try(labelPatch("a", "1"), "vip"); written {
			writes = append(writes, time.Duration(i)*6*time.Second)
		}
		clock.passes(6 * time.Second)
	}
	if len(writes) != 2*attempts {
		t.Fatalf("%d writes in 100 minutes, want %d: %v", len(writes), 2*attempts, writes)
	}
	if last := writes[attempts-1]; last != (attempts-1)*6*time.Second {
		t.Errorf("it hesitates before it gives up: %v", writes)
	}
	if next := writes[attempts]; next < period {
		t.Errorf("it takes up again after %s, want %s", next, period)
	}
}

func TestTheRationSaysWhenToLookAgain(t *testing.T) {
	clock := newClock()
	r := newRation()
	r.now = clock.now
	for range attempts {
		if written, block, _ := r.try(labelPatch("a", "1"), "vip"); !written || block != "" {
			t.Fatalf("not written: %s", block)
		}
	}
	clock.passes(time.Minute)
	_, block, again := r.try(labelPatch("a", "1"), "vip")
	if again != period-time.Minute || !strings.Contains(block, "Rancher Cluster c-aaaaa") {
		t.Errorf("again %s, block %q", again, block)
	}
	clock.passes(again)
	if written, _, _ := r.try(labelPatch("a", "1"), "vip"); !written {
		t.Error("not even then")
	}
}

func TestOtherKeysAndValuesHaveTheirOwnRation(t *testing.T) {
	r := newRation()
	for range attempts {
		r.try(labelPatch("a", "1"), "vip")
	}
	p := labelPatch("a", "1", "b", "1")
	written, block, _ := r.try(p, "vip")
	if _, kept := p.Labels["a"]; !written || kept || block == "" {
		t.Errorf("written %t, labels %v, block %q", written, p.Labels, block)
	}
	if written, _, _ := r.try(labelPatch("a", "2"), "vip"); !written {
		t.Error("another value is not written")
	}
}

func TestAnotherVIPBeginsAnew(t *testing.T) {
	r := newRation()
	for range attempts {
		r.try(labelPatch("a", "1"), "vip 1")
	}
	if written, _, _ := r.try(labelPatch("a", "1"), "vip 1"); written {
		t.Fatal("the ration does not end")
	}
	if written, _, _ := r.try(labelPatch("a", "1"), "vip 2"); !written {
		t.Error("it is not written")
	}
	r.forget("uid")
	if written, _, _ := r.try(labelPatch("a", "1"), "vip 2"); !written {
		t.Error("an object made anew is not written")
	}
}

func TestARefusedPatchIsNotRepeated(t *testing.T) {
	clock := newClock()
	r := newRation()
	r.now = clock.now
	r.refused(labelPatch("a", "1"), "vip", "no")
	p := labelPatch("a", "1")
	if block, again := r.cut(p, "vip"); !p.Empty() || block != "no" || again != period {
		t.Errorf("left %v, block %q, again %s", p.Labels, block, again)
	}
	p = labelPatch("a", "1", "b", "1")
	if block, _ := r.cut(p, "vip"); len(p.Labels) != 2 || block != "" {
		t.Errorf("another patch is cut to %v: %q", p.Labels, block)
	}
	clock.passes(period)
	p = labelPatch("a", "1")
	if block, _ := r.cut(p, "vip"); p.Empty() || block != "" {
		t.Errorf("it is never repeated: %q", block)
	}
}
