package management

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/conversion"
	clusterv1beta1 "sigs.k8s.io/cluster-api/api/core/v1beta1" //nolint:staticcheck // old releases serve nothing else
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1beta1 "sigs.k8s.io/cluster-api/api/ipam/v1beta1" //nolint:staticcheck // as above
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"
)

// translator lets tests that are written for v1beta2 speak with a Cluster API that
// serves only v1beta1, the way its own conversion would. Patches pass as they are,
// except those that are whole objects.
type translator struct {
	next http.RoundTripper
	on   *atomic.Bool
}

const newest = "v1beta2"

// oldest are the versions that are served instead, by group.
var oldest = map[string]string{
	clusterv1.GroupVersion.Group: "v1beta1", ipamv1.GroupVersion.Group: "v1beta1", "runtime." + clusterv1.GroupVersion.Group: "v1alpha1",
}

// version is that of the group's newer or older objects.
func version(group string, newer bool) string {
	if newer {
		return newest
	}
	return oldest[group]
}

func (t translator) RoundTrip(request *http.Request) (*http.Response, error) {
	parts := strings.SplitN(request.URL.Path, "/", 5) // "", apis, group, version, the rest
	if len(parts) < 5 || oldest[parts[2]] == "" || parts[3] != newest || !t.on.Load() {
		return t.next.RoundTrip(request)
	}
	request = request.Clone(request.Context())
	parts[3] = oldest[parts[2]]
	request.URL.Path = strings.Join(parts, "/")
	if err := translateBody(request); err != nil {
		return nil, err
	}
	response, err := t.next.RoundTrip(request) //nolint:bodyclose // it is closed below, or by the caller
	if err != nil {
		return nil, err
	}
	body := response.Body
	if request.URL.Query().Get("watch") == "" {
		defer body.Close()
		data, err := io.ReadAll(body)
		if err == nil {
			data, err = translated(data, true)
		}
		response.Body = io.NopCloser(bytes.NewReader(data))
		response.ContentLength = int64(len(data))
		response.Header.Del("Content-Length")
		return response, err
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(translateEvents(body, writer)) }()
	response.Body = watching{reader, body}
	return response, nil
}

// watching closes the API server's answer together with its translation.
type watching struct {
	*io.PipeReader
	body io.Closer
}

func (w watching) Close() error {
	w.PipeReader.Close()
	return w.body.Close()
}

func translateBody(request *http.Request) error {
	kind := request.Header.Get("Content-Type")
	if request.Body == nil || strings.Contains(kind, "merge-patch") || strings.Contains(kind, "json-patch") {
		return nil
	}
	data, err := io.ReadAll(request.Body)
	request.Body.Close()
	if err == nil {
		data, err = translated(data, false)
	}
	request.Body = io.NopCloser(bytes.NewReader(data))
	request.ContentLength = int64(len(data))
	return err
}

func translateEvents(from io.Reader, to io.Writer) error {
	decoder := json.NewDecoder(from)
	for {
		var event metav1.WatchEvent
		if err := decoder.Decode(&event); err != nil {
			return err
		}
		var err error
		if event.Object.Raw, err = translated(event.Object.Raw, true); err != nil {
			return err
		}
		data, err := json.Marshal(event)
		if err == nil {
			_, err = to.Write(append(data, '\n'))
		}
		if err != nil {
			return err
		}
	}
}

// translated turns an object or a list into its newer or older form. What is of
// another kind stays.
func translated(data []byte, newer bool) ([]byte, error) {
	var object unstructured.Unstructured
	if json.Unmarshal(data, &object.Object) != nil {
		return data, nil //nolint:nilerr // what is no object is none of ours
	}
	gvk := object.GroupVersionKind()
	if oldest[gvk.Group] == "" {
		return data, nil
	}
	if item, isList := strings.CutSuffix(gvk.Kind, "List"); isList {
		items, _, _ := unstructured.NestedSlice(object.Object, "items")
		for i := range items {
			one, _ := items[i].(map[string]any)
			var err error
			if items[i], err = convert(item, &unstructured.Unstructured{Object: one}, newer); err != nil {
				return nil, err
			}
		}
		object.Object["items"] = items
		object.SetAPIVersion(gvk.Group + "/" + version(gvk.Group, newer))
		return json.Marshal(object.Object)
	}
	result, err := convert(gvk.Kind, &object, newer)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

// older returns the object at v1beta1 where nothing else is served.
func (c *Cluster) older(object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	gvk := object.GroupVersionKind()
	if oldest[gvk.Group] == "" || gvk.Version != newest || !c.translate.Load() {
		return object, nil
	}
	result, err := convert(gvk.Kind, object, false)
	return &unstructured.Unstructured{Object: result}, err
}

// convert returns the object at the other version.
func convert(kind string, object *unstructured.Unstructured, newer bool) (map[string]any, error) {
	result := object.DeepCopy().Object
	group := object.GroupVersionKind().Group
	var err error
	switch kind {
	case "Cluster":
		result, err = between(object, newer, clusterToNew, clusterToOld)
	case "ClusterClass":
		result, err = between(object, newer, clusterv1beta1.Convert_v1beta1_ClusterClass_To_v1beta2_ClusterClass, classToOld)
	case "IPAddressClaim":
		result, err = between(object, newer, ipamv1beta1.Convert_v1beta1_IPAddressClaim_To_v1beta2_IPAddressClaim, ipamv1beta1.Convert_v1beta2_IPAddressClaim_To_v1beta1_IPAddressClaim)
	case "IPAddress":
		result, err = between(object, newer, ipamv1beta1.Convert_v1beta1_IPAddress_To_v1beta2_IPAddress, ipamv1beta1.Convert_v1beta2_IPAddress_To_v1beta1_IPAddress)
	}
	if err != nil {
		return nil, fmt.Errorf("convert %s %s/%s: %w", kind, object.GetNamespace(), object.GetName(), err)
	}
	result["apiVersion"], result["kind"] = group+"/"+version(group, newer), kind
	return result, nil
}

func between[Old, New any](object *unstructured.Unstructured, newer bool,
	toNew func(*Old, *New, conversion.Scope) error, toOld func(*New, *Old, conversion.Scope) error,
) (map[string]any, error) {
	data, err := json.Marshal(object.Object)
	if err != nil {
		return nil, err
	}
	before, after := new(Old), new(New)
	var target any = after
	if newer {
		if err = json.Unmarshal(data, before); err == nil {
			err = toNew(before, after, nil)
		}
	} else {
		target = before
		if err = json.Unmarshal(data, after); err == nil {
			err = toOld(after, before, nil)
		}
	}
	if err == nil {
		data, err = json.Marshal(target)
	}
	result := map[string]any{}
	if err == nil {
		err = json.Unmarshal(data, &result)
	}
	return result, err
}

// clusterToNew completes what the conversion leaves to Cluster API's webhook.
func clusterToNew(old *clusterv1beta1.Cluster, cluster *clusterv1.Cluster, scope conversion.Scope) error {
	err := clusterv1beta1.Convert_v1beta1_Cluster_To_v1beta2_Cluster(old, cluster, scope)
	toNew := func(ref *corev1.ObjectReference) (newer clusterv1.ContractVersionedObjectReference) {
		if ref != nil {
			newer = clusterv1.ContractVersionedObjectReference{APIGroup: ref.GroupVersionKind().Group, Kind: ref.Kind, Name: ref.Name}
		}
		return newer
	}
	cluster.Spec.InfrastructureRef, cluster.Spec.ControlPlaneRef = toNew(old.Spec.InfrastructureRef), toNew(old.Spec.ControlPlaneRef)
	cluster.Status.Initialization.InfrastructureProvisioned = &old.Status.InfrastructureReady
	if !old.Spec.Paused {
		cluster.Spec.Paused = nil
	}
	return err
}

func clusterToOld(cluster *clusterv1.Cluster, old *clusterv1beta1.Cluster, scope conversion.Scope) error {
	err := clusterv1beta1.Convert_v1beta2_Cluster_To_v1beta1_Cluster(cluster, old, scope)
	toOld := func(ref clusterv1.ContractVersionedObjectReference) *corev1.ObjectReference {
		if !ref.IsDefined() {
			return nil
		}
		return &corev1.ObjectReference{APIVersion: ref.APIGroup + "/" + newest, Kind: ref.Kind, Name: ref.Name, Namespace: cluster.Namespace}
	}
	old.Spec.InfrastructureRef, old.Spec.ControlPlaneRef = toOld(cluster.Spec.InfrastructureRef), toOld(cluster.Spec.ControlPlaneRef)
	return err
}

// classToOld leaves out what stands for nothing in the older type by being empty.
func classToOld(class *clusterv1.ClusterClass, old *clusterv1beta1.ClusterClass, scope conversion.Scope) error {
	err := clusterv1beta1.Convert_v1beta2_ClusterClass_To_v1beta1_ClusterClass(class, old, scope)
	drop := func(texts ...**string) {
		for _, text := range texts {
			if *text != nil && **text == "" {
				*text = nil
			}
		}
	}
	for i := range old.Spec.Patches {
		patch := &old.Spec.Patches[i]
		drop(&patch.EnabledIf)
		for j := range patch.Definitions {
			for k := range patch.Definitions[j].JSONPatches {
				if from := patch.Definitions[j].JSONPatches[k].ValueFrom; from != nil {
					drop(&from.Variable, &from.Template)
				}
			}
		}
	}
	return err
}
