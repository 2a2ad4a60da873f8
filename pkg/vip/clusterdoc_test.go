package vip_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// A clusterDoc is a Cluster as kube-apiserver stores it, with the fields that the
// planner's view leaves out as well: what is foreign must survive.
type clusterDoc map[string]any

func newClusterDoc(c *vip.Cluster) clusterDoc {
	metadata := map[string]any{
		"namespace": c.Namespace, "name": c.Name, "uid": c.UID,
		"resourceVersion": "41", "generation": 3, "finalizers": []string{"cluster.cluster.x-k8s.io"},
	}
	if len(c.Labels) > 0 {
		metadata["labels"] = c.Labels
	}
	if len(c.Annotations) > 0 {
		metadata["annotations"] = c.Annotations
	}
	network := map[string]any{"pods": map[string]any{"cidrBlocks": []string{"10.244.0.0/16"}}}
	if c.APIServerPort != 0 {
		network["apiServerPort"] = c.APIServerPort
	}
	spec := map[string]any{"clusterNetwork": network}
	if c.Paused != nil {
		spec["paused"] = *c.Paused
	}
	endpoint := map[string]any{}
	if c.Endpoint.Host != "" || c.AbsentEndpoint != nil {
		endpoint["host"] = c.Endpoint.Host
	}
	if c.Endpoint.Port != 0 || c.AbsentEndpoint != nil {
		endpoint["port"] = c.Endpoint.Port
	}
	if len(endpoint) > 0 {
		spec["controlPlaneEndpoint"] = endpoint
	}
	if c.HasInfrastructure {
		spec["infrastructureRef"] = map[string]any{"kind": "DemoCluster", "name": c.Name}
	}
	if c.HasTopology {
		topology := map[string]any{"classRef": map[string]any{"name": c.Class.Name}, "version": "v1.34.1", "workers": map[string]any{}}
		if len(c.Variables) > 0 {
			var list []any
			for _, v := range c.Variables {
				list = append(list, map[string]any{"name": v.Name, "value": v.Value})
			}
			topology["variables"] = list
		}
		spec["topology"] = topology
	}
	doc := clusterDoc{"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "metadata": metadata, "spec": spec}
	return doc.copy()
}

// copy goes through JSON, so that a clusterDoc holds nothing but what JSON can say.
func (d clusterDoc) copy() clusterDoc {
	data, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	var result clusterDoc
	if err := json.Unmarshal(data, &result); err != nil {
		panic(err)
	}
	return result
}

func (d clusterDoc) object(path ...string) map[string]any {
	current := map[string]any(d)
	for _, step := range path {
		current, _ = current[step].(map[string]any)
	}
	return current
}

func (d clusterDoc) variables() []any {
	list, _ := d.object("spec", "topology")["variables"].([]any)
	return list
}

// read brings what a patch can change back into the view.
func (d clusterDoc) read(into vip.Cluster) vip.Cluster {
	into.Labels, into.Annotations = d.strings("labels"), d.strings("annotations")
	into.UID, _ = d.object("metadata")["uid"].(string)
	into.Paused = nil
	if paused, ok := d.object("spec")["paused"].(bool); ok {
		into.Paused = &paused
	}
	host, _ := d.object("spec", "controlPlaneEndpoint")["host"].(string)
	port, _ := d.object("spec", "controlPlaneEndpoint")["port"].(float64)
	into.Endpoint = vip.Endpoint{Host: host, Port: int32(port)}
	into.HasInfrastructure = d.object("spec")["infrastructureRef"] != nil
	into.Variables = nil
	for _, entry := range d.variables() {
		variable, _ := entry.(map[string]any)
		value, _ := json.Marshal(variable["value"])
		name, _ := variable["name"].(string)
		into.Variables = append(into.Variables, vip.Variable{Name: name, Value: value})
	}
	return into
}

func (d clusterDoc) strings(kind string) map[string]string {
	var result map[string]string
	for key, value := range d.object("metadata", kind) {
		if result == nil {
			result = map[string]string{}
		}
		result[key], _ = value.(string)
	}
	return result
}

// apply does what kube-apiserver does with a JSON Patch, and checks what the CRD of
// Cluster would refuse.
func (d clusterDoc) apply(ops []vip.PatchOp) (clusterDoc, error) {
	data, err := json.Marshal(ops)
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	after, err := patch.Apply(before)
	if err != nil {
		return nil, err
	}
	var result clusterDoc
	if err := json.Unmarshal(after, &result); err != nil {
		return nil, err
	}
	// Empty maps of metadata are not stored.
	for _, kind := range []string{"labels", "annotations"} {
		if len(result.object("metadata", kind)) == 0 {
			delete(result.object("metadata"), kind)
		}
	}
	return result, result.valid()
}

func (d clusterDoc) valid() error {
	if list, exists := d.object("spec", "topology")["variables"]; exists && len(list.([]any)) == 0 {
		return fmt.Errorf("spec.topology.variables: should have at least 1 items")
	}
	var names []string
	for _, entry := range d.variables() {
		name := entry.(map[string]any)["name"].(string)
		if slices.Contains(names, name) {
			return fmt.Errorf("spec.topology.variables: duplicate value %q", name)
		}
		names = append(names, name)
	}
	for key, value := range d.strings("labels") {
		if !vip.LegalLabelValue(value) {
			return fmt.Errorf("metadata.labels: %s: invalid value %q", key, value)
		}
	}
	endpoint := d.object("spec", "controlPlaneEndpoint")
	if port, ok := endpoint["port"].(float64); ok && (port < 0 || port > 65535) {
		return fmt.Errorf("spec.controlPlaneEndpoint.port: invalid value %v", port)
	}
	return nil
}

// foreign is the Cluster without anything that is ours to write.
func (d clusterDoc) foreign(s *vip.Snapshot) clusterDoc {
	rest := d.copy()
	delete(rest.object("spec"), "controlPlaneEndpoint")
	if s.Cluster.Held() {
		delete(rest.object("spec"), "paused")
		delete(rest.object("metadata", "annotations"), vip.HeldAnnotation)
	}
	for _, role := range vip.Roles() {
		for _, kind := range []string{"labels", "annotations"} {
			values := rest.object("metadata", kind)
			for _, key := range []string{role.Stamp(), role.StampedLabel(), role.WrittenAnnotation(), vip.WrittenForAnnotation} {
				delete(values, key)
			}
			if len(values) == 0 {
				delete(rest.object("metadata"), kind)
			}
		}
		rest.removeVariable(s.Class.Roles[role].Path)
		written := s.Cluster.Annotations[role.WrittenAnnotation()]
		if name, _, _ := strings.Cut(written, "."); !s.Class.Declares[name] {
			// Nothing can be kept of a variable that the class no longer declares.
			written = name
		}
		rest.removeVariable(written)
	}
	host := s.Class.Roles[vip.ControlPlane].Path
	if port := host[:strings.LastIndexByte(host, '.')+1] + "port"; s.Class.Port.Beside && !holds(&s.Cluster, port) {
		rest.removeVariable(port) // it is written with the host
	}
	return rest
}

// removeVariable removes the field, and every object on the way to it that is
// empty then: whether it was there says nothing about what is foreign.
func (d clusterDoc) removeVariable(path string) {
	name, rest, nested := strings.Cut(path, ".")
	var kept []any
	for _, entry := range d.variables() {
		variable := entry.(map[string]any)
		if variable["name"] == name && prune(variable, "value", rest, nested) {
			continue
		}
		kept = append(kept, variable)
	}
	if topology := d.object("spec", "topology"); topology != nil {
		if topology["variables"] = kept; len(kept) == 0 {
			delete(topology, "variables")
		}
	}
}

func prune(parent map[string]any, field, path string, nested bool) (empty bool) {
	if nested {
		name, rest, more := strings.Cut(path, ".")
		if inner, ok := parent[field].(map[string]any); ok {
			if _, there := inner[name]; there && prune(inner, name, rest, more) {
				delete(inner, name)
			}
			return len(inner) == 0
		}
	}
	return true
}

func variableNames(d clusterDoc) []string {
	var names []string
	for _, entry := range d.variables() {
		names = append(names, entry.(map[string]any)["name"].(string))
	}
	return names
}

// after is the Snapshot of the next pass, once the patch was applied to the Cluster.
func after(t testing.TB, s *vip.Snapshot, d *vip.Decision) *vip.Snapshot {
	t.Helper()
	doc, err := newClusterDoc(&s.Cluster).apply(d.Patch)
	if err != nil {
		t.Fatalf("the patch does not apply: %v", err)
	}
	next := *s
	next.Cluster = doc.read(s.Cluster)
	next.Claims = maps.Clone(s.Claims)
	for role, outcome := range d.Roles {
		if outcome.Release != nil {
			next.Claims[role] = nil
		}
	}
	return &next
}

// valueAt is the JSON text at the path of a variable; empty where there is none.
func valueAt(c *vip.Cluster, path string) string {
	name, rest, nested := strings.Cut(path, ".")
	for _, variable := range c.Variables {
		if variable.Name != name {
			continue
		}
		var value any
		if json.Unmarshal(variable.Value, &value) != nil {
			return ""
		}
		for nested {
			object, _ := value.(map[string]any)
			name, rest, nested = strings.Cut(rest, ".")
			value = object[name]
		}
		if value == nil {
			return ""
		}
		text, _ := json.Marshal(value)
		return string(text)
	}
	return ""
}

func toLines(ops []vip.PatchOp) string {
	var lines []string
	for _, op := range ops {
		text, _ := json.Marshal(op)
		lines = append(lines, string(text))
	}
	return strings.Join(lines, "\n")
}

// validJSON is text that the API server could have stored.
func validJSON(text string) bool { return json.Valid([]byte(text)) && utf8.ValidString(text) }

// holds tells whether the Cluster has any value at the path.
func holds(c *vip.Cluster, path string) bool {
	name, rest, _ := strings.Cut(path, ".")
	for _, variable := range c.Variables {
		var value any
		if variable.Name != name || json.Unmarshal(variable.Value, &value) != nil {
			continue
		}
		for field := range strings.SplitSeq(rest, ".") {
			object, _ := value.(map[string]any)
			value = object[field]
		}
		return value != nil
	}
	return false
}
