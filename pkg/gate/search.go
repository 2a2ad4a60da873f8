package gate

import (
	"slices"
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// What a class may ask is without bounds; this is what is tried.
const (
	maxClusters    = 40 // that are tried
	maxDifferences = 4  // of one Cluster
)

// judgement sorts the effects that the patches have on one Cluster.
type judgement struct {
	// gates wait for the VIP, and unclears may. opens go on without it.
	gates, unclears, opens []*effect
	// offs are of patches that are off for this Cluster, workers of those for Clusters with
	// workers of a class.
	offs, workers []*effect
}

func (s *subject) judge() judgement {
	var j judgement
	effects := (&simulation{subject: s, worlds: s.worlds()}).effects()
	for i := range effects {
		list := &j.opens
		switch e := &effects[i]; {
		case e.worker != "":
			list = &j.workers
		case e.off:
			list = &j.offs
		case e.kind == waits:
			list = &j.gates
		case e.kind == unclear:
			list = &j.unclears
		}
		*list = append(*list, &effects[i])
	}
	return j
}

// consumers are all effects, first those of the patches that decide.
func (j *judgement) consumers() []*effect {
	return slices.Concat(j.gates, j.unclears, j.offs, j.workers, j.opens)
}

// trial is a Cluster without its VIP.
type trial struct {
	*subject
	judgement
	// stop keeps Cluster API from building it; nil if nothing does.
	stop *effect
	// differs says in what it differs from a Cluster that sets nothing else, and gate is what
	// waits for the VIP of that one.
	differs []string
	gate    *effect
}

func (s *subject) try() *trial {
	t := &trial{subject: s, judgement: s.judge()}
	switch {
	case len(t.gates) > 0:
		t.stop = s.firmest(t.gates)
	case len(t.unclears) > 0:
		t.stop = s.firmest(t.unclears)
	default:
		t.stop = s.failing()
	}
	return t
}

// search looks for a Cluster that is built: where a patch stops one, it tries others that
// differ in what this patch asks for.
type search struct {
	left int // Clusters to try
	// open says that there may be one which was not tried.
	open bool
}

// from searches beyond a Cluster, which differs in what the patch asked.
func (q *search) from(t *trial, asked *clusterv1.ClusterClassPatch) *trial {
	stop := t.stop
	if stop == nil {
		return t
	}
	if len(t.differs) == maxDifferences {
		q.open = true
		return nil
	}
	gate := t.gate
	if gate == nil && stop.kind == waits {
		gate = stop
	}
	passed := stop.kind == waits || stop.patch == asked
	var others []*trial
	for _, v := range t.variations(stop.asks) {
		if q.left--; q.left < 0 {
			q.open = true
			break
		}
		other := t.varied(v).try()
		other.differs, other.gate = append(slices.Clip(t.differs), v.text), gate
		if other.stop == nil {
			return other
		}
		passed = passed || other.stop.patch != stop.patch || other.stop.kind == waits
		others = append(others, other)
	}
	q.open = q.open || !passed // it asks for something else
	slices.SortStableFunc(others, func(a, b *trial) int { return len(a.gates) - len(b.gates) })
	for _, other := range others {
		if found := q.from(other, stop.patch); found != nil {
			return found
		}
	}
	return nil
}

// firmest returns the effect that is the same for most Clusters.
func (s *subject) firmest(effects []*effect) *effect {
	return slices.MinFunc(effects, func(a, b *effect) int { return len(s.variations(a.asks)) - len(s.variations(b.asks)) })
}

// failing returns what fails for this Cluster, whatever it is for; nil if nothing does.
func (s *subject) failing() *effect {
	run := &simulation{subject: s, worlds: s.worlds()}
	list := targets(s.class)
	for i := range s.class.Spec.Patches {
		for j := range list {
			patch := &s.class.Spec.Patches[i]
			if patch.External != nil || list[j].worker != "" {
				continue
			}
			if asks, fails := run.failsOn(patch, &list[j]); fails {
				return &effect{kind: unclear, patch: patch, asks: asks}
			}
		}
	}
	return nil
}

// failsOn goes by the first world alone: that of the Cluster which sets as little as
// possible. It returns what fails.
func (s *simulation) failsOn(patch *clusterv1.ClusterClassPatch, to *target) (asks string, fails bool) {
	in := s.seenBy(to)[0].without
	for i := range patch.Definitions {
		definition := &patch.Definitions[i]
		if !to.matches(&definition.Selector) {
			continue
		}
		s.subject.evaluator.begin(patch)
		if on, err := in.enables(patch.EnabledIf); err != nil || !on {
			return patch.EnabledIf, err != nil
		}
		for _, operation := range definition.JSONPatches {
			if operation.ValueFrom == nil || !hasValue(&operation) {
				continue
			}
			if _, err := in.valueFrom(operation.ValueFrom); err != nil {
				return patch.EnabledIf + asTemplate(operation.ValueFrom), true
			}
		}
	}
	return "", false
}

// ungated finds out whether a Cluster is built without the VIP, and says which and why.
func (t *trial) ungated(q *search) (why string, decisive *effect) {
	consumers := t.consumers()
	if q.open = t.external() != ""; !q.open { // which may wait then
		switch built := q.from(t, nil); {
		case built == nil:
		case built.gate == nil && len(built.consumers()) == 0 && len(consumers) > 0:
			return t.whyUnconsumed(), consumers[0]
		default:
			return built.why()
		}
	}
	if q.open && len(t.gates)+len(t.unclears) == 0 && len(t.opens) > 0 {
		return t.whyOpen(t.opens[0]), t.opens[0]
	}
	return "", nil
}

// why explains how the Cluster is built; it claims nothing of one that the class may not admit.
func (t *trial) why() (string, *effect) {
	if t.gate != nil && !t.sure(t.gate.asks) {
		return "", nil
	}
	differs := strings.Join(t.differs, " and ")
	when := ""
	if differs != "" {
		when = "if " + differs + ", "
	}
	if len(t.opens) > 0 {
		return when + t.whyOpen(t.opens[0]), t.opens[0]
	}
	if t.gate != nil {
		return t.whyOff(t.gate, "if "+differs), t.gate
	}
	// Nothing takes it, so some other Cluster must.
	rest := slices.DeleteFunc(slices.Concat(t.offs, t.workers), func(e *effect) bool { return e.kind == unclear || e.off && !t.sure(e.asks) })
	for _, e := range rest {
		switch {
		case e.kind != waits:
		case e.off && e.worker == "":
			return when + t.whyOff(e, t.unless(e)), e
		default:
			return when + t.whyWorkers(e), e
		}
	}
	if len(rest) > 0 {
		return when + t.whyOpen(rest[0]), rest[0]
	}
	return "", nil
}

// unless says for which Clusters a patch is on that is off for this one.
func (s *subject) unless(off *effect) string {
	for _, v := range s.variations(off.asks) {
		other := s.varied(v).judge()
		if !slices.ContainsFunc(other.offs, func(e *effect) bool { return e.patch == off.patch }) {
			return "unless " + v.text
		}
	}
	return "for a Cluster that sets nothing else"
}
