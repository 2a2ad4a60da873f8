package scale

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

const (
	// tenants is how many namespaces there are, each with a class of its own.
	tenants = 50
	// poolsPerRole is how many pools serve a role of a class.
	poolsPerRole = 2
	// perPool is how many converged Clusters draw from a pool at most. The addresses
	// above are for new ones.
	perPool = 200
	// mostClusters is how many the pools are large enough for.
	mostClusters = tenants * poolsPerRole * perPool
)

var roles = []string{observe.ControlPlane, observe.Ingress}

// tenant is a namespace with a class and the pools that serve it.
type tenant struct {
	namespace, class string
	pools            map[string][]*pool // by role
}

// makeTenants makes classes and pools: as many for ten Clusters as for ten thousand,
// so that what differs is the number of Clusters alone.
func (w *world) makeTenants(ctx context.Context) error {
	w.say("%d classes, %d pools", tenants, tenants*len(roles)*poolsPerRole)
	for i := range tenants {
		t := &tenant{namespace: fmt.Sprintf("tenant-%02d", i), class: fmt.Sprintf("class-%02d", i), pools: map[string][]*pool{}}
		for j, role := range roles {
			for k := range poolsPerRole {
				number := (i*len(roles)+j)*poolsPerRole + k
				t.pools[role] = append(t.pools[role], &pool{name: fmt.Sprintf("%s-%02d-%d", role, i, k), network: fmt.Sprintf("10.64.%d.", number)})
			}
		}
		w.tenants = append(w.tenants, t)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for _, t := range w.tenants {
		for _, pools := range t.pools {
			for _, p := range pools {
				w.pools[p.name] = p
			}
		}
		group.Go(func() error { return w.makeTenant(ctx, t) })
	}
	return group.Wait()
}

func (w *world) makeTenant(ctx context.Context, t *tenant) error {
	if err := w.createNamespace(ctx, t.namespace); err != nil {
		return err
	}
	for role, pools := range t.pools {
		for _, p := range pools {
			if err := w.makePool(ctx, p, role, t.class); err != nil {
				return err
			}
		}
	}
	return w.makeClass(ctx, t)
}

// makeClass makes the example class, with the status that Cluster API would give it.
func (w *world) makeClass(ctx context.Context, t *tenant) error {
	class, err := exampleClass(ctx)
	if err != nil {
		return err
	}
	class.SetNamespace(t.namespace)
	class.SetName(t.class)
	classes := w.client.Resource(observe.ClusterClasses).Namespace(t.namespace)
	created, err := classes.Create(ctx, class, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create class %s/%s: %w", t.namespace, t.class, err)
	}
	declared, _, err := unstructured.NestedSlice(class.Object, "spec", "variables")
	if err != nil {
		return err
	}
	var variables []any
	for _, variable := range declared {
		fields, ok := variable.(map[string]any)
		if !ok {
			return fmt.Errorf("class %s/%s: a variable is no object", t.namespace, t.class)
		}
		variables = append(variables, map[string]any{"name": fields["name"], "definitions": []any{
			map[string]any{"from": "inline", "required": fields["required"], "schema": fields["schema"]},
		}})
	}
	created.Object["status"] = map[string]any{
		"observedGeneration": created.GetGeneration(), "variables": variables,
		"conditions": []any{map[string]any{
			"type": "VariablesReady", "status": "True", "reason": "VariablesReady", "message": "",
			"observedGeneration": created.GetGeneration(), "lastTransitionTime": "2026-01-05T08:00:00Z",
		}},
	}
	if _, err := classes.UpdateStatus(ctx, created, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("status of class %s/%s: %w", t.namespace, t.class, err)
	}
	return nil
}

// exampleClass reads the ClusterClass of the examples.
func exampleClass(ctx context.Context) (*unstructured.Unstructured, error) {
	examples, err := allocator.Examples(ctx)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(examples, "clusterclass.yaml"))
	if err != nil {
		return nil, err
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("there is none")
			}
			return nil, fmt.Errorf("read the example class: %w", err)
		}
		if object.GetKind() == "ClusterClass" {
			return object, nil
		}
	}
}
