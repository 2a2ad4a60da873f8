package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// buildVariable gates the classes of these tests: infrastructure is built once a
// Cluster sets it, see cluster.build. So a test decides itself what happens before
// infrastructure and what after.
const buildVariable = "build"

// class is a ClusterClass.
type class struct {
	w               *world
	namespace, name string
	draft           *clusterv1.ClusterClass
}

// text is the schema of an ordinary VIP variable.
var text = clusterv1.JSONSchemaProps{Type: "string", MinLength: ptr.To[int64](1)}

// class makes a ClusterClass and waits until Cluster API has read it. Without
// options it has no VIP variable.
func (w *world) class(options ...classOption) *class {
	w.t.Helper()
	k := w.draftClass(options...)
	k.create()
	k.awaitReady()
	return k
}

// vipClass makes a ClusterClass with the usual variables of both roles.
func (w *world) vipClass(options ...classOption) *class {
	w.t.Helper()
	return w.class(append([]classOption{declares("clusterVip", text), declares("ingressVip", text)}, options...)...)
}

// gatedClass makes a ClusterClass with the usual variables of the roles, whose
// infrastructure waits for all of them and for nothing else.
func (w *world) gatedClass(roles ...role) *class {
	w.t.Helper()
	options := []classOption{open()}
	for _, r := range roles {
		path := map[role]string{controlPlane: "controlPlaneEndpoint/host", ingress: "ingressVIP"}[r]
		options = append(options, declares(r.variable(), text), toInfrastructure(r.variable(), "/spec/template/spec/"+path))
	}
	return w.class(options...)
}

// draftClass plans a ClusterClass that does not exist yet.
func (w *world) draftClass(options ...classOption) *class {
	w.t.Helper()
	draft := &clusterv1.ClusterClass{
		TypeMeta:   metav1.TypeMeta{APIVersion: clusterv1.GroupVersion.String(), Kind: "ClusterClass"},
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: w.unique("class")},
	}
	draft.Spec.Infrastructure.TemplateRef = template("infrastructure", "DemoClusterTemplate")
	draft.Spec.ControlPlane.TemplateRef = template("controlplane", "DemoControlPlaneTemplate")
	declares(buildVariable, text).onClass(draft)
	toInfrastructure(buildVariable, "/spec/template/spec/build").onClass(draft)
	for _, option := range options {
		option.onClass(draft)
	}
	w.apply(management.BlankTemplates(draft.Namespace))
	return &class{w: w, namespace: draft.Namespace, name: draft.Name, draft: draft}
}

func template(group, kind string) clusterv1.ClusterClassTemplateReference {
	return clusterv1.ClusterClassTemplateReference{APIVersion: group + ".cluster.x-k8s.io/v1beta2", Kind: kind, Name: "blank"}
}

// exampleClass makes the ClusterClass of the examples, which is gated by the VIPs.
func (w *world) exampleClass() *class {
	w.t.Helper()
	examples, err := allocator.Examples(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(examples, "clusterclass.yaml"))
	if err != nil {
		w.t.Fatal(err)
	}
	var k *class
	for part := range strings.SplitSeq(string(content), "\n---\n") {
		object := map[string]any{}
		if err := yaml.Unmarshal([]byte(part), &object); err != nil {
			w.t.Fatal(err)
		}
		object["metadata"].(map[string]any)["namespace"] = w.namespace
		if object["kind"] != "ClusterClass" {
			data, _ := yaml.Marshal(object)
			w.apply(string(data))
			continue
		}
		draft := &clusterv1.ClusterClass{}
		if err := yaml.UnmarshalStrict([]byte(part), draft); err != nil {
			w.t.Fatal(err)
		}
		draft.Namespace, draft.Name = w.namespace, w.unique("example")
		k = &class{w: w, namespace: draft.Namespace, name: draft.Name, draft: draft}
	}
	k.create()
	k.awaitReady()
	return k
}

func (k *class) create() {
	k.w.t.Helper()
	create(k.w, observe.ClusterClasses, k.draft)
}

// awaitReady waits until Cluster API has read the class as it is now.
func (k *class) awaitReady() {
	k.w.t.Helper()
	k.w.eventually("Cluster API has read class "+k.name, func() error {
		c := fetch[clusterv1.ClusterClass](k.w, observe.ClusterClasses, k.namespace, k.name)
		if c == nil || c.Status.ObservedGeneration != c.Generation ||
			!meta.IsStatusConditionTrue(c.Status.Conditions, clusterv1.ClusterClassVariablesReadyCondition) {
			return fmt.Errorf("not ready")
		}
		return nil
	})
}

// change edits the class and waits until Cluster API has read it again.
func (k *class) change(options ...classOption) {
	k.w.t.Helper()
	change(k.w, observe.ClusterClasses, k.namespace, k.name, func(c *clusterv1.ClusterClass) {
		for _, option := range options {
			option.onClass(c)
		}
	})
	k.awaitReady()
}

// declares adds an optional variable, or replaces the schema of one.
func declares(name string, schema clusterv1.JSONSchemaProps) classFunc {
	return func(c *clusterv1.ClusterClass) {
		undeclared(name)(c)
		c.Spec.Variables = append(c.Spec.Variables, clusterv1.ClusterClassVariable{
			Name: name, Required: ptr.To(false), Schema: clusterv1.VariableSchema{OpenAPIV3Schema: schema},
		})
	}
}

// undeclared takes a variable away, with the patches that are named after it.
func undeclared(name string) classFunc {
	return func(c *clusterv1.ClusterClass) {
		for i, variable := range c.Spec.Variables {
			if variable.Name == name {
				c.Spec.Variables = append(c.Spec.Variables[:i:i], c.Spec.Variables[i+1:]...)
				break
			}
		}
		unpatched(name)(c)
	}
}

// open takes the gate away: infrastructure is built at once.
func open() classFunc { return undeclared(buildVariable) }

// toInfrastructure adds a patch, named after the variable, that cannot do without it.
func toInfrastructure(variable, path string) classFunc {
	return patched(variable, "", "infrastructure", path, clusterv1.JSONPatchValue{Variable: variable})
}

// patched adds a patch of one of the two templates.
func patched(name, enabledIf, group, path string, from clusterv1.JSONPatchValue) classFunc {
	selector := clusterv1.PatchSelector{APIVersion: group + ".cluster.x-k8s.io/v1beta2"}
	if group == "infrastructure" {
		selector.Kind, selector.MatchResources.InfrastructureCluster = "DemoClusterTemplate", ptr.To(true)
	} else {
		selector.Kind, selector.MatchResources.ControlPlane = "DemoControlPlaneTemplate", ptr.To(true)
	}
	return func(c *clusterv1.ClusterClass) {
		c.Spec.Patches = append(c.Spec.Patches, clusterv1.ClusterClassPatch{
			Name: name, EnabledIf: enabledIf,
			Definitions: []clusterv1.PatchDefinition{{
				Selector:    selector,
				JSONPatches: []clusterv1.JSONPatch{{Op: "add", Path: path, ValueFrom: &from}},
			}},
		})
	}
}

func unpatched(name string) classFunc {
	return func(c *clusterv1.ClusterClass) {
		var kept []clusterv1.ClusterClassPatch
		for i := range c.Spec.Patches {
			if c.Spec.Patches[i].Name != name {
				kept = append(kept, c.Spec.Patches[i])
			}
		}
		c.Spec.Patches = kept
	}
}

// raw is a value in a schema.
func raw(value string) *apiextensionsv1.JSON { return &apiextensionsv1.JSON{Raw: []byte(value)} }
