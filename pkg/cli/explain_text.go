package cli

import (
	"cmp"
	"fmt"
	"strings"
)

// indent is where values begin, behind the names of things.
const indent = 14

// explanation prints the whole for people: the Cluster, then role by role.
func (s *screen) explanation(e *Explanation) {
	s.down(&e.Controller)
	head := s.table()
	add := func(name, value string) { head.AppendRow([]any{fmt.Sprintf("%-*s", indent-3, name), value}) }
	add("Cluster", s.bold(e.Namespace+"/"+e.Name)+", created "+s.age(e.Created)+" ago")
	if e.Class != "" {
		add("Class", e.Class+s.classState(e.ClassState))
	}
	if e.Served {
		add("Served", s.good("yes"))
	} else {
		add("Served", s.warn("no: the Cluster "+e.Skipped))
	}
	add("Controller", s.controller(&e.Controller))
	if gates := s.gates(e); gates != "" {
		add("Gates", gates)
	}
	if e.Topology != nil {
		add("Topology", s.wrap(s.reported(e.Topology), indent))
	}
	for _, d := range e.Downstream {
		add("Stamped", s.downstream(&d))
	}
	s.show(head, "")
	for i := range e.Roles {
		s.role(e, &e.Roles[i])
	}
	if len(e.NotVisible) > 0 {
		s.print("\n")
		s.list(e.NotVisible)
	}
}

func (s *screen) classState(state string) string {
	switch state {
	case classReady:
		return ""
	case classUnseen:
		return s.warn(" (not visible: forbidden)")
	}
	return s.bad(" (" + state + ")")
}

// down says before anything else that nobody is there to do it.
func (s *screen) down(c *Controller) {
	if c.Down != "" {
		s.print("%s\n  next  %s\n\n", s.bad("The allocator is not running: "+c.Down+"."), s.bold(c.Next))
	}
}

// controller says where the settings are from, and those that are not the defaults.
func (s *screen) controller(c *Controller) string {
	words := "Deployment " + c.Deployment
	switch {
	case c.Leader != "" && c.ReadyReplicas == 0:
		replicas := ""
		if c.State == controllerFound {
			replicas = fmt.Sprintf(", 0 of %d replicas ready", c.Replicas)
		}
		words = c.Leader + " holds the Lease" + s.faint(" (Deployment "+c.Deployment+" "+c.State+replicas+")")
	case c.State == controllerUnseen:
		words += s.warn(" not visible (forbidden), default settings assumed")
	case c.State == controllerNotFound:
		words += s.warn(" not found, default settings assumed")
	case c.ReadyReplicas == 0:
		words += s.bad(fmt.Sprintf(", 0 of %d replicas ready: it writes nothing", c.Replicas))
	default:
		words += fmt.Sprintf(", %d of %d replicas ready", c.ReadyReplicas, c.Replicas)
	}
	if c.Problem != "" {
		words += ", " + s.bad(c.Problem)
	}
	for _, setting := range []struct{ name, value string }{
		{"namespace", c.Settings.Namespace}, {"watch-filter", c.Settings.WatchFilter}, {"pool-kinds", strings.Join(c.Settings.PoolKinds, ",")},
	} {
		if setting.value != "" {
			words += ", --" + setting.name + "=" + setting.value
		}
	}
	return words
}

func (s *screen) gates(e *Explanation) string {
	var words []string
	switch {
	case e.Gates.Held && e.Gates.Hold:
		words = append(words, s.warn("the hold gate holds the Cluster back since its creation "+s.age(e.Created)+" ago"))
	case e.Gates.Held:
		words = append(words, s.warn("held back although the hold gate is off: the controller lets it go"))
	case e.Gates.Hold:
		words = append(words, "hold gate on")
	}
	if e.Gates.Hook {
		words = append(words, "hook gate on")
	}
	return strings.Join(words, ", ")
}

func (s *screen) reported(c *Condition) string {
	words := fmt.Sprintf("%s, %s%s", c.Reason, standing(c.Status == "True"), s.age(c.Since))
	if c.Message != "" {
		words += ": " + ends(c.Message)
	}
	return words
}

// ends leaves out the middle of a long text: errors of templates are wrapped many
// times, and say at the end what it is about.
func ends(words string) string {
	const first, last = 60, 140
	runes := []rune(words)
	if len(runes) <= first+last {
		return words
	}
	return string(runes[:first]) + " … " + string(runes[len(runes)-last:])
}

func (s *screen) downstream(d *Downstream) string {
	name := d.Name
	if d.Namespace != "" {
		name = d.Namespace + "/" + name
	}
	carries := func(role string, stamp Stamp) string {
		if vip := cmp.Or(stamp.Annotation, stamp.Label); vip != "" {
			return role + " VIP " + vip
		}
		return "no " + role + " VIP"
	}
	return d.Kind + " " + name + ": " + carries("control-plane", d.ControlPlane) + ", " + carries("ingress", d.Ingress)
}
