package race

import (
	"context"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

var demoControlPlanes = schema.GroupVersionResource{Group: "controlplane.cluster.x-k8s.io", Version: "v1beta2", Resource: "democontrolplanes"}

// built is an object that Cluster API makes from a template: a DemoCluster or a
// DemoControlPlane, with the fields of both.
type built struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ControlPlaneEndpoint struct {
			Host string `json:"host"`
		} `json:"controlPlaneEndpoint"`
		IngressVIP          string   `json:"ingressVIP"`
		RegistrationAddress string   `json:"registrationAddress"`
		IngressAddress      string   `json:"ingressAddress"`
		TLSSANs             []string `json:"tlsSANs"`
	} `json:"spec"`
}

// vips are the addresses that the object was built with, each by its field.
func (b *built) vips() map[string]string {
	if b.Kind == "DemoCluster" {
		return map[string]string{"spec.controlPlaneEndpoint.host": b.Spec.ControlPlaneEndpoint.Host, "spec.ingressVIP": b.Spec.IngressVIP}
	}
	san := ""
	if len(b.Spec.TLSSANs) > 1 { // the first is the template's own
		san = b.Spec.TLSSANs[1]
	}
	return map[string]string{"spec.registrationAddress": b.Spec.RegistrationAddress, "spec.tlsSANs[1]": san, "spec.ingressAddress": b.Spec.IngressAddress}
}

// witness remembers how every object was born, and whatever was wrong with it.
type witness struct {
	mutex   sync.Mutex
	born    map[string]map[string]string // by namespace, kind/name: the VIPs of the first version
	current map[string]*built            // by kind, namespace/name
	lost    map[string][]string          // by namespace
}

func watchAll(ctx context.Context, client dynamic.Interface) (*witness, error) {
	w := &witness{born: map[string]map[string]string{}, current: map[string]*built{}, lost: map[string][]string{}}
	if err := w.watch(ctx, client); err != nil {
		return nil, err
	}
	return w, nil
}

// watch begins to look, and begins anew after a restart of the API server, which
// forgets the past.
func (w *witness) watch(ctx context.Context, client dynamic.Interface) error {
	for _, resource := range []schema.GroupVersionResource{observe.DemoClusters, demoControlPlanes} {
		if err := observe.Watch(ctx, client, resource, w.see); err != nil {
			return err
		}
	}
	return nil
}

func (w *witness) see(e observe.Event[built]) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	key := e.Object.Kind + " " + e.Object.Namespace + "/" + e.Object.Name
	if e.Deleted {
		delete(w.current, key)
		return
	}
	w.current[key] = e.Object
	now := e.Object.vips()
	first, known := w.born[key]
	if !known {
		w.born[key], first = now, now
	}
	for field, address := range now {
		switch {
		case address == "":
			w.complain(e.Object.Namespace, "%s, version %s: %s is empty", key, e.Object.ResourceVersion, field)
		case first[field] != address:
			w.complain(e.Object.Namespace, "%s, version %s: %s was %q and is %s", key, e.Object.ResourceVersion, field, first[field], address)
		}
	}
}

func (w *witness) complain(namespace, format string, args ...any) {
	w.lost[namespace] = append(w.lost[namespace], fmt.Sprintf(format, args...))
}

// losses are all complaints about objects of the namespace.
func (w *witness) losses(namespace string) []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return slices.Clone(w.lost[namespace])
}

// complete counts the objects of the namespace that have all their VIPs.
func (w *witness) complete(namespace, kind string) int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	count := 0
	for _, object := range w.current {
		if object.Namespace != namespace || object.Kind != kind {
			continue
		}
		full := true
		for _, address := range object.vips() {
			full = full && address != ""
		}
		if full {
			count++
		}
	}
	return count
}

// exists tells whether anything was ever built in the namespace for the Cluster.
func (w *witness) exists(namespace, cluster string) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, object := range w.current {
		if object.Namespace == namespace && object.Labels["cluster.x-k8s.io/cluster-name"] == cluster {
			return true
		}
	}
	return false
}
