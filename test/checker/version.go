package checker

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// version is what one version of an object says.
type version struct {
	at       time.Time
	revision uint64 // of etcd: one order for all kinds
	deleted  bool   // the object is gone with this version
	object   *unstructured.Unstructured
}

// history is all versions of one object, from the oldest.
type history struct {
	kind, namespace, name string
	uid                   types.UID
	versions              []version
}

func (h *history) String() string { return h.kind + " " + h.namespace + "/" + h.name }

func (h *history) last() *version { return &h.versions[len(h.versions)-1] }

func (h *history) live() bool { return !h.last().deleted }

func revisionOf(o *unstructured.Unstructured) uint64 {
	n, err := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// role is what a VIP is for, with the public names that belong to it.
type role struct {
	name, claimPrefix, variable string
}

const prefix = "vip.capi.gorizond.io/"

var roles = []role{
	{"control-plane", "vip-cp-", "clusterVip"},
	{"ingress", "vip-ingress-", "ingressVip"},
}

func (r role) stamp() string   { return prefix + r.name + "-vip" }
func (r role) written() string { return prefix + r.name + "-written" }

// vips returns every value that stands as a VIP in the Cluster, with its role.
func vips(cluster *unstructured.Unstructured) map[string]string {
	found := map[string]string{}
	add := func(role, text string) {
		// A host name is no address, and addresses are compared as such.
		if address, err := netip.ParseAddr(text); err == nil {
			found[address.Unmap().String()] = role
		}
	}
	add(roles[0].name, textAt(cluster, "spec", "controlPlaneEndpoint", "host"))
	variables, _, _ := unstructured.NestedSlice(cluster.Object, "spec", "topology", "variables")
	for _, r := range roles {
		add(r.name, cluster.GetAnnotations()[r.stamp()])
		add(r.name, cluster.GetLabels()[r.stamp()])
		for _, entry := range variables {
			variable, _ := entry.(map[string]any)
			if value, isText := variable["value"].(string); isText && variable["name"] == r.variable {
				add(r.name, value)
			}
		}
	}
	return found
}

func textAt(o *unstructured.Unstructured, fields ...string) string {
	text, _, _ := unstructured.NestedString(o.Object, fields...)
	return text
}

// String shows what matters of the version in one line.
func (v *version) String() string {
	o := v.object
	parts := []string{fmt.Sprintf("%s %d", v.at.Format("15:04:05.000"), v.revision)}
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	add("uid", string(o.GetUID()))
	switch {
	case v.deleted:
		parts = append(parts, "GONE")
	case o.GetDeletionTimestamp() != nil:
		parts = append(parts, "deleting")
	}
	switch o.GetKind() {
	case "Cluster":
		add("endpoint", textAt(o, "spec", "controlPlaneEndpoint", "host"))
		variables, _, _ := unstructured.NestedSlice(o.Object, "spec", "topology", "variables")
		for _, entry := range variables {
			variable, _ := entry.(map[string]any)
			value, _ := json.Marshal(variable["value"])
			add(fmt.Sprint(variable["name"]), string(value))
		}
		for _, key := range sortedKeys(o.GetAnnotations()) {
			if strings.HasPrefix(key, prefix) {
				add(strings.TrimPrefix(key, prefix), o.GetAnnotations()[key])
			}
		}
	case "IPAddressClaim":
		add("pool", textAt(o, "spec", "poolRef", "kind")+"/"+textAt(o, "spec", "poolRef", "name"))
		add("bound", textAt(o, "status", "addressRef", "name"))
		add("owners", owners(o))
	default:
		add("address", textAt(o, "spec", "address"))
		add("claim", textAt(o, "spec", "claimRef", "name"))
	}
	return strings.Join(parts, " ")
}

func owners(o *unstructured.Unstructured) string {
	var uids []string
	for _, owner := range o.GetOwnerReferences() {
		uids = append(uids, string(owner.UID))
	}
	return strings.Join(uids, ",")
}

func sortedKeys(values map[string]string) []string {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
