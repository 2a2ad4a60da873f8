package rights

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

// oldClaim is one of version 0.7.1, without the label that links it.
const oldClaim = `
apiVersion: ipam.cluster.x-k8s.io/v1beta2
kind: IPAddressClaim
metadata:
  name: vip-cp-old
  namespace: default
  labels: {vip.capi.gorizond.io/role: control-plane}
  ownerReferences:
  - {apiVersion: cluster.x-k8s.io/v1beta2, kind: Cluster, name: old, uid: %s, blockOwnerDeletion: true, controller: true}
spec: {poolRef: {apiGroup: ipam.cluster.x-k8s.io, kind: GlobalInClusterIPPool, name: one}}
`

// policy refuses one verb on one object, as somebody's policy engine would.
const policy = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: %[1]s}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: ["%[2]s"], apiVersions: ["*"], resources: ["%[3]s"], operations: ["%[4]s"]}
  matchConditions:
  - {name: name, expression: "request.name == '%[1]s' || object.metadata.name == '%[1]s'"}
  - {name: user, expression: "request.userInfo.username == '%[5]s' || request.dryRun"}
  validations:
  - {expression: "false", message: refused by a policy}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: %[1]s}
spec: {policyName: %[1]s, validationActions: [Deny]}
`

var policies = []resourceOf{
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"},
}

// core is all that happens to Clusters.
func (w *world) core() {
	w.prepare()
	// A claim of version 0.7.1 is brought up to date, once nobody waits for a VIP.
	begin := w.mark()
	old := w.cluster("old")
	w.Apply(w.t, fmt.Sprintf(oldClaim, old.GetUID()))
	p := w.start()
	w.served("old")
	w.lose()
	w.refuse()
	w.repeat()
	// Without ingress its claim is released.
	w.patch(clusters, "old", `{"metadata":{"annotations":{"vip.capi.gorizond.io/ingress-enabled":"false"}}}`)
	w.gone(claims, "vip-ingress-old")
	w.asked(begin, "patch", "ipaddressclaims")
	w.served("refused")
	w.book()
	// The Lease of its address goes with the Cluster.
	since := w.mark()
	w.remove("old", "lost", "refused", "typed")
	w.asked(since, "delete", "leases")
	w.stop(p)
}

// book has a typed VIP booked, until it is another one.
func (w *world) book() {
	w.cluster("typed", "controlPlaneEndpoint: {host: 10.77.0.55, port: 6443}, ")
	w.until("the VIP is booked", func() error {
		_, err := w.in(addresses).Get(w.t.Context(), "vip-manual-cp-typed", metav1.GetOptions{})
		return err
	})
	since := w.mark()
	w.patch(clusters, "typed", `{"spec":{"controlPlaneEndpoint":{"host":"192.0.2.9"}}}`)
	w.asked(since, "delete", "ipaddresses")
}

// lose loses a claim, which cannot be made anew for a while: so the address waits for
// it, and is found when it is looked for.
func (w *world) lose() {
	w.cluster("lost")
	w.served("lost")
	const name = "vip-cp-lost"
	w.Apply(w.t, fmt.Sprintf(policy, name, claims.Group, claims.Resource, "CREATE", user))
	stranger := &unstructured.Unstructured{}
	stranger.SetAPIVersion("ipam.cluster.x-k8s.io/v1beta2")
	stranger.SetKind("IPAddressClaim")
	stranger.SetName(name)
	stranger.Object["spec"] = map[string]any{"poolRef": map[string]any{"apiGroup": claims.Group, "kind": "GlobalInClusterIPPool", "name": "one"}}
	w.until("the policy works", func() error {
		_, err := w.in(claims).Create(w.t.Context(), stranger, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsInvalid(err) {
			return nil
		}
		return fmt.Errorf("it answers %w", err)
	})
	since := w.mark()
	if err := w.in(claims).Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		w.t.Fatal(err)
	}
	w.asked(since, "create", "ipaddresses")
	w.asked(since, "get", "ipaddresses")
	w.lift(name)
	w.until("the claim is back", func() error {
		_, err := w.in(claims).Get(w.t.Context(), name, metav1.GetOptions{})
		return err
	})
}

// refuse has a policy refuse the patch of a Cluster: it is then read live.
func (w *world) refuse() {
	w.Apply(w.t, fmt.Sprintf(policy, "refused", clusters.Group, clusters.Resource, "UPDATE", user))
	// Until the policy works, a pause keeps the allocator off.
	w.cluster("refused", "paused: true, ")
	w.until("the policy works", func() error {
		_, err := w.in(clusters).Patch(w.t.Context(), "refused", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
			metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsInvalid(err) {
			return nil
		}
		return fmt.Errorf("it answers %w", err)
	})
	since := w.mark()
	w.patch(clusters, "refused", `{"spec":{"paused":null}}`)
	w.asked(since, "get", "clusters")
	w.lift("refused")
}

func (w *world) lift(name string) {
	w.t.Helper()
	for _, kind := range policies {
		if err := w.Client.Resource(kind).Delete(w.t.Context(), name, metav1.DeleteOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// repeat makes one event happen twice: it is then counted.
func (w *world) repeat() {
	pool := w.Client.Resource(resourceOf{Group: "ipam.cluster.x-k8s.io", Version: "v1alpha2", Resource: "globalinclusterippools"})
	priority := func(value string) {
		w.t.Helper()
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"vip.capi.gorizond.io/priority":%s}}}`, value)
		if _, err := pool.Patch(w.t.Context(), "ingress", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
	since := w.mark()
	bad := false
	w.until("the event is counted", func() error {
		// Two changes in a row may be seen as one, so it changes until it is seen twice.
		if bad = !bad; bad {
			priority(`"high"`)
		} else {
			priority("null")
		}
		return w.didAsk(since, "patch", "events")
	})
	priority("null")
}

// hook is the certificate of the runtime extension, which every replica keeps.
func (w *world) hook() {
	w.stopped(w.start())
	const name = "capi-vip-allocator-runtime-extension-tls"
	home := w.Client.Resource(secrets).Namespace(allocator.Namespace)
	broken := []byte(`{"data":{"tls.crt":"eA==","tls.key":"eA=="}}`)
	if _, err := home.Patch(w.t.Context(), name, types.MergePatchType, broken, metav1.PatchOptions{}); err != nil {
		w.t.Fatal(err)
	}
	since := w.mark()
	p := w.start()
	w.asked(since, "update", "secrets")
	w.stopped(p)
	w.core()
}

func (w *world) stopped(p *allocator.Process) {
	w.t.Helper()
	w.until("the certificate is there", func() error {
		_, err := w.Client.Resource(secrets).Namespace(allocator.Namespace).Get(w.t.Context(), "capi-vip-allocator-runtime-extension-tls", metav1.GetOptions{})
		return err
	})
	w.stop(p)
}

const targets = `
{apiVersion: v1, kind: Namespace, metadata: {name: fleet-default}}
---
apiVersion: management.cattle.io/v3
kind: Cluster
metadata:
  name: c-m-1
  labels: {cluster-api.cattle.io/capi-cluster-owner: carried, cluster-api.cattle.io/capi-cluster-owner-ns: default}
---
apiVersion: fleet.cattle.io/v1alpha1
kind: Cluster
metadata:
  name: edge
  namespace: fleet-default
  labels: {vip.capi.gorizond.io/cluster-name: carried-too, vip.capi.gorizond.io/cluster-namespace: default}
`

// propagation carries VIPs to Rancher and to Fleet, and takes them back.
func (w *world) propagation() {
	for _, name := range []string{"management.cattle.io.yaml", "fleet.cattle.io.yaml"} {
		content, err := os.ReadFile(filepath.Join("..", "rancher", "crds", name))
		if err != nil {
			w.t.Fatal(err)
		}
		w.Apply(w.t, string(content))
	}
	w.Apply(w.t, targets)
	w.prepare()
	p := w.start()
	w.cluster("carried")
	w.cluster("carried-too")
	carried := func(want bool) {
		w.t.Helper()
		w.until(fmt.Sprintf("Rancher and Fleet know of it: %v", want), func() error {
			for _, to := range []target{{rancher, "", "c-m-1"}, {fleet, "fleet-default", "edge"}} {
				o, err := w.Client.Resource(to.kind).Namespace(to.namespace).Get(w.t.Context(), to.name, metav1.GetOptions{})
				if err != nil {
					return err
				}
				if got := o.GetAnnotations()["vip.capi.gorizond.io/control-plane-vip"] != ""; got != want {
					return fmt.Errorf("%s has %v", o.GetName(), o.GetAnnotations())
				}
			}
			return nil
		})
	}
	carried(true)
	w.stop(p)
	// The last one counts.
	keep := w.Chart.Args
	w.Chart.Args = append(slices.Clone(keep), "--propagate=off")
	p = w.start()
	carried(false)
	w.stop(p)
	w.Chart.Args = keep
	w.remove("carried", "carried-too")
	w.core()
}

type target struct {
	kind            resourceOf
	namespace, name string
}

// scraped is asked for its metrics by somebody who may have them, and does the rest too.
func (w *world) scraped() {
	ports, err := loopback.FreePorts(1)
	if err != nil {
		w.t.Fatal(err)
	}
	token := w.Token(w.t, "default", "prometheus", "capi-vip-allocator-metrics-reader")
	address := loopback.Address(ports[0])
	p := w.start("--diagnostics-address=" + address)
	w.until("the reader is let in", func() error {
		code, _, err := allocator.ScrapeSecure(w.t.Context(), http.MethodGet, "https://"+address+"/metrics", token)
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("it answers %d", code)
		}
		return err
	})
	w.stop(p)
	w.core()
}
