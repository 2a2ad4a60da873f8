package suite

import (
	"errors"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// oldClass is what version 0.7.1 told people to write: an empty default, rendered
// by a template, for the control plane only; the ingress variable is new to it.
func oldClass(w *world) *class {
	optional := clusterv1.JSONSchemaProps{Type: "string", Default: raw(`""`)}
	template := func(variable string) clusterv1.JSONPatchValue {
		return clusterv1.JSONPatchValue{Template: `"{{ .` + variable + ` }}"`}
	}
	return w.class(open(), declares("clusterVip", optional), declares("ingressVip", optional),
		patched("host", "", "infrastructure", "/spec/template/spec/controlPlaneEndpoint/host", template("clusterVip")),
		patched("sans", "", "controlplane", "/spec/template/spec/tlsSANs/-", template("clusterVip")),
		patched("ingress", "", "infrastructure", "/spec/template/spec/ingressVIP", template("ingressVip")))
}

// asOf071 makes a claim what version 0.7.1 made of it.
func asOf071(claim *ipamv1.IPAddressClaim) {
	claim.Labels = map[string]string{poolRole: claim.Labels[poolRole]}
	owner := &claim.OwnerReferences[0]
	owner.APIVersion, owner.Controller, owner.BlockOwnerDeletion = "cluster.x-k8s.io/v1beta1", ptr.To(true), ptr.To(true)
}

// old is a Cluster that runs since version 0.7.1, with both claims and without a
// new controller having seen it.
type old struct {
	*cluster
	addresses map[role]string
	claims    map[role]*ipamv1.IPAddressClaim
}

func runningSince071(w *world, k *class) *old {
	w.t.Helper()
	pools := map[role]*pool{controlPlane: w.pool(serving(controlPlane, k)), ingress: w.pool(serving(ingress, k))}
	o := &old{cluster: w.cluster(k, labelled(watchFilterLabel, "not-yet")), addresses: map[role]string{}, claims: map[role]*ipamv1.IPAddressClaim{}}
	for r, p := range pools {
		o.claims[r] = o.ownClaim(r, p, asOf071)
		w.eventually("the claims are bound", func() error {
			o.addresses[r] = o.address(r)
			return wanted([]string{o.addresses[r]}, p.address(0))
		})
	}
	o.change(at(o.addresses[controlPlane], 6443), set("clusterVip", o.addresses[controlPlane]),
		annotated(ingress.stamp(), o.addresses[ingress]), labelled(ingress.stamp(), o.addresses[ingress]))
	o.becomes(built())
	w.eventually("the topology has settled", func() error {
		host, _, _ := unstructured.NestedString(o.infrastructure().Object, "spec", "controlPlaneEndpoint", "host")
		nodes := o.referred(o.now().Spec.ControlPlaneRef.Name, "DemoControlPlane")
		sans, _, _ := unstructured.NestedStringSlice(nodes.Object, "spec", "tlsSANs")
		return errors.Join(wanted([]string{host}, o.addresses[controlPlane]), wanted(sans, o.addresses[controlPlane]))
	})
	return o
}

// generations are those of everything that machines are made of.
func (o *old) generations() map[string]int64 {
	o.w.t.Helper()
	object := o.now()
	result := map[string]int64{}
	for kind, name := range map[string]string{"DemoCluster": object.Spec.InfrastructureRef.Name, "DemoControlPlane": object.Spec.ControlPlaneRef.Name} {
		made := o.referred(name, kind)
		result[kind+"/"+string(made.GetUID())] = made.GetGeneration()
	}
	return result
}

// An upgrade from version 0.7.1 keeps every claim and address, brings the claims up
// to date in place, and changes nothing that machines are made of.
func TestUpgradeKeepsClaimsAndMachines(t *testing.T) {
	w := newWorld(t)
	o := runningSince071(w, oldClass(w))
	before := o.generations()
	since := w.mark()
	o.change(labelled(watchFilterLabel, w.filter))
	o.becomes(
		endpoint(o.addresses[controlPlane], 6443), variable("clusterVip", o.addresses[controlPlane]),
		stamped(controlPlane, o.addresses[controlPlane]), written(controlPlane, "clusterVip"), reason(controlPlane, "Allocated"),
		variable("ingressVip", ""), stamped(ingress, o.addresses[ingress]), written(ingress, writtenNone),
		reason(ingress, "VariableNotBackfilled", "ingressVip", backfill))
	for r, claim := range o.claims {
		now := o.claim(r)
		if now.UID != claim.UID || now.Status.AddressRef.Name != claim.Name || now.DeletionTimestamp != nil {
			t.Errorf("claim %s is not the same", claim.Name)
		}
		for key, want := range map[string]string{clusterNameLabel: o.name, poolRole: string(r), watchFilterLabel: w.filter} {
			if err := same("label", key, now.Labels, want); err != nil {
				t.Errorf("claim %s: %v", claim.Name, err)
			}
		}
		owners := now.OwnerReferences
		if len(owners) != 1 || owners[0].UID != o.uid || owners[0].BlockOwnerDeletion != nil || owners[0].APIVersion != w.management.ClusterAPIVersion() {
			t.Errorf("claim %s has owners %+v", claim.Name, owners)
		}
		if got := o.address(r); got != o.addresses[r] {
			t.Errorf("claim %s has address %s", claim.Name, got)
		}
	}
	// The topology controller has seen what we wrote once it has seen a later change.
	o.change(annotated("example.com/seen", "yes"))
	w.barrier()
	for name, generation := range o.generations() {
		if before[name] != generation {
			t.Errorf("%s is at generation %d, was at %d", name, generation, before[name])
		}
	}
	for _, e := range w.writes(since, about(o.cluster), audit.Event.Accepted, func(e audit.Event) bool { return e.Verb == "create" || e.Verb == "delete" }) {
		if e.Object.Resource != "events" {
			t.Errorf("unexpected write: %s", describe(e))
		}
	}
}

// Whoever wants the variable filled on a running Cluster says so.
func TestUpgradeBackfill(t *testing.T) {
	w := newWorld(t)
	o := runningSince071(w, oldClass(w))
	o.change(labelled(watchFilterLabel, w.filter), annotated(backfill, "true"))
	o.becomes(has(controlPlane, o.addresses[controlPlane]), has(ingress, o.addresses[ingress]))
	// What was filled is ours to heal.
	o.change(without(backfill), unset("ingressVip"))
	o.becomes(has(ingress, o.addresses[ingress]))
}

// Version 0.7.1 took an address even for a Cluster whose user had set the endpoint.
// That claim is reported, and kept until the user says that it may go.
func TestUpgradeBurntClaim(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	ip := newIP()
	c := w.cluster(k, labelled(watchFilterLabel, "not-yet"), at(ip, 6443))
	claim := c.ownClaim(controlPlane, p, asOf071)
	p.uses(1)
	c.change(labelled(watchFilterLabel, w.filter))
	c.becomes(reason(controlPlane, "ClaimUnused", ip, p.address(0), controlPlane.enabled()), endpoint(ip, 6443), variable("clusterVip", ip))
	w.barrier()
	if now := c.claim(controlPlane); now == nil || now.UID != claim.UID {
		t.Error("the claim is gone")
	}
	c.change(annotated(controlPlane.enabled(), "false"))
	c.becomes(reason(controlPlane, "Disabled"), endpoint(ip, 6443))
	p.uses(0)
	w.gone(observe.Claims, w.namespace, controlPlane.claim(c.name))
}

// A Cluster that was upgraded heals like any other, and its first contact is over.
func TestUpgradeThenStripped(t *testing.T) {
	w := newWorld(t)
	o := runningSince071(w, oldClass(w))
	o.change(labelled(watchFilterLabel, w.filter))
	o.becomes(reason(controlPlane, "Allocated"), reason(ingress, "VariableNotBackfilled"))
	o.change(unset("clusterVip"), at("", 0), without(ingress.stamp()))
	o.becomes(endpoint(o.addresses[controlPlane], 6443), variable("clusterVip", o.addresses[controlPlane]),
		stamped(ingress, o.addresses[ingress]), variable("ingressVip", ""), written(ingress, writtenNone))
}

// An owner reference of an API version that will not be served for ever, or one that
// blocks deletion, is mended even if it is all that is wrong with a claim.
func TestUpgradeOwnerReference(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	c := w.cluster(k, labelled(watchFilterLabel, "not-yet"))
	claim := c.ownClaim(controlPlane, p, func(claim *ipamv1.IPAddressClaim) {
		labels := claim.Labels
		asOf071(claim)
		claim.Labels = labels
	})
	c.change(labelled(watchFilterLabel, w.filter))
	c.becomes(has(controlPlane, p.address(0)))
	w.eventually("the owner reference is mended", func() error {
		now := c.claim(controlPlane)
		if owner := now.OwnerReferences[0]; now.UID != claim.UID || owner.APIVersion != w.management.ClusterAPIVersion() || owner.BlockOwnerDeletion != nil {
			return fmt.Errorf("it is %+v of claim %s", owner, now.UID)
		}
		return nil
	})
}
