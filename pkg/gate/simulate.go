package gate

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"
)

// kind is what a patch does as long as there is no VIP.
type kind int

const (
	// waits: it fails, or what it makes of the template does, and with it the whole pass of the topology controller.
	waits kind = iota
	// takesOther: it takes its value from a variable that holds something else.
	takesOther
	// rendersNoValue: it renders "<no value>".
	rendersNoValue
	// rendersOther: it renders something else than with the VIP.
	rendersOther
	// switchedOff: its enabledIf is not true without the VIP.
	switchedOff
	// switchedOn: its enabledIf is true only without the VIP.
	switchedOn
	// unclear: it mentions the VIP and could not be evaluated.
	unclear
)

// effect is what one patch does to one template of the class.
type effect struct {
	kind  kind
	patch *clusterv1.ClusterClassPatch
	// worker is the class of workers whose template it is; empty if every Cluster has it.
	worker string
	// asks is the text on which the effect depends.
	asks string
	// off says that the patch is not on for the Cluster that is tried.
	off bool
	err error // of an unclear effect
}

// simulation runs the patches of a class as the topology controller does for a
// new Cluster. What it cannot know is whether the templates have the parents of
// the paths that are patched.
type simulation struct {
	subject *subject
	worlds  []world
}

func (s *simulation) effects() []effect {
	var effects []effect
	list := targets(s.subject.class)
	for i := range s.subject.class.Spec.Patches {
		patch := &s.subject.class.Spec.Patches[i]
		if patch.External != nil {
			continue
		}
		for j := range list {
			effects = append(effects, s.apply(patch, &list[j])...)
		}
	}
	return effects
}

func (s *simulation) apply(patch *clusterv1.ClusterClassPatch, to *target) []effect {
	var values []*clusterv1.JSONPatch
	path, selected := s.subject.path, false
	for i := range patch.Definitions {
		definition := &patch.Definitions[i]
		if !to.matches(&definition.Selector) {
			continue
		}
		selected = true
		for j := range definition.JSONPatches {
			jsonPatch := &definition.JSONPatches[j]
			// One that is the same with the VIP and without it says nothing, and may cost a lot.
			if valueDepends(jsonPatch, path) && hasValue(jsonPatch) {
				values = append(values, jsonPatch)
			}
		}
	}
	if !selected || (len(values) == 0 && !depends(patch.EnabledIf, path)) {
		// Cluster API does not even look at enabledIf of a patch that selects nothing.
		return nil
	}
	s.subject.evaluator.begin(patch)
	worlds := s.seenBy(to)
	base := effect{patch: patch, worker: to.worker, asks: patch.EnabledIf}
	effects, goOn := enabling(&base, worlds, s.subject)
	if len(effects) == 1 && effects[0].kind == switchedOn {
		if missing := s.missed(effects[0], values, to, worlds); len(missing) > 0 {
			return missing
		}
	}
	if !goOn {
		return effects
	}
	for _, jsonPatch := range values {
		if e, acts := s.take(base, jsonPatch, to, worlds); acts {
			effects = append(effects, e)
		}
	}
	return effects
}

// hasValue tells whether Cluster API asks for the value: a remove has none, whatever it says.
func hasValue(operation *clusterv1.JSONPatch) bool {
	return operation.Op == "add" || operation.Op == "replace"
}

// enabling evaluates enabledIf and tells whether the values of the patch matter.
func enabling(base *effect, worlds []world, subject *subject) (effects []effect, goOn bool) {
	enabledIf := base.patch.EnabledIf
	result := compare(worlds, func(in inputs) (string, error) {
		enabled, err := in.enables(enabledIf)
		return strconv.FormatBool(enabled), err
	})
	with := func(k kind) []effect { e := *base; e.kind = k; return []effect{e} }
	switch {
	case result.unknown != nil:
		// It may be on for some Clusters.
		if subject.mentionedIn(enabledIf) {
			e := *base
			e.kind, e.err = unclear, result.unknown
			return []effect{e}, false
		}
		return nil, true
	case result.err != nil:
		return with(waits), false
	case result.with == "true" && result.without != "true":
		return with(switchedOff), false
	case result.with != "true" && result.without == "true":
		return with(switchedOn), false
	case result.with != "true":
		base.off = true
		// A plain "false" is never on.
		return nil, strings.Contains(enabledIf, "{{")
	}
	return nil, true
}

// missed lists what a patch that is on without the VIP alone cannot have then.
func (s *simulation) missed(on effect, values []*clusterv1.JSONPatch, to *target, worlds []world) (effects []effect) {
	for _, operation := range values {
		if rendered, err := worlds[0].without.valueFrom(operation.ValueFrom); err != nil || s.leavesHostNull(operation, to, rendered) {
			e := on
			e.kind, e.asks = waits, on.asks+asTemplate(operation.ValueFrom)
			effects = append(effects, e)
		}
	}
	return effects
}

// take evaluates one value of a patch that is on.
func (s *simulation) take(base effect, jsonPatch *clusterv1.JSONPatch, to *target, worlds []world) (e effect, acts bool) {
	from := jsonPatch.ValueFrom
	base.asks += asTemplate(from)
	other, mentioned := takesOther, touches(from.Variable, s.subject.path)
	if from.Template != "" {
		other, mentioned = rendersOther, s.subject.mentionedIn(from.Template)
	}
	result := compare(worlds, func(in inputs) (string, error) { return in.valueFrom(from) })
	switch {
	case result.unknown != nil:
		base.kind, base.err = unclear, result.unknown
		return base, mentioned
	case result.err != nil:
		base.kind = waits
	case result.with == result.without:
		return base, false
	case s.leavesHostNull(jsonPatch, to, result.without):
		base.kind = waits
	case other == rendersOther && strings.Count(result.without, noValue) > strings.Count(result.with, noValue):
		base.kind = rendersNoValue
	default:
		base.kind = other
	}
	return base, true
}

func (s *subject) mentionedIn(template string) bool {
	return mentions(template, s.path) || strings.Contains(template, s.role.Stamp())
}

// seenBy adds the builtins of the template to the worlds.
func (s *simulation) seenBy(to *target) []world {
	builtin := to.builtin(s.subject)
	if builtin == nil {
		return s.worlds
	}
	worlds := make([]world, len(s.worlds))
	for i, w := range s.worlds {
		worlds[i] = world{with: w.with.plus(to.kind, builtin), without: w.without.plus(to.kind, builtin)}
	}
	return worlds
}

func (in inputs) plus(name string, builtin map[string]any) inputs {
	copied := maps.Clone(in)
	builtins, _ := in["builtin"].(map[string]any)
	builtins = maps.Clone(builtins)
	builtins[name] = builtin
	copied["builtin"] = builtins
	return copied
}

// comparison holds a result with the VIP and without it.
type comparison struct {
	with, without string
	err           error // without the VIP
	unknown       error // with the VIP, where it should have worked
}

// compare evaluates in the first world in which it works once the VIP is there.
func compare(worlds []world, read func(inputs) (string, error)) comparison {
	var c comparison
	for _, w := range worlds {
		var err error
		if c.with, err = read(w.with); err == nil {
			c.unknown = nil
			c.without, c.err = read(w.without)
			return c
		}
		if c.unknown == nil {
			c.unknown = err
		}
	}
	return c
}

// valueFrom evaluates what a patch takes its value from.
func (in inputs) valueFrom(from *clusterv1.JSONPatchValue) (string, error) {
	if from.Template != "" {
		return in.valid(from.Template)
	}
	return in.valueOf(from.Variable)
}

func (in inputs) valueOf(variable string) (string, error) {
	value, err := in.lookup(variable)
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("write variable %q: %w", variable, err)
	}
	return string(raw), nil
}

// valid renders a template; what comes out must be YAML.
func (in inputs) valid(template string) (string, error) {
	text, err := in.render(template)
	if err != nil {
		return "", err
	}
	if _, err := yaml.YAMLToJSON([]byte(text)); err != nil {
		return "", fmt.Errorf("read rendered template: %w", err)
	}
	return text, nil
}
