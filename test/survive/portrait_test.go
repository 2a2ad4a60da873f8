package survive

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// portrait is all that the allocator made of a Cluster, with words in place of its
// name, UID and addresses: Clusters of equal portraits were served alike. Pools are
// left out where it does not matter from which one an address comes.
func (w *world) portrait(name string, pools bool) (string, error) {
	cluster, err := w.get(observe.Clusters, name)
	if err != nil {
		return "", err
	}
	picture := map[string]any{}
	replacements := []string{name, "NAME", w.namespace, "NAMESPACE"}
	held, err := w.leased(name)
	if err != nil {
		return "", err
	}
	picture["leases"] = len(held)
	if cluster != nil {
		picture["cluster"] = ours(cluster)
		replacements = append(replacements, string(cluster.GetUID()), "UID")
	}
	for _, role := range []string{observe.ControlPlane, observe.Ingress} {
		claimName := claimPrefixes[role] + name
		claim, err := w.get(observe.Claims, claimName)
		if err != nil {
			return "", err
		}
		if claim != nil {
			picture["claim of "+role] = claimAsMade(claim, pools)
		}
		address, err := w.get(observe.Addresses, claimName)
		if err != nil {
			return "", err
		}
		if address != nil && (claim != nil || !takenBack(address)) {
			text, _, _ := unstructured.NestedString(address.Object, "spec", "address")
			picture["address of "+role], picture["lease of "+role] = text, slices.Contains(held, text)
			replacements = append(replacements, text, strings.ToUpper(role))
		}
		if cluster != nil {
			if stamp := cluster.GetAnnotations()[prefix+role+"-vip"]; stamp != "" {
				replacements = append(replacements, stamp, strings.ToUpper(role))
			}
		}
	}
	if !pools {
		replacements = append(replacements, w.poolName("a"), "POOL", w.poolName("b"), "POOL")
	}
	text, err := json.MarshalIndent(picture, "", " ")
	if err != nil {
		return "", err
	}
	return strings.NewReplacer(longestFirst(replacements)...).Replace(string(text)), nil
}

// takenBack tells whether the allocator made the IPAddress, to take back a VIP whose
// claim was lost, and no provider has seen the claim that was to follow. If ingress is
// switched off before the allocator has made that, too, the address stays taken as long
// as the Cluster lives.
func takenBack(address *unstructured.Unstructured) bool {
	owners := address.GetOwnerReferences()
	return len(owners) == 1 && owners[0].Kind == "Cluster"
}

// longestFirst keeps 10.1.1.1 from being found in 10.1.1.10.
func longestFirst(pairs []string) []string {
	var sorted [][]string
	for pair := range slices.Chunk(pairs, 2) {
		sorted = append(sorted, pair)
	}
	slices.SortStableFunc(sorted, func(a, b []string) int { return len(b[0]) - len(a[0]) })
	return slices.Concat(sorted...)
}

// ours is what of a Cluster is the allocator's business.
func ours(cluster *unstructured.Unstructured) map[string]any {
	only := func(values map[string]string) map[string]string {
		kept := map[string]string{}
		for key, value := range values {
			if strings.HasPrefix(key, prefix) {
				kept[key] = value
			}
		}
		return kept
	}
	spec, _, _ := unstructured.NestedMap(cluster.Object, "spec")
	variables, _, _ := unstructured.NestedSlice(spec, "topology", "variables")
	return map[string]any{
		"endpoint": spec["controlPlaneEndpoint"], "paused": spec["paused"], "variables": byName(variables),
		"labels": only(cluster.GetLabels()), "annotations": only(cluster.GetAnnotations()),
		"conditions": []map[string]any{conditionOf(cluster, observe.ControlPlaneReady), conditionOf(cluster, observe.IngressReady)},
		"deleting":   cluster.GetDeletionTimestamp() != nil,
	}
}

func byName(variables []any) map[string]any {
	values := map[string]any{}
	for _, entry := range variables {
		if variable, ok := entry.(map[string]any); ok {
			values[fmt.Sprint(variable["name"])] = variable["value"]
		}
	}
	return values
}

// conditionOf is what a condition says, without when.
func conditionOf(cluster *unstructured.Unstructured, kind string) map[string]any {
	condition := observe.Condition(cluster, kind)
	if condition == nil {
		return nil
	}
	return map[string]any{"type": kind, "status": condition["status"], "reason": condition["reason"], "message": condition["message"]}
}

func reasonOf(cluster *unstructured.Unstructured, kind string) string {
	reason, _ := conditionOf(cluster, kind)["reason"].(string)
	return reason
}

func claimAsMade(claim *unstructured.Unstructured, pools bool) map[string]any {
	labels := claim.GetLabels()
	delete(labels, "objectset.rio.cattle.io/hash") // of the Cluster's name
	picture := map[string]any{
		"labels": labels, "owners": claim.Object["metadata"].(map[string]any)["ownerReferences"],
		"deleting": claim.GetDeletionTimestamp() != nil,
	}
	if pools {
		picture["spec"] = claim.Object["spec"]
	}
	return picture
}

// leased lists the addresses of the world whose Leases the Cluster holds, or of
// everybody if the name is "".
func (w *world) leased(name string) ([]string, error) {
	list, err := w.list(leases)
	if err != nil {
		return nil, err
	}
	addresses := []string{}
	for i := range list {
		lease := &list[i]
		raw, err := hex.DecodeString(strings.TrimPrefix(lease.GetName(), "vip-"))
		address, ok := netip.AddrFromSlice(raw)
		holder := lease.GetAnnotations()[prefix+"cluster"]
		if err == nil && ok && (name == "" || holder == w.namespace+"/"+name) {
			addresses = append(addresses, address.Unmap().String())
		}
	}
	slices.Sort(addresses)
	return addresses, nil
}

// becomes waits until the Cluster's portrait is the wanted one.
func (w *world) becomes(name, want string, pools bool) error {
	w.t.Helper()
	got, err := w.portrait(name, pools)
	if err == nil && got != want {
		return fmt.Errorf("it is\n%s\nwant\n%s", got, want)
	}
	return err
}

// served expects both conditions of a Cluster to have the reasons, and the claims and
// addresses that belong to them to be there or not.
func (w *world) served(name, controlPlane, ingress string) error {
	cluster, err := w.get(observe.Clusters, name)
	if err != nil {
		return err
	}
	if cluster == nil {
		return fmt.Errorf("%s does not exist", name)
	}
	var errs []error
	for role, want := range map[string][]string{
		observe.ControlPlane: {observe.ControlPlaneReady, controlPlane}, observe.Ingress: {observe.IngressReady, ingress},
	} {
		if got := reasonOf(cluster, want[0]); got != want[1] {
			errs = append(errs, fmt.Errorf("condition %s of Cluster %s says %q, want %q", want[0], name, got, want[1]))
		}
		errs = append(errs, w.backed(claimPrefixes[role]+name, string(cluster.GetUID()), want[1] == allocated))
	}
	return errors.Join(errs...)
}

// backed expects a live claim of the owner with an address, or neither.
func (w *world) backed(name, owner string, want bool) error {
	claim, err := w.get(observe.Claims, name)
	if err != nil {
		return err
	}
	address, err := w.get(observe.Addresses, name)
	if err != nil {
		return err
	}
	switch {
	case !want && claim == nil && address == nil:
		return nil
	case !want:
		return fmt.Errorf("claim %s or its address is still there", name)
	case claim == nil || address == nil || claim.GetDeletionTimestamp() != nil:
		return fmt.Errorf("claim %s is not live or has no address", name)
	case len(claim.GetOwnerReferences()) != 1 || string(claim.GetOwnerReferences()[0].UID) != owner:
		return fmt.Errorf("claim %s is owned by %v, want %s", name, claim.GetOwnerReferences(), owner)
	}
	return nil
}

// says expects the fragment in a condition of the Cluster.
func (w *world) says(name, fragment string) error {
	cluster, err := w.get(observe.Clusters, name)
	if err != nil {
		return err
	}
	for _, kind := range []string{observe.ControlPlaneReady, observe.IngressReady} {
		if message := fmt.Sprint(conditionOf(cluster, kind)["message"]); strings.Contains(message, fragment) {
			return nil
		}
	}
	return fmt.Errorf("no condition names %q", fragment)
}

// Reasons that the tests wait for.
const (
	allocated = "Allocated"
	manual    = "Manual"
	disabled  = "Disabled"
)

// nothingLeft expects no trace of a Cluster.
func (w *world) nothingLeft(name string) error {
	cluster, err := w.get(observe.Clusters, name)
	if cluster != nil {
		err = fmt.Errorf("the Cluster exists")
	}
	held, leasesErr := w.leased(name)
	if len(held) > 0 {
		leasesErr = fmt.Errorf("leases of %v are left", held)
	}
	errs := []error{err, leasesErr}
	for _, claim := range claimPrefixes {
		errs = append(errs, w.backed(claim+name, "", false))
	}
	return errors.Join(errs...)
}
