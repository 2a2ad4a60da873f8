package pools

import (
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// expectation is something that a Cluster should be; the error says what it is instead.
type expectation func(*unstructured.Unstructured) error

func check(object *unstructured.Unstructured, expectations ...expectation) error {
	var errs []error
	for _, expected := range expectations {
		errs = append(errs, expected(object))
	}
	return errors.Join(errs...)
}

// now reads the Cluster, which must exist.
func (c *cluster) now() *unstructured.Unstructured {
	c.w.t.Helper()
	object := c.w.get(observe.Clusters, c.w.namespace, c.name)
	if object == nil {
		c.w.t.Fatalf("Cluster %s does not exist", c.name)
	}
	return object
}

// becomes waits until the Cluster is as expected, all at once.
func (c *cluster) becomes(expectations ...expectation) {
	c.w.t.Helper()
	c.w.eventually("Cluster "+c.name+" is as expected", func() error { return check(c.now(), expectations...) })
}

// is reports what is not as expected now.
func (c *cluster) is(expectations ...expectation) {
	c.w.t.Helper()
	if err := check(c.now(), expectations...); err != nil {
		c.w.t.Errorf("Cluster %s: %v", c.name, err)
	}
}

func (c *cluster) patch(document string) {
	c.w.t.Helper()
	c.w.patch(observe.Clusters, c.w.namespace, c.name, document)
}

// served waits for the VIP of the role and returns it.
func (c *cluster) served(r role) string {
	c.w.t.Helper()
	var address string
	c.becomes(func(o *unstructured.Unstructured) error {
		address = o.GetAnnotations()[r.stamp()]
		return has(r, address)(o)
	})
	return address
}

// claim returns the role's claim, nil if there is none.
func (c *cluster) claim(r role) *unstructured.Unstructured {
	c.w.t.Helper()
	return c.w.get(observe.Claims, c.w.namespace, r.claim(c.name))
}

// on is the name of the pool that the role's claim is on.
func (c *cluster) on(r role) string {
	c.w.t.Helper()
	claim := c.claim(r)
	if claim == nil {
		return ""
	}
	return textAt(claim, "spec", "poolRef", "name")
}

// has expects the VIP of a role from a claim, in every place.
func has(r role, address string) expectation {
	return func(o *unstructured.Unstructured) error {
		var errs []error
		is := func(what, got, want string) {
			if got != want {
				errs = append(errs, fmt.Errorf("%s is %q, want %q", what, got, want))
			}
		}
		if address == "" {
			errs = append(errs, errors.New("there is no VIP"))
		}
		if r == controlPlane {
			is("endpoint", textAt(o, "spec", "controlPlaneEndpoint", "host"), address)
			port, _, _ := unstructured.NestedInt64(o.Object, "spec", "controlPlaneEndpoint", "port")
			is("port", fmt.Sprint(port), "6443")
		}
		is("variable", variableOf(o, r.variable()), address)
		is("stamp", o.GetAnnotations()[r.stamp()], address)
		is("written", o.GetAnnotations()[r.written()], r.variable())
		is("label", o.GetLabels()[prefix+"has-"+string(r)+"-vip"], "true")
		return errors.Join(append(errs, reason(r, "Allocated", address)(o))...)
	}
}

func variableOf(o *unstructured.Unstructured, name string) string {
	variables, _, _ := unstructured.NestedSlice(o.Object, "spec", "topology", "variables")
	for _, entry := range variables {
		if variable, _ := entry.(map[string]any); variable["name"] == name {
			return fmt.Sprint(variable["value"])
		}
	}
	return ""
}

// reason expects the role's condition, with all of the fragments in its message.
func reason(r role, want string, fragments ...string) expectation {
	return func(o *unstructured.Unstructured) error {
		got, message := conditionOf(o, r)
		if got != want {
			return fmt.Errorf("condition %s is %q (%s), want %s", r.condition(), got, message, want)
		}
		for _, fragment := range fragments {
			if !strings.Contains(message, fragment) {
				return fmt.Errorf("condition %s says %q, want it to name %q", r.condition(), message, fragment)
			}
		}
		return nil
	}
}

func conditionOf(o *unstructured.Unstructured, r role) (reason, message string) {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, entry := range conditions {
		if condition, _ := entry.(map[string]any); condition["type"] == r.condition() {
			return fmt.Sprint(condition["reason"]), fmt.Sprint(condition["message"])
		}
	}
	return "", ""
}

// barrier returns when the allocator has handled whatever happened before: a
// Cluster made now has got its VIP from a pool of its own.
func (w *world) barrier() {
	w.t.Helper()
	class := w.class(controlPlane)
	w.made++
	pool := w.pool(draft{class: class, addresses: []string{w.ip(250, w.made)}, roles: "control-plane"})
	w.cluster(class).becomes(reason(controlPlane, "Allocated", pool.name))
}

// condemned deletes a Cluster and waits until it is gone.
func (c *cluster) condemned(policy ...metav1.DeletionPropagation) {
	c.w.t.Helper()
	c.w.remove(observe.Clusters, c.w.namespace, c.name, policy...)
	c.w.gone(observe.Clusters, c.w.namespace, c.name)
}
