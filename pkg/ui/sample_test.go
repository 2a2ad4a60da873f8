package ui

import (
	"net/netip"
	"time"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// hostile is a text that would do something if it were taken for markup.
const hostile = `"><img src=x onerror=alert(1)><script>alert(2)</script>`

// ranges reads "first-last" pairs.
func ranges(texts ...string) []Range {
	var result []Range
	for i := 0; i < len(texts); i += 2 {
		result = append(result, Range{netip.MustParseAddr(texts[i]), netip.MustParseAddr(texts[i+1])})
	}
	return result
}

func used(address string, state State, cluster string) Address {
	a := Address{Key: netip.MustParseAddr(address), State: state, Since: noon}
	if cluster != "" {
		a.Cluster, a.Exists, a.Role = Name{"team", cluster}, true, "control-plane"
	}
	return a
}

// sample has one of everything.
func sample() *View {
	one := 1
	return &View{
		Place: "production", Scope: "all namespaces", NotVisible: []string{"Lease (forbidden). Unknown: who gets an address"},
		Controller: Fact{Name: "Controller", Text: "2 of 2 replicas ready"},
		Pools: []Pool{
			{
				PoolID: PoolID{"GlobalInClusterIPPool", "ipam.cluster.x-k8s.io", Name{"", "vip-a"}}, Classes: []string{"demo"}, Roles: []string{"control-plane"},
				Capacity: &Capacity{Total: 18, Used: 5, Free: 13}, Waiting: &one, Warnings: []string{"is small " + hostile},
				Declared: ranges("10.0.0.10", "10.0.0.29"), HandedOut: ranges("10.0.0.10", "10.0.0.20", "10.0.0.22", "10.0.0.29"),
				Addresses: []Address{
					used("10.0.0.10", ControlPlane, "web"), used("10.0.0.11", Ingress, "web"), used("10.0.0.12", Grace, ""),
					used("10.0.0.13", Refused, "late"), used("10.0.0.14", Foreign, ""), used("10.0.0.15", Booked, "typed"), used("10.0.0.16", InUse, "other"),
				},
				Pending: []Address{{Claim: "team/vip-cp-late", Cluster: Name{"team", "late"}, Exists: true, Role: "control-plane", Since: noon}},
			},
			{
				PoolID: PoolID{"InClusterIPPool", "ipam.cluster.x-k8s.io", Name{"team", "large"}}, Roles: []string{"ingress"},
				Declared: ranges("10.1.0.0", "10.1.255.255"), HandedOut: ranges("10.1.0.1", "10.1.255.254"), Addresses: []Address{used("10.1.77.3", Ingress, "web")},
			},
		},
		Clusters: []Cluster{
			{Name: Name{"team", "late"}, Class: "team/demo", Created: noon, Roles: []Role{
				{Role: "control-plane", Applies: true, Reason: "PoolExhausted", Message: "no pool can serve: " + hostile, Next: "extend spec.addresses", Since: noon},
				{Role: "ingress"},
			}},
			{Name: Name{"team", "web"}, Class: "team/demo", Created: noon, Roles: []Role{
				{Role: "control-plane", Applies: true, Ready: true, Reason: "Allocated", VIP: "10.0.0.10"},
				{Role: "ingress", Applies: true, Ready: true, Reason: "Allocated", VIP: "10.0.0.11"},
			}},
			{Name: Name{"team", "elsewhere"}, Skipped: "is paused", Created: noon},
		},
		Classes: []Class{
			{Name: Name{"team", "demo"}, Clusters: 2, Gates: []Gate{
				{Role: "control-plane", Variable: "clusterVip", Fact: Fact{Text: "gated by patch endpoint", Tone: Good}},
				{Role: "ingress", Variable: hostile, Fact: Fact{Text: "ungated: " + hostile, Tone: Warn}},
			}},
			{Name: Name{"team", "new"}, State: "not ready"},
		},
	}
}

func sampleDetail(namespace, name string) (*Detail, error) {
	if (Name{namespace, name}) != (Name{"team", "late"}) {
		return nil, nil
	}
	line := sample().Clusters[0]
	return &Detail{
		Cluster: line, Facts: []Fact{{Name: "Class", Text: hostile}},
		Ways: []Way{{
			Role: line.Roles[0], Title: Fact{Text: "PoolExhausted", Tone: Bad}, Notes: []string{hostile}, Facts: []Fact{{Name: "Claim", Text: hostile}},
			Steps: []Step{{"Class", "demo", Done}, {"Pool", hostile, Missing}, {"Claim", "", Ahead}},
			Pools: []Candidate{{Pool: "GlobalInClusterIPPool vip-a", Path: "/pool/x", Room: "0 of 2 free", Verdict: Fact{Text: hostile, Tone: Warn}}},
		}},
	}, nil
}
