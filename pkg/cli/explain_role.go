package cli

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// role explains one role of the Cluster.
func (e *explainer) role(role vip.Role) Role {
	view := &e.snapshot.Cluster
	r := e.brief(role)
	r.Variable, r.Claim = e.variable(role), e.claim(role)
	r.Stamp = Stamp{Annotation: view.Annotations[role.Stamp()], Label: view.Labels[role.Stamp()]}
	if role == vip.ControlPlane && view.Endpoint.Host != "" {
		r.Endpoint = net.JoinHostPort(view.Endpoint.Host, strconv.Itoa(int(view.Endpoint.Port)))
	}
	if e.decision.Skipped != "" {
		return r
	}
	if finding, inspected := e.gates[role]; inspected {
		r.Gate = classGate(finding)
	}
	if outcome := e.decision.Roles[role]; outcome != nil && r.Source == planned {
		r.ToDo = todo(outcome, r.Claim)
	}
	if r.Applies {
		r.Pools = e.candidates(role)
	}
	return r
}

// brief tells what is so for the role and what to do next, and nothing that takes longer.
func (e *explainer) brief(role vip.Role) Role {
	outcome := e.decision.Roles[role]
	r := Role{Role: string(role), Applies: outcome != nil, Source: planned, Reported: conditionOf(e.cluster, role.ConditionType())}
	if e.decision.Skipped != "" {
		return r
	}
	switch {
	case e.blind() || refused(outcome, r.Reported):
		e.fromCondition(role, &r)
	case outcome != nil:
		fromPlan(outcome, &r)
	}
	if nobody := !r.Applies || r.Reason == string(vip.NoPool); nobody && !r.Ready && !e.misses(anyPool) {
		e.near(role, &r)
	}
	e.startFirst(&r)
	return r
}

// refused tells whether the API server has refused what the planner would have written.
// Only who tried knows.
func refused(outcome *vip.Outcome, said *Condition) bool {
	return outcome != nil && outcome.Changes && said != nil && said.Reason == string(vip.PatchRefused)
}

// fromPlan tells what the planner decided.
func fromPlan(outcome *vip.Outcome, r *Role) {
	r.Ready, r.Reason, r.Message, r.VIP = outcome.Reason.Ready(), string(outcome.Reason), vip.Short(outcome.Message), outcome.Address
	for _, note := range outcome.Notes {
		r.Notes = append(r.Notes, Note{Reason: string(note.Reason), Message: vip.Short(note.Message)})
	}
	r.Next = outcome.Next
}

// fromCondition tells what the controller said, which knows more than we do.
func (e *explainer) fromCondition(role vip.Role, r *Role) {
	if r.Source, r.Applies = unknown, false; r.Reported == nil {
		return
	}
	r.Source, r.Applies = reported, true
	r.Ready, r.Reason = r.Reported.Status == "True", r.Reported.Reason
	r.Message, r.Next, _ = strings.Cut(r.Reported.Message, vip.NextStep)
	if r.Next == "" && !r.Ready { // an older release reported it
		r.Next = vip.Next(e.snapshot, &vip.Outcome{Role: role, Reason: vip.Reason(r.Reason), ClaimName: role.ClaimName(e.cluster.Name)})
	}
	if r.VIP = e.snapshot.Cluster.Annotations[role.Stamp()]; r.VIP == "" && role == vip.ControlPlane {
		r.VIP = e.snapshot.Cluster.Endpoint.Host
	}
}

// near names the pool that was most likely meant to serve the role, if none does.
func (e *explainer) near(role vip.Role, r *Role) {
	miss, found := e.reader.Closest(e.snapshot, role)
	if !found || miss.OtherRole && !r.Applies {
		return
	}
	r.Closest = &NearMiss{Pool: miss.Pool.String(), Why: miss.Why}
	if r.Next = miss.Next; !r.Applies {
		r.Next = "if the Cluster is to have this VIP: " + miss.Next
	}
}

// startFirst says of what only waits for the allocator that it must run.
func (e *explainer) startFirst(r *Role) {
	passes := r.Reason == string(vip.ClaimPending) || r.Reason == string(vip.ClaimMoved)
	if r.Applies && passes && e.controller.Down != "" {
		r.Next = "start the allocator: " + e.controller.Next
	}
}

// todo lists what the controller does for the outcome, in its order.
func todo(outcome *vip.Outcome, claim *Claim) []string {
	var steps []string
	switch {
	case !outcome.Pin.IsValid() || !outcome.Ensure:
	case outcome.Reason == vip.ClaimLost:
		steps = append(steps, "take "+outcome.Address+" back from "+outcome.Pool.String())
	default:
		steps = append(steps, "make IPAddress "+outcome.ClaimName+" of "+outcome.Pin.Unmap().String()+", which nobody uses")
	}
	switch {
	case outcome.Ensure && claim == nil:
		steps = append(steps, "make claim "+outcome.ClaimName+" on "+outcome.Pool.String())
	case outcome.Ensure:
		steps = append(steps, "bring labels and owner of claim "+outcome.ClaimName+" up to date")
	}
	if outcome.Lease {
		steps = append(steps, "acquire the Lease of "+outcome.Address)
	}
	if outcome.Changes {
		steps = append(steps, "write the Cluster")
	}
	if outcome.Release != nil {
		steps = append(steps, "delete claim "+outcome.Release.Name)
	}
	return steps
}

func (e *explainer) variable(role vip.Role) Variable {
	view := &e.snapshot.Cluster
	v := Variable{Path: role.DefaultVariable(), Written: view.Annotations[role.WrittenAnnotation()]}
	if known := e.snapshot.Class.Roles[role]; known.Path != "" {
		v.Path, v.Declared = known.Path, known.Declared
	}
	v.Value = view.VariableAt(v.Path)
	return v
}

func (e *explainer) claim(role vip.Role) *Claim {
	seen := e.snapshot.Claims[role]
	if seen == nil {
		return nil
	}
	c := &Claim{
		Name: seen.Name, Pool: seen.Pool.String(), Bound: seen.Bound, Deleting: seen.Deleting,
		Owned: slices.Contains(seen.OwnerUIDs, e.snapshot.Cluster.UID),
	}
	if seen.Address != nil {
		c.Address = seen.Address.Text
	}
	for _, claim := range e.Claims {
		if string(claim.UID) == seen.UID {
			c.Created = claim.CreationTimestamp
		}
	}
	return c
}

// candidates lists the pools in the order in which they are tried.
func (e *explainer) candidates(role vip.Role) []Candidate {
	var result []Candidate
	for _, considered := range e.reader.Candidates(e.snapshot, role) {
		ref := considered.Pool.Ref
		c := Candidate{Pool: ref.String(), Verdict: string(considered.Verdict), Why: considered.Detail}
		if claim := e.snapshot.Claims[role]; claim != nil {
			c.Claimed = claim.Pool == ref && slices.Contains(claim.OwnerUIDs, e.snapshot.Cluster.UID)
		}
		if free, known := e.reader.Free(ref); known {
			c.Free, c.Total = new(max(free, 0)), new(e.total(ref))
		}
		result = append(result, c)
	}
	return result
}

// total is how many addresses the pool has, free or not.
func (e *explainer) total(ref vip.PoolRef) int64 {
	pool := e.Pools.Get(ref)
	return cmp.Or(pool.Room().Size, pool.Total)
}

func classGate(finding gate.Finding) *ClassGate {
	state := string(finding.State)
	if finding.State == gate.Unconcerned {
		state = "none"
	}
	return &ClassGate{State: state, Patch: finding.Patch, Why: finding.Why}
}
