package cli

import (
	"fmt"
	"strings"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// role prints one role: a line that sums it up, then what stands where.
func (s *screen) role(e *Explanation, r *Role) {
	if !r.Applies && r.Claim == nil && r.Endpoint == "" && r.Stamp == (Stamp{}) && !e.Served {
		return // the first lines say it all
	}
	s.print("\n%s\n", s.title(e, r))
	t := s.table()
	add := func(name, value string) {
		if value != "" {
			t.AppendRow([]any{fmt.Sprintf("%-*s", indent-5, name), value})
		}
	}
	add("message", s.wrap(r.Message, indent))
	for _, note := range r.Notes {
		if note.Reason == string(vip.ClassUngated) && r.Gate != nil {
			continue // the gate says it
		}
		add("note", s.warn(s.wrap(note.Reason+": "+note.Message, indent)))
	}
	add("next", s.bold(s.wrap(r.Next, indent)))
	if differs(r) {
		add("reported", s.wrap(s.lastReport(r), indent))
	}
	if len(r.ToDo) > 0 {
		add("to do", s.warn(s.wrap("the controller is to "+strings.Join(r.ToDo, ", then "), indent)))
	}
	add("endpoint", r.Endpoint)
	add("variable", variableText(&r.Variable))
	add("stamp", stampText(r.Stamp))
	add("claim", s.claimText(e, r))
	if r.Gate != nil {
		add("gate", s.wrap(s.gateText(r.Gate), indent))
	}
	if r.Applies {
		add("pools", s.candidates(e, r.Pools))
	}
	if c := r.Closest; c != nil {
		add("closest", s.wrap(c.Pool+", which "+c.Why, indent))
	}
	s.show(t, "  ")
}

func (s *screen) title(e *Explanation, r *Role) string {
	name := s.bold(fmt.Sprintf("%-*s", indent, r.Role))
	if len(r.Role) >= indent {
		name = s.bold(r.Role) + "  "
	}
	return name + s.standing(e, r)
}

// standing says in a few words how it stands with the role.
func (s *screen) standing(e *Explanation, r *Role) string {
	switch {
	case !e.Served:
		return s.faint("not served")
	case r.Source == unknown:
		return s.warn("unknown: too little is visible, and no condition is on the Cluster")
	case !r.Applies:
		return s.faint("does not apply: the class declares no variable " + r.Variable.Path + " and no pool of this role names the class")
	}
	words := s.bad(r.Reason)
	switch {
	case r.Ready && len(r.ToDo) > 0:
		words = s.warn(r.Reason)
	case r.Ready:
		words = s.good(r.Reason)
	}
	if r.VIP != "" {
		words += "  " + s.bold(r.VIP)
	}
	if r.Source == reported {
		return words + s.warn("  as the controller reported it "+s.age(r.Reported.Since)+" ago")
	}
	if !differs(r) {
		words += s.faint("  " + standing(r.Ready) + s.age(r.Reported.Since))
	}
	return words
}

// standing says what an age is the age of: a condition keeps it as long as its status, whatever
// its reasons are.
func standing(ready bool) string {
	if ready {
		return "ready for "
	}
	return "waiting for "
}

// differs tells whether the Cluster says something else than what was found now.
func differs(r *Role) bool {
	return r.Source == planned && r.Applies && (r.Reported == nil || r.Reported.Reason != r.Reason)
}

func (s *screen) lastReport(r *Role) string {
	if r.Reported == nil {
		return s.warn("nothing yet: the controller has just begun, or does not run")
	}
	return s.warn(s.reported(r.Reported))
}

func variableText(v *Variable) string {
	switch {
	case v.Value == "" && !v.Declared:
		return ""
	case v.Value == "":
		return v.Path + " has no value"
	case v.Written == v.Path:
		return v.Path + " = " + v.Value + ", written by the allocator"
	}
	return v.Path + " = " + v.Value
}

func stampText(stamp Stamp) string {
	switch {
	case stamp.Annotation == stamp.Label && stamp.Label != "":
		return stamp.Label + ", annotation and label"
	case stamp.Label == "" && stamp.Annotation != "":
		return stamp.Annotation + ", annotation"
	case stamp.Annotation == "" && stamp.Label != "":
		return stamp.Label + ", label only"
	case stamp.Label != "":
		return "annotation " + stamp.Annotation + ", label " + stamp.Label
	}
	return ""
}

func (s *screen) claimText(e *Explanation, r *Role) string {
	c := r.Claim
	if c == nil {
		if hides(e.NotVisible, claims.kind) {
			return s.warn("not visible (forbidden)")
		}
		return s.faint("none")
	}
	words := c.Name + " on " + c.Pool + ", " + s.age(c.Created) + " old, "
	switch {
	case c.Address != "":
		words += "bound to " + c.Address
	case c.Bound && hides(e.NotVisible, addresses.kind):
		words += "bound, address not visible (forbidden)"
	case c.Bound:
		words += "bound to an IPAddress that does not exist"
	default:
		words += "not bound"
	}
	if c.Deleting {
		words += s.warn(", being deleted")
	}
	if !c.Owned {
		words += s.bad(", not owned by this Cluster")
	}
	return words
}

func (s *screen) gateText(g *ClassGate) string {
	words := g.State
	switch g.State {
	case "gated":
		words = s.good(words)
	case "none":
		return s.faint("none: " + g.Why)
	default:
		words = s.warn(words)
	}
	if g.Patch != "" {
		words += " by patch " + g.Patch
	}
	if g.Why != "" {
		words += ": " + g.Why
	}
	return words
}

// candidates is a small table inside of the role's.
func (s *screen) candidates(e *Explanation, pools []Candidate) string {
	if len(pools) == 0 {
		if hides(e.NotVisible, anyPool) {
			return s.warn("not visible (forbidden)")
		}
		return s.faint("no usable pool")
	}
	t := s.table()
	for i := range pools {
		verdict := verdictText(&pools[i])
		switch c := &pools[i]; {
		case c.Claimed:
		case c.Verdict != "":
			verdict = s.warn(c.Verdict) + strings.TrimPrefix(verdict, c.Verdict)
		default:
			verdict = s.good(verdict)
		}
		t.AppendRow([]any{fmt.Sprintf("%d.", i+1), pools[i].Pool, roomText(&pools[i]), verdict})
	}
	return t.Render()
}

func roomText(c *Candidate) string {
	if c.Free == nil {
		return "capacity unknown"
	}
	return fmt.Sprintf("%d of %d free", *c.Free, *c.Total)
}

// verdictText says what keeps the pool from serving, if anything does.
func verdictText(c *Candidate) string {
	switch {
	case c.Claimed:
		return "the claim is on it"
	case c.Verdict != "":
		return c.Verdict + ": " + c.Why
	}
	return "can serve"
}
