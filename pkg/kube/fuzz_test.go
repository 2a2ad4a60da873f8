package kube_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"unicode/utf8"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	ipamv1 "sigs.k8s.io/cluster-api/api/ipam/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Whatever a Cluster is, the places of its VIPs are found, and each of them is named.
func FuzzCluster(f *testing.F) {
	for _, text := range []string{
		``, `null`, `[]`, `{}`, `{"spec":null}`, `{"kind":"Cluster"}`, `{"apiVersion":"cluster.x-k8s.io/v1beta1"}`,
		`{"apiVersion":"cluster.x-k8s.io/v1beta2","metadata":{"annotations":{"vip.capi.gorizond.io/ingress-vip":"10.0.0.1"}},"spec":{"controlPlaneEndpoint":{"host":"::1","port":-1},"topology":{"classRef":{"name":"a"},"variables":[{"name":"clusterVip","value":"10.0.0.2"},{"name":"ingressVip","value":{"a":[1]}}]}}}`,
		`{"apiVersion":"cluster.x-k8s.io/v1beta1","spec":{"paused":true,"topology":{"class":"a","classNamespace":"b","variables":[{"name":"clusterVip","value":null}]},"infrastructureRef":{"apiVersion":"x/y/z"}}}`,
		`{"spec":{"topology":{"class":1}}}`, `{"apiVersion":"cluster.x-k8s.io/v9"}`, `{"metadata":{"ownerReferences":[{"kind":"Cluster","apiVersion":"provisioning.cattle.io/v1"}]}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cluster, err := kube.DecodeCluster(data)
		if (err == nil) == (cluster == nil) {
			t.Fatalf("%v, %v", cluster, err)
		}
		if err != nil {
			return
		}
		view := kube.Cluster(cluster)
		everywhere := vip.Addresses(&view)
		for key := range vip.VIPs(&view, vip.Class{}) {
			if !everywhere[key] || vip.Where(&view, vip.Class{}, key) == "" {
				t.Errorf("%s is a VIP: anywhere %t, place %q", key, everywhere[key], vip.Where(&view, vip.Class{}, key))
			}
		}
		if d := vip.Plan(&vip.Snapshot{Cluster: view}); len(d.Patch) > 0 && !view.Held() {
			t.Errorf("without class and pool it is patched: %v", d.Patch)
		}
	})
}

// Whatever a class's schemas are, one can ask whether they take an address.
func FuzzClass(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"status":{"variables":[{"name":"clusterVip","definitions":[{"from":"inline","schema":{"openAPIV3Schema":{"type":"string","pattern":"["}}}]}]}}`,
		`{"metadata":{"annotations":{"vip.capi.gorizond.io/control-plane-variable":"a.b.c"}},"status":{"variables":[{"name":"a","definitions":[{"from":"inline","schema":{"openAPIV3Schema":{"type":"object","properties":{"b":{"type":"object","default":{"c":7},"properties":{"c":{"type":"string","format":"ipv4","enum":["10.0.0.1"]}}}}}}}]}]}}`,
		`{"status":{"variables":[{"name":"clusterVip","definitions":[]},{"name":"ingressVip","definitions":[{"schema":{"openAPIV3Schema":{"type":"integer","default":"x"}}},{"schema":{"openAPIV3Schema":{"type":"string","maxLength":-1}}}]}]}}`,
	} {
		f.Add([]byte(text), "10.0.0.1")
	}
	f.Fuzz(func(t *testing.T, data []byte, address string) {
		class := &clusterv1.ClusterClass{}
		if json.Unmarshal(data, class) != nil {
			return
		}
		view := kube.Class(class)
		for role, variable := range view.Roles {
			if variable.Path == "" {
				t.Errorf("role %s has no path", role)
			}
			if variable.Admits != nil {
				_ = variable.Admits(address)
			}
		}
	})
}

// Numbers of pools are believable, or not believed.
func FuzzPool(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"spec":{"addresses":["10.0.0.0/24"],"prefix":24,"gateway":"10.0.0.1"},"status":{"ipAddresses":{"total":253,"free":-1,"used":254,"outOfRange":9223372036854775807}}}`,
		`{"spec":{"addresses":"x"},"status":{"ipAddresses":{"total":"many","free":1.5}}}`, `{"spec":{"addresses":["::/0"],"prefix":-9,"addressReuseGracePeriodSeconds":-1}}`,
		`{"spec":{"addresses":[1],"excludedAddresses":[null],"prefix":1e99},"status":[]}`, `{"spec":{"addresses":["::ffff:10.0.0.0/120"],"prefix":200,"allocateReservedIPAddresses":"yes"}}`,
	} {
		f.Add([]byte(text), "10.0.0.9")
	}
	f.Fuzz(func(t *testing.T, data []byte, address string) {
		object := &unstructured.Unstructured{Object: map[string]any{}}
		if json.Unmarshal(data, &object.Object) != nil || object.Object == nil {
			return
		}
		object.SetAPIVersion(ipam + "/v1alpha2")
		object.SetKind("InClusterIPPool")
		p := kube.NewPool(object, true)
		if p.Known && (p.Total < 0 || p.Used < 0 || p.Free > p.Total) {
			t.Errorf("total %d, used %d, free %d", p.Total, p.Used, p.Free)
		}
		if p.StatusErr != nil && p.Total+p.Free+p.Used != 0 {
			t.Errorf("%v, and total %d, used %d, free %d", p.StatusErr, p.Total, p.Used, p.Free)
		}
		if p.Grace < 0 || p.Network.Prefix < 0 || p.Network.Prefix > 128 {
			t.Errorf("grace %s, prefix %d", p.Grace, p.Network.Prefix)
		}
		if key, ok := vip.Key(address); ok && p.Contains(key) != p.Contains(key.Unmap()) {
			t.Errorf("it contains %s in one spelling only", address)
		}
	})
}

// A claim and its address are viewed whatever others wrote on them.
func FuzzClaim(f *testing.F) {
	f.Add([]byte(`{}`), []byte(`{}`))
	f.Add([]byte(`{"metadata":{"name":"vip-cp-c1","ownerReferences":[{"kind":"Cluster","apiVersion":"cluster.x-k8s.io/v1beta2","name":"c1","uid":"uid-1"}]},"status":{"addressRef":{"name":"a"},"conditions":[{"type":"Ready","status":"False","reason":"PoolExhausted","message":"\u001b[31m"}]}}`),
		[]byte(`{"spec":{"address":"fe80::1%eth0","claimRef":{"name":"vip-cp-c1"},"poolRef":{"name":"p"}}}`))
	f.Add([]byte(`{"metadata":{"labels":{"vip.capi.gorizond.io/role":"ingress"},"ownerReferences":[{"apiVersion":"a/b/c"}]},"status":{"deprecated":{"v1beta1":{"conditions":[{"type":"Ready","status":"False"}]}}}}`), []byte(`{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}}`))
	f.Fuzz(func(t *testing.T, claimData, addressData []byte) {
		claim, address := &ipamv1.IPAddressClaim{}, &ipamv1.IPAddress{}
		if json.Unmarshal(claimData, claim) != nil || json.Unmarshal(addressData, address) != nil {
			return
		}
		for _, role := range vip.Roles() {
			snapshot := &vip.Snapshot{Cluster: c1, Claims: map[vip.Role]*vip.Claim{role: kube.Claim(claim, address, &c1, role, scope)}}
			snapshot.Cluster.HasTopology = true
			d := vip.Plan(snapshot)
			for kind, condition := range d.Conditions {
				if !utf8.ValidString(condition.Message) || len(condition.Message) > 2000 {
					t.Errorf("%s says %q", kind, condition.Message)
				}
			}
			if outcome := d.Roles[role]; outcome != nil && outcome.Published {
				t.Errorf("without a class something is published: %+v", outcome)
			}
		}
		kube.VIPClaim(claim)
	})
}

// A Lease leads back to the address that it is named after.
func FuzzLease(f *testing.F) {
	for _, text := range []string{"", "vip-", "vip-00000000000000000000ffff0a000001", "vip-0a000001", "vip-zz", "10.0.0.1"} {
		f.Add(text, "uid/ingress")
	}
	f.Fuzz(func(t *testing.T, name, identity string) {
		lease := &coordinationv1.Lease{}
		lease.Name, lease.Spec.HolderIdentity = name, &identity
		kube.Holder(lease)
		if key, ok := kube.LeasedAddress(lease); ok && !key.IsValid() {
			t.Errorf("%q leads to nothing", name)
		}
		if key, err := netip.ParseAddr(name); err == nil && key.Zone() == "" {
			lease.Name = kube.LeaseName(key)
			if back, ok := kube.LeasedAddress(lease); !ok || back.Unmap() != key.Unmap() {
				t.Errorf("%s is %s, and leads to %s", key, lease.Name, back)
			}
		}
	})
}

// What is taken for a kind of pool can be looked for.
func FuzzParsePoolKinds(f *testing.F) {
	for _, text := range []string{"ippools.ipam.metal3.io", ".", "a.", ".b", " a.b ", "inclusterprefixpools.x", "a.b.c\n", "../x.y"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kinds, err := kube.ParsePoolKinds([]string{text, text})
		if (err == nil) != (len(kinds) == 1) {
			t.Errorf("%q: %v, %v", text, kinds, err)
		}
	})
}
