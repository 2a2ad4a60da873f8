package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/ui"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// detail explains the Cluster as explain does, by what the newest View was made of; nil if
// there is none of that name to see.
func (p *painter) detail(namespace, name string) (*ui.Detail, error) {
	p.mu.Lock()
	s := p.last
	p.mu.Unlock()
	if s == nil {
		return nil, nil
	}
	of, exists := s.standing[namespace+"/"+name]
	if !exists {
		return nil, nil
	}
	e, err := s.explainer(s.reader, of.Cluster, s.controller)
	if err != nil {
		return nil, err
	}
	explanation := e.result()
	explanation.Controller, explanation.NotVisible = *s.controller, s.unseen
	if explanation.Downstream, err = s.downstream(context.Background(), of.Cluster); err != nil {
		return nil, err
	}
	words := &screen{now: time.Now()}
	d := &ui.Detail{Cluster: s.line(of.Cluster), Facts: words.facts(explanation)}
	for i := range explanation.Roles {
		d.Ways = append(d.Ways, words.way(explanation, &explanation.Roles[i], e))
	}
	return d, nil
}

// facts are the first lines of explain.
func (s *screen) facts(e *Explanation) []ui.Fact {
	facts := []ui.Fact{{Name: "Class", Text: cmp.Or(e.Class, "none") + s.classState(e.ClassState)}, {Name: "Created", Text: s.age(e.Created) + " ago"}}
	if !e.Served {
		facts = append(facts, ui.Fact{Name: "Not served", Text: "the Cluster " + e.Skipped, Tone: ui.Warn})
	}
	if gates := s.gates(e); gates != "" {
		facts = append(facts, ui.Fact{Name: "Gates", Text: gates})
	}
	if e.Topology != nil {
		facts = append(facts, ui.Fact{Name: "Topology", Text: s.reported(e.Topology)})
	}
	for i := range e.Downstream {
		facts = append(facts, ui.Fact{Name: "Stamped", Text: s.downstream(&e.Downstream[i])})
	}
	return facts
}

// way is what explain says of one role.
func (s *screen) way(e *Explanation, r *Role, by *explainer) ui.Way {
	bare := *r
	bare.VIP = "" // it stands beside
	w := ui.Way{Role: uiRole(r), Title: ui.Fact{Text: s.standing(e, &bare)}}
	w.Title.Tone = w.Tone()
	if r.Ready && len(r.ToDo) > 0 {
		w.Title.Tone = ui.Warn
	}
	if !r.Applies || !e.Served {
		return w
	}
	if w.Tone() != ui.Faint {
		w.Steps = steps(e, r)
	}
	for _, note := range r.Notes {
		if note.Reason != string(vip.ClassUngated) || r.Gate == nil { // the gate says it
			w.Notes = append(w.Notes, note.Reason+": "+note.Message)
		}
	}
	add := func(name, value string, tone ui.Tone) {
		if value != "" {
			w.Facts = append(w.Facts, ui.Fact{Name: name, Text: value, Tone: tone})
		}
	}
	if differs(r) {
		add("Reported", s.lastReport(r), ui.Warn)
	}
	if len(r.ToDo) > 0 {
		add("To do", "the controller is to "+strings.Join(r.ToDo, ", then "), ui.Warn)
	}
	add("Endpoint", r.Endpoint, "")
	add("Variable", variableText(&r.Variable), "")
	add("Stamp", stampText(r.Stamp), "")
	add("Claim", s.claimText(e, r), "")
	if r.Gate != nil {
		add("Gate", s.gateText(r.Gate), gateTone(by.gates[vip.Role(r.Role)].State))
	}
	if len(r.Pools) == 0 {
		add("Pools", s.candidates(e, nil), ui.Warn)
	}
	for _, candidate := range by.reader.Candidates(by.snapshot, vip.Role(r.Role)) {
		w.Pools = append(w.Pools, considered(r, candidate.Pool.Ref))
	}
	return w
}

// considered tells of the pool as it stands in the explanation.
func considered(r *Role, ref vip.PoolRef) ui.Candidate {
	result := ui.Candidate{Pool: ref.String(), Path: poolID(ref).Path()}
	at := slices.IndexFunc(r.Pools, func(c Candidate) bool { return c.Pool == ref.String() })
	if at < 0 {
		return result
	}
	c := &r.Pools[at]
	result.Room = roomText(c)
	result.Verdict = ui.Fact{Text: verdictText(c)}
	switch {
	case c.Claimed:
	case c.Verdict != "":
		result.Verdict.Tone = ui.Warn
	default:
		result.Verdict.Tone = ui.Good
	}
	return result
}

// Steps of the way of a VIP, in their order.
const (
	stepClass = iota
	stepPool
	stepClaim
	stepAddress
	stepWritten
)

// missingStep is the step that all others wait for, by reason; a reason that is not here
// says less than what is there and what is not.
var missingStep = map[vip.Reason]int{
	vip.ClassNotFound: stepClass, vip.ClassNotReady: stepClass,
	vip.NoPool: stepPool, vip.PoolFiltered: stepPool, vip.PoolInvalid: stepPool, vip.PoolNotAllowed: stepPool,
	vip.PoolDeleting: stepPool, vip.PoolPaused: stepPool, vip.PoolExhausted: stepPool,
	vip.ClaimForeign: stepClaim, vip.ClaimTerminating: stepClaim, vip.ClaimMoved: stepClaim, vip.ClaimLost: stepClaim,
	vip.ClaimPending: stepAddress, vip.PoolNotReady: stepAddress, vip.AddressInvalid: stepAddress,
	vip.AddressInUse: stepWritten, vip.PoolNotAccepted: stepWritten, vip.CopiedVIP: stepWritten, vip.VariableRefused: stepWritten, vip.PatchRefused: stepWritten,
}

// steps is the way of the VIP from the class to the Cluster.
func steps(e *Explanation, r *Role) []ui.Step {
	way := []ui.Step{
		{Name: "Class", Text: cmp.Or(e.Class, "none")}, {Name: "Pool"}, {Name: "Claim"}, {Name: "Address"},
		{Name: "Cluster", Text: "endpoint, variable and stamp"},
	}
	if c := r.Claim; c != nil {
		way[stepPool].Text, way[stepClaim].Text, way[stepAddress].Text = c.Pool, c.Name, c.Address
	}
	if r.Ready && r.Claim == nil {
		for i := range way {
			way[i].State = ui.Needless
		}
		way[stepClass].State, way[stepWritten].State = ui.Done, ui.Done
		return way
	}
	missing := len(way)
	if at, known := missingStep[vip.Reason(r.Reason)]; known {
		missing = at
	} else if !r.Ready || len(r.ToDo) > 0 {
		missing = firstWithout(way)
	}
	for i := range way {
		switch {
		case i < missing:
			way[i].State = ui.Done
		case i == missing:
			way[i].State = ui.Missing
		default:
			way[i].State = ui.Ahead
		}
	}
	return way
}

// firstWithout is the first step of which there is nothing to see.
func firstWithout(way []ui.Step) int {
	for i := stepPool; i < stepWritten; i++ {
		if way[i].Text == "" {
			return i
		}
	}
	return stepWritten
}
