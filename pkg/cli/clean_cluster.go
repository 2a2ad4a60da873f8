package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/lint"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// identity are the fields of metadata that the API server gives to one object, or that
// tie it to others.
var identity = []string{
	"uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink",
	"managedFields", "ownerReferences", "finalizers",
}

// cleanCluster takes everything off the Cluster that must not be on another one. The
// notes name what is left and looks as if it belonged to this one.
func cleanCluster(cluster map[string]any) (notes []string, err error) {
	original, err := readOriginal(cluster)
	if err != nil {
		return nil, err
	}
	remove := func(path ...string) { unstructured.RemoveNestedField(cluster, path...) }
	for _, field := range identity {
		remove("metadata", field)
	}
	remove("status")
	remove("spec", "controlPlaneEndpoint")
	remove("spec", "infrastructureRef")
	remove("spec", "controlPlaneRef")
	if original.Held() {
		remove("spec", "paused")
	}
	cleanVariables(cluster, original)
	remove("metadata", "labels", clusterv1.ClusterTopologyOwnedLabel)
	remove("metadata", "annotations", corev1.LastAppliedConfigAnnotation)
	remove("metadata", "annotations", vip.HeldAnnotation)
	remove("metadata", "annotations", vip.WrittenForAnnotation)
	for _, role := range vip.Roles() {
		remove("metadata", "annotations", role.Stamp())
		remove("metadata", "annotations", role.WrittenAnnotation())
		remove("metadata", "labels", role.Stamp())
		remove("metadata", "labels", role.StampedLabel())
	}
	if name, _, _ := unstructured.NestedString(cluster, "metadata", "name"); original.Labels[vip.ClusterNameLabel] == name {
		remove("metadata", "labels", vip.ClusterNameLabel)
	}
	for _, field := range []string{"annotations", "labels"} {
		if left, _, _ := unstructured.NestedMap(cluster, "metadata", field); len(left) == 0 {
			remove("metadata", field)
		}
	}
	return original.notes(cluster), nil
}

// original is what the manifest says of the Cluster that it is from.
type original struct {
	vip.Cluster
	topology bool
}

// readOriginal reads what decides over what is removed. What is not of the type that the
// API has is an error: it would stay in the copy.
func readOriginal(cluster map[string]any) (*original, error) {
	var shape struct {
		Metadata struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec struct {
			Paused               *bool `json:"paused"`
			ControlPlaneEndpoint struct {
				Host string `json:"host"`
			} `json:"controlPlaneEndpoint"`
			InfrastructureRef struct {
				Name string `json:"name"`
			} `json:"infrastructureRef"`
			Topology *struct {
				Variables []struct {
					Name string `json:"name"`
				} `json:"variables"`
			} `json:"topology"`
		} `json:"spec"`
	}
	data, err := json.Marshal(cluster)
	if err == nil {
		err = json.Unmarshal(data, &shape)
	}
	if err != nil {
		return nil, inWords(cluster, err)
	}
	o := &original{topology: shape.Spec.Topology != nil}
	o.Labels, o.Annotations, o.Paused = shape.Metadata.Labels, shape.Metadata.Annotations, shape.Spec.Paused
	o.Endpoint.Host, o.HasInfrastructure = shape.Spec.ControlPlaneEndpoint.Host, shape.Spec.InfrastructureRef.Name != ""
	return o, nil
}

// inWords says what cannot be read in the Cluster. Of a label or annotation the decoder does
// not say which.
func inWords(cluster map[string]any, err error) error {
	metadata, _ := cluster["metadata"].(map[string]any)
	for _, field := range []string{"annotations", "labels"} {
		values, _ := metadata[field].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if _, isText := values[key].(string); !isText && values[key] != nil {
				return fmt.Errorf("metadata.%s: the value of %.100q must be a string; put it in quotes", field, key)
			}
		}
	}
	return errors.New(lint.InWords(err))
}

// cleanVariables takes out what the allocator wrote into topology variables, and variables
// of which nothing is left then.
func cleanVariables(cluster map[string]any, o *original) {
	spec, _ := cluster["spec"].(map[string]any)
	topology, _ := spec["topology"].(map[string]any)
	list, _ := topology["variables"].([]any)
	for _, role := range vip.Roles() {
		path := o.Annotations[role.WrittenAnnotation()]
		if path == "" || path == vip.WrittenNone {
			continue
		}
		name, field, nested := strings.Cut(path, ".")
		list = slices.DeleteFunc(list, func(entry any) bool {
			variable, _ := entry.(map[string]any)
			if variable["name"] != name {
				return false
			}
			if !nested {
				return true
			}
			value, isObject := variable["value"].(map[string]any)
			return isObject && removeField(value, strings.Split(field, ".")...)
		})
	}
	if len(list) > 0 {
		topology["variables"] = list
	} else {
		delete(topology, "variables")
	}
}

// removeField removes a field, and each object around it that is empty then. It tells
// whether nothing at all is left.
func removeField(object map[string]any, path ...string) (empty bool) {
	if len(path) > 1 {
		inner, isObject := object[path[0]].(map[string]any)
		if !isObject || !removeField(inner, path[1:]...) {
			return false
		}
	}
	delete(object, path[0])
	return len(object) == 0
}

// notes name what is left of the original's addresses, and what its user has to name anew.
func (o *original) notes(cluster map[string]any) (notes []string) {
	if !o.topology && o.HasInfrastructure {
		notes = append(notes, "it has no spec.topology, and its references to infrastructure and control plane are left out; name those of the copy")
	}
	if paused := o.Paused != nil && *o.Paused; paused && !o.Held() {
		notes = append(notes, "spec.paused stays, since it is not the allocator's own; the copy gets no VIP while it is paused")
	}
	addresses := map[netip.Addr]bool{}
	add := func(text string) {
		if key, ok := vip.Key(text); ok {
			addresses[key] = true
		}
	}
	add(o.Endpoint.Host)
	for _, role := range vip.Roles() {
		add(o.Annotations[role.Stamp()])
	}
	eachText(cluster["spec"], "spec", func(path, text string) {
		if key, ok := vip.Key(text); ok && addresses[key] {
			notes = append(notes, fmt.Sprintf("%s still is %s, a VIP of the original: remove it, or set another one", path, text))
		}
	})
	return notes
}

// eachText visits every string below the path. An entry of a list is called by its name, if
// it has one.
func eachText(value any, path string, visit func(path, text string)) {
	switch v := value.(type) {
	case string:
		visit(path, v)
	case map[string]any:
		for _, field := range slices.Sorted(maps.Keys(v)) {
			eachText(v[field], path+"."+field, visit)
		}
	case []any:
		for i, entry := range v {
			name := fmt.Sprint(i)
			if object, isObject := entry.(map[string]any); isObject && object["name"] != nil {
				name = fmt.Sprint(object["name"])
			}
			eachText(entry, path+"["+name+"]", visit)
		}
	}
}
