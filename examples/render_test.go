package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"
)

// bundle is a file with a class and its templates.
type bundle struct {
	name, header string
	class        *clusterv1.ClusterClass
	templates    map[clusterv1.ClusterClassTemplateReference]map[string]any
}

func load(t *testing.T, path string) *bundle {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{
		name:      strings.TrimSuffix(filepath.Base(path), ".yaml"),
		templates: map[clusterv1.ClusterClassTemplateReference]map[string]any{},
	}
	b.header, _, _ = strings.Cut(string(data), "\napiVersion:")
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		var object map[string]any
		if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if object["kind"] == "ClusterClass" {
			b.class = new(clusterv1.ClusterClass)
			if err := yaml.UnmarshalStrict([]byte(document), b.class); err != nil {
				t.Fatal(err)
			}
			continue
		}
		metadata, _ := object["metadata"].(map[string]any)
		b.templates[clusterv1.ClusterClassTemplateReference{
			APIVersion: fmt.Sprint(object["apiVersion"]), Kind: fmt.Sprint(object["kind"]), Name: fmt.Sprint(metadata["name"]),
		}] = object
	}
	if b.class == nil {
		t.Fatal("there is no ClusterClass")
	}
	reconcile(b.class)
	return b
}

// reconcile sets the status as Cluster API does.
func reconcile(class *clusterv1.ClusterClass) {
	class.Status.Conditions = []metav1.Condition{{Type: clusterv1.ClusterClassVariablesReadyCondition, Status: metav1.ConditionTrue}}
	for _, variable := range class.Spec.Variables {
		class.Status.Variables = append(class.Status.Variables, clusterv1.ClusterClassStatusVariable{
			Name: variable.Name,
			Definitions: []clusterv1.ClusterClassStatusVariableDefinition{{
				From: clusterv1.VariableDefinitionFromInline, Required: variable.Required, Schema: variable.Schema,
			}},
		})
	}
}

// target is a template in one of the parts that it plays in the class.
type target struct {
	ref    clusterv1.ClusterClassTemplateReference
	plays  string
	worker string
}

func targets(class *clusterv1.ClusterClass) []target {
	list := []target{
		{ref: class.Spec.Infrastructure.TemplateRef, plays: "infrastructure"},
		{ref: class.Spec.ControlPlane.TemplateRef, plays: "controlPlane"},
		{ref: class.Spec.ControlPlane.MachineInfrastructure.TemplateRef, plays: "controlPlane"},
	}
	for _, workers := range class.Spec.Workers.MachineDeployments {
		list = append(list,
			target{ref: workers.Bootstrap.TemplateRef, plays: "worker", worker: workers.Class},
			target{ref: workers.Infrastructure.TemplateRef, plays: "worker", worker: workers.Class})
	}
	return list
}

func (t target) selectedBy(selector clusterv1.PatchSelector) bool {
	if t.ref.APIVersion != selector.APIVersion || t.ref.Kind != selector.Kind {
		return false
	}
	is := func(flag *bool) bool { return flag != nil && *flag }
	switch by := selector.MatchResources; t.plays {
	case "infrastructure":
		return is(by.InfrastructureCluster)
	case "controlPlane":
		return is(by.ControlPlane)
	default:
		return by.MachineDeploymentClass != nil && slices.Contains(by.MachineDeploymentClass.Names, t.worker)
	}
}

// required are values for the variables that each Cluster must state.
var required = map[string]any{
	"ipv4Config": map[string]any{"addresses": []any{"192.0.2.100-192.0.2.109"}, "prefix": 24, "gateway": "192.0.2.254"},
}

// render patches the templates for a Cluster, one patch on top of the other.
func (b *bundle) render(variables, annotations map[string]any) (map[clusterv1.ClusterClassTemplateReference]map[string]any, error) {
	cluster := map[string]any{"name": "sample", "namespace": "default"}
	if annotations != nil {
		cluster["metadata"] = map[string]any{"annotations": annotations}
	}
	in := map[string]any{"builtin": map[string]any{"cluster": cluster}}
	for _, variable := range b.class.Spec.Variables {
		if variable.Required != nil && *variable.Required {
			in[variable.Name] = required[variable.Name]
		}
	}
	maps.Copy(in, variables)
	documents := map[clusterv1.ClusterClassTemplateReference][]byte{}
	for ref, object := range b.templates {
		data, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		documents[ref] = data
	}
	for i := range b.class.Spec.Patches {
		if err := b.apply(&b.class.Spec.Patches[i], in, documents); err != nil {
			return nil, fmt.Errorf("patch %s: %w", b.class.Spec.Patches[i].Name, err)
		}
	}
	result := map[clusterv1.ClusterClassTemplateReference]map[string]any{}
	for ref, data := range documents {
		var object map[string]any
		if err := json.Unmarshal(data, &object); err != nil {
			return nil, err
		}
		result[ref] = object
	}
	return result, nil
}

func (b *bundle) apply(patch *clusterv1.ClusterClassPatch, in map[string]any, documents map[clusterv1.ClusterClassTemplateReference][]byte) error {
	if patch.EnabledIf != "" {
		if enabled, err := execute(patch.EnabledIf, in); err != nil || strings.TrimSpace(enabled) != "true" {
			return err
		}
	}
	for _, definition := range patch.Definitions {
		operations, err := operationsOf(definition.JSONPatches, in)
		if err != nil {
			return err
		}
		matched := false
		for _, target := range targets(b.class) {
			if !target.selectedBy(definition.Selector) {
				continue
			}
			matched = true
			// This fails where the parent of a path is missing.
			if documents[target.ref], err = operations.Apply(documents[target.ref]); err != nil {
				return fmt.Errorf("%s: %w", describe(target.ref), err)
			}
		}
		if !matched {
			return fmt.Errorf("its selector of %s matches nothing", definition.Selector.Kind)
		}
	}
	return nil
}

func operationsOf(patches []clusterv1.JSONPatch, in map[string]any) (jsonpatch.Patch, error) {
	type operation struct {
		Op    string          `json:"op"`
		Path  string          `json:"path"`
		Value json.RawMessage `json:"value,omitempty"`
	}
	var list []operation
	for _, patch := range patches {
		value, err := valueOf(patch, in)
		if err != nil {
			return nil, err
		}
		list = append(list, operation{Op: patch.Op, Path: patch.Path, Value: value})
	}
	data, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	return jsonpatch.DecodePatch(data)
}

func valueOf(patch clusterv1.JSONPatch, in map[string]any) (json.RawMessage, error) {
	switch {
	case patch.ValueFrom == nil && patch.Value != nil:
		return patch.Value.Raw, nil
	case patch.ValueFrom == nil:
		return nil, nil
	case patch.ValueFrom.Variable != "":
		value, exists := in[patch.ValueFrom.Variable]
		if !exists {
			return nil, fmt.Errorf("variable %q does not exist", patch.ValueFrom.Variable)
		}
		return json.Marshal(value)
	}
	text, err := execute(patch.ValueFrom.Template, in)
	if err != nil {
		return nil, err
	}
	return yaml.YAMLToJSONStrict([]byte(text))
}

// execute runs a template with the functions that Cluster API gives it.
func execute(text string, in map[string]any) (string, error) {
	parsed, err := template.New("patch").Funcs(sprig.HermeticTxtFuncMap()).Parse(text)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = parsed.Execute(&out, in)
	return out.String(), err
}

func describe(ref clusterv1.ClusterClassTemplateReference) string {
	return ref.APIVersion + " " + ref.Kind + " " + ref.Name
}

// at is the value below spec.template.spec of a template.
func at(template map[string]any, path string) any {
	var value any = template
	for name := range strings.SplitSeq(strings.TrimSuffix("spec.template.spec."+path, "."), ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// files are what a control plane template puts on its nodes.
func files(template map[string]any) []map[string]string {
	var result []map[string]string
	for _, path := range []string{"files", "kubeadmConfigSpec.files", "kthreesConfigSpec.files"} {
		list, _ := at(template, path).([]any)
		for _, entry := range list {
			file := map[string]string{}
			for name, value := range entry.(map[string]any) {
				file[name] = fmt.Sprint(value)
			}
			result = append(result, file)
		}
	}
	return result
}

// leaves are the paths of a value, [] standing for every entry of a list.
func leaves(value any, path string) []string {
	var list []string
	switch value := value.(type) {
	case map[string]any:
		for name, field := range value {
			list = append(list, leaves(field, strings.TrimPrefix(path+"."+name, "."))...)
		}
		if len(value) > 0 || path == "" {
			return list
		}
	case []any:
		for _, entry := range value {
			list = append(list, leaves(entry, path+"[]")...)
		}
		return list
	}
	return []string{path}
}
