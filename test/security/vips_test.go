package security

import (
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// vips are what a Cluster has been given, as far as anybody can see.
type vips struct{ host, clusterVip, ingressVip, cpStamp, inStamp, cpClaim, inClaim string }

func (w *world) vips(namespace, name string) (vips, error) {
	c, err := w.get(observe.Clusters, namespace, name)
	if err != nil {
		return vips{}, err
	}
	v := vips{cpStamp: c.GetAnnotations()[cpStamp], inStamp: c.GetAnnotations()[inStamp]}
	v.host, _, _ = unstructured.NestedString(c.Object, "spec", "controlPlaneEndpoint", "host")
	list, _, _ := unstructured.NestedSlice(c.Object, "spec", "topology", "variables")
	for _, entry := range list {
		switch text, _ := entry.(object)["value"].(string); entry.(object)["name"] {
		case "clusterVip":
			v.clusterVip = text
		case "ingressVip":
			v.ingressVip = text
		}
	}
	v.cpClaim, err = w.bound(namespace, cpClaim+name)
	if err != nil {
		return v, err
	}
	v.inClaim, err = w.bound(namespace, "vip-ingress-"+name)
	return v, err
}

// bound returns the address that a claim holds; empty if there is none.
func (w *world) bound(namespace, claim string) (string, error) {
	c, err := w.get(observe.Claims, namespace, claim)
	if err != nil {
		return "", client404(err)
	}
	name, _, _ := unstructured.NestedString(c.Object, "status", "addressRef", "name")
	if name == "" {
		return "", nil
	}
	address, err := w.get(observe.Addresses, namespace, name)
	if err != nil {
		return "", client404(err)
	}
	text, _, _ := unstructured.NestedString(address.Object, "spec", "address")
	return text, nil
}

func client404(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// served waits until the Cluster has both VIPs everywhere, each from its own claim.
func (w *world) served(namespace, name string) vips {
	w.t.Helper()
	var v vips
	w.until(namespace+"/"+name+" has its VIPs", func() error {
		var err error
		if v, err = w.vips(namespace, name); err != nil {
			return err
		}
		cp, in := v.cpClaim, v.inClaim
		if cp == "" || in == "" || v != (vips{cp, cp, in, cp, in, cp, in}) {
			return fmt.Errorf("it has %+v", v)
		}
		return nil
	})
	return v
}

// condition returns what a condition says, as "Reason: message".
func condition(o *unstructured.Unstructured, kind string) (status, text string) {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, entry := range list {
		if c, _ := entry.(object); c["type"] == kind {
			status, _ = c["status"].(string)
			return status, fmt.Sprint(c["reason"], ": ", c["message"])
		}
	}
	return "", ""
}

// says waits until a condition of the Cluster has the reason and names the fragments.
func (w *world) says(namespace, name, kind, reason string, fragments ...string) {
	w.t.Helper()
	w.until(fmt.Sprintf("%s of %s/%s says %s %q", kind, namespace, name, reason, fragments), func() error {
		c, err := w.get(observe.Clusters, namespace, name)
		if err != nil {
			return err
		}
		return saying(c, kind, reason, fragments...)
	})
}

func saying(c *unstructured.Unstructured, kind, reason string, fragments ...string) error {
	_, text := condition(c, kind)
	if !strings.HasPrefix(text, reason+":") {
		return fmt.Errorf("it says %q", text)
	}
	for _, fragment := range fragments {
		if !strings.Contains(text, fragment) {
			return fmt.Errorf("%q is not in %q", fragment, text)
		}
	}
	return nil
}

// nobodyHas expects that no IPAddress of the namespace is one of these.
func (w *world) nobodyHas(namespace string, addresses ...string) {
	w.t.Helper()
	list, err := w.Client.Resource(observe.Addresses).Namespace(namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		text, _, _ := unstructured.NestedString(list.Items[i].Object, "spec", "address")
		for _, address := range addresses {
			if strings.HasSuffix(text, address) {
				w.t.Errorf("%s/%s is %s", namespace, list.Items[i].GetName(), text)
			}
		}
	}
}

// drawsNothing expects that no claim of the namespace names the pool.
func (w *world) drawsNothing(namespace, pool string) {
	w.t.Helper()
	list, err := w.Client.Resource(observe.Claims).Namespace(namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range list.Items {
		if name, _, _ := unstructured.NestedString(list.Items[i].Object, "spec", "poolRef", "name"); name == pool {
			w.t.Errorf("claim %s/%s is on pool %s", namespace, list.Items[i].GetName(), pool)
		}
	}
}
