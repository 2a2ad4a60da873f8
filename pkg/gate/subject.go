package gate

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Samples for what an inspection cannot know.
const (
	sampleReplicas = 3.0
	sampleWord     = "sample"
	otherAddress   = "192.0.2.254"
	samplePort     = 6443.0
)

// subject is the variable of a class in which the VIP of a role stands.
type subject struct {
	class     *clusterv1.ClusterClass
	view      *vip.Class
	role      vip.Role
	evaluator Evaluator
	// name is the variable, rest the path of the field in it.
	path, name, rest string
	nested           bool
	// definition is nil if the class does not declare the variable.
	definition *clusterv1.ClusterClassStatusVariableDefinition
	conflict   bool
	address    string
	// What follows is the Cluster that is tried. without makes the variable as it has it, replicas is nil where it sets none, fixed
	// sets values of variables, and varies tells all that is not as usual.
	without             situation
	version             string
	replicas            any
	network             bool
	labels, annotations map[string]string
	fixed               []func(inputs)
	varies              []string
}

func newSubject(class *clusterv1.ClusterClass, view *vip.Class, role vip.Role) *subject {
	s := &subject{class: class, view: view, role: role, path: view.Roles[role].Path, version: sampleVersion(class), replicas: sampleReplicas}
	if s.path == "" {
		s.path = role.DefaultVariable()
	}
	s.name, s.rest, s.nested = strings.Cut(s.path, ".")
	if variable := s.variable(s.name); variable != nil {
		s.definition = &variable.Definitions[0]
		s.conflict = variable.DefinitionsConflict != nil && *variable.DefinitionsConflict
	}
	s.address, _ = s.sample()
	return s
}

// variable returns the variable of the class if it has a definition; nil if there is none.
func (s *subject) variable(name string) *clusterv1.ClusterClassStatusVariable {
	for i := range s.class.Status.Variables {
		if variable := &s.class.Status.Variables[i]; variable.Name == name && len(variable.Definitions) > 0 {
			return variable
		}
	}
	return nil
}

// sample returns an address that the variable takes; ok is false if none was found.
func (s *subject) sample() (address string, ok bool) {
	variable := s.view.Roles[s.role]
	candidates := []string{sampleAddress, "10.0.0.1", "192.168.0.1", "172.16.0.1", "2001:db8::1", "fd00::1"}
	if leaf := s.leaf(); leaf != nil {
		for _, choice := range leaf.Enum {
			var text string
			if json.Unmarshal(choice.Raw, &text) == nil {
				if _, err := vip.ParseAddress(text); err == nil {
					candidates = append(candidates, text)
				}
			}
		}
	}
	for _, candidate := range candidates {
		// A value equal to the default would not be told from it.
		if candidate != variable.Default && (variable.Admits == nil || variable.Admits(candidate) == nil) {
			return candidate, true
		}
	}
	return sampleAddress, false
}

func (s *subject) schema() *clusterv1.JSONSchemaProps {
	if s.definition == nil {
		return &clusterv1.JSONSchemaProps{Type: "string"}
	}
	return &s.definition.Schema.OpenAPIV3Schema
}

// leaf is the schema at the path; nil if there is none.
func (s *subject) leaf() *clusterv1.JSONSchemaProps {
	schema := s.schema()
	for _, name := range s.fields() {
		property, exists := schema.Properties[name]
		if !exists {
			return nil
		}
		schema = &property
	}
	return schema
}

// fields are the names of the path below the variable.
func (s *subject) fields() []string {
	if !s.nested {
		return nil
	}
	return strings.Split(s.rest, ".")
}

// mustExist tells whether Cluster API refuses a Cluster without the variable.
func (s *subject) mustExist() bool {
	return s.definition != nil && isRequired(s.definition) && s.schema().Default == nil
}

// demands tells whether the object that holds the VIP must have it, and lists the
// other fields that the objects on the path must have.
func (s *subject) demands() (own bool, others []string) {
	schema := s.schema()
	for _, name := range s.fields() {
		own = false
		for _, required := range schema.Required {
			switch {
			case schema.Properties[required].Default != nil:
			case required == name:
				own = true
			case required == "port" && s.writesPort():
				// It is written with the host.
			default:
				others = append(others, required)
			}
		}
		property := schema.Properties[name]
		schema = &property
	}
	return own, others
}

// required tells whether Cluster API refuses every Cluster that does not state
// the VIP itself.
func (s *subject) required() bool {
	mustHave, _ := s.demands()
	return s.mustExist() && (!s.nested || mustHave)
}

// situation makes the variable's value on a new Cluster; exists is false where the
// Cluster does not have it. Each call makes a new one.
type situation func(full bool) (value any, exists bool)

// withoutVIP lists what a new Cluster may look like whose user leaves the VIP to
// the allocator, after defaulting.
func (s *subject) withoutVIP() []situation {
	var situations []situation
	if !s.mustExist() && !s.shared() {
		situations = append(situations, s.absent)
	}
	if mustHave, _ := s.demands(); s.nested && !mustHave {
		situations = append(situations, s.emptied)
	}
	if len(situations) == 0 {
		// No Cluster is allowed to lack it. What would happen is worth knowing all the same.
		situations = append(situations, s.absent)
	}
	return situations
}

// shared tells whether the variable of the other role is a field of the same object,
// which exists then.
func (s *subject) shared() bool {
	other := s.other()
	return s.nested && other != "" && strings.HasPrefix(other, s.name+".")
}

// other is the path of the other role's variable, which does not matter here and
// has its VIP; empty if there is none.
func (s *subject) other() string {
	for _, role := range vip.Roles() {
		if variable := s.view.Roles[role]; role != s.role && variable.Declared && variable.Problem == "" && variable.Path != s.path {
			return variable.Path
		}
	}
	return ""
}

func (s *subject) absent(bool) (value any, exists bool) {
	schema := s.schema()
	if schema.Default == nil || json.Unmarshal(schema.Default.Raw, &value) != nil {
		return nil, false
	}
	applyDefaults(schema, value)
	return value, true
}

// emptied is the object with everything but the VIP.
func (s *subject) emptied(full bool) (value any, exists bool) {
	object, ok := sampleOf(s.schema(), full).(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	// The path makes the objects on it, and its end is left out.
	set(object, s.rest, nil)
	remove(object, s.rest)
	applyDefaults(s.schema(), object)
	return object, true
}

// blank is the variable with an explicit empty string.
func (s *subject) blank(full bool) (value any, exists bool) { return s.filled(full, ""), true }

func (s *subject) filled(full bool, text string) any {
	if !s.nested {
		return text
	}
	value, _ := s.emptied(full)
	object, _ := value.(map[string]any)
	set(object, s.rest, text)
	if s.writesPort() {
		port := strings.TrimSuffix(s.rest, lastOf(s.rest)) + "port"
		if _, err := (inputs{s.name: object}).lookup(s.name + "." + port); err != nil {
			set(object, port, samplePort)
		}
	}
	return object
}

// writesPort tells whether the port of the endpoint is written beside the host.
func (s *subject) writesPort() bool {
	return s.role == vip.ControlPlane && s.nested && s.view.Port.Beside
}

// world is a new Cluster with the VIP and without it.
type world struct{ with, without inputs }

// worlds are the Clusters on which patches are tried: one that sets as little as
// possible, and one that sets every variable for templates that need more.
func (s *subject) worlds() []world {
	var list []world
	for _, full := range []bool{false, true} {
		w := world{with: s.surroundings(full, true), without: s.surroundings(full, false)}
		w.with[s.name] = s.filled(full, s.address)
		if value, exists := s.without(full); exists {
			w.without[s.name] = value
		}
		if other := s.other(); other != "" {
			set(w.with, other, otherAddress)
			set(w.without, other, otherAddress)
		}
		for _, fix := range s.fixed {
			fix(w.with)
			fix(w.without)
		}
		if len(s.fixed) > 0 {
			s.complete(w.with)
			s.complete(w.without)
		}
		list = append(list, w)
	}
	return list
}

// complete adds the defaults of what the Cluster states.
func (s *subject) complete(in inputs) {
	for i := range s.class.Status.Variables {
		variable := &s.class.Status.Variables[i]
		if value, exists := in[variable.Name]; exists && len(variable.Definitions) > 0 {
			applyDefaults(&variable.Definitions[0].Schema.OpenAPIV3Schema, value)
		}
	}
}

// surroundings are the class's other variables and the builtins.
func (s *subject) surroundings(full, published bool) inputs {
	in := inputs{}
	for i := range s.class.Status.Variables {
		variable := &s.class.Status.Variables[i]
		if len(variable.Definitions) == 0 || variable.Name == s.name || !inline(variable) {
			continue
		}
		definition := &variable.Definitions[0]
		schema := &definition.Schema.OpenAPIV3Schema
		if full || isRequired(definition) || schema.Default != nil {
			in[variable.Name] = sampleOf(schema, full)
		}
	}
	cluster := &vip.Cluster{
		Name: "sample", Namespace: "sample", UID: "00000000-0000-0000-0000-000000000000",
		Class: vip.ClassKey{Namespace: s.class.Namespace, Name: s.class.Name},
	}
	cluster.Labels = map[string]string{clusterv1.ClusterNameLabel: cluster.Name, clusterv1.ClusterTopologyOwnedLabel: ""}
	cluster.Annotations = map[string]string{}
	maps.Copy(cluster.Labels, s.labels)
	maps.Copy(cluster.Annotations, s.annotations)
	if published {
		// A class may also wait for what the allocator publishes beside the variable.
		maps.Copy(cluster.Annotations, map[string]string{s.role.Stamp(): s.address, s.role.WrittenAnnotation(): s.path})
		maps.Copy(cluster.Labels, map[string]string{s.role.Stamp(): s.address, s.role.StampedLabel(): "true"})
	}
	builtin := clusterBuiltin(cluster, cluster.Annotations)
	set(builtin, "topology.version", s.version)
	if full || s.network {
		builtin["network"] = map[string]any{
			"serviceDomain": "cluster.local", "services": []any{"10.128.0.0/12"}, "pods": []any{"10.244.0.0/16"},
		}
	}
	in["builtin"] = map[string]any{"cluster": builtin}
	return in
}

func isRequired(definition *clusterv1.ClusterClassStatusVariableDefinition) bool {
	return definition.Required != nil && *definition.Required
}

// inline tells whether patches in the class see the variable: Cluster API shows to
// each patch only what is defined where the patch is.
func inline(variable *clusterv1.ClusterClassStatusVariable) bool {
	return definedBy(variable, clusterv1.VariableDefinitionFromInline)
}

func definedBy(variable *clusterv1.ClusterClassStatusVariable, from string) bool {
	return slices.ContainsFunc(variable.Definitions, func(d clusterv1.ClusterClassStatusVariableDefinition) bool { return d.From == from })
}
