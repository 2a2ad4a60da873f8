package checker

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// tape plays versions of objects to a checker.
type tape struct {
	t        *testing.T
	checker  *Checker
	revision int
}

// play shows an object, given as YAML without the resourceVersion; gone shows its end.
func (p *tape) play(text string, gone ...bool) {
	p.t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
		p.t.Fatal(err)
	}
	p.revision++
	object.SetResourceVersion(string(rune('0' + p.revision)))
	object.SetNamespace("one")
	object.SetUID(types.UID(object.GetKind() + object.GetName()))
	p.checker.see(object, len(gone) > 0)
}

func cluster(name, host string) string {
	return `{kind: Cluster, metadata: {name: ` + name + `}, spec: {controlPlaneEndpoint: {host: "` + host + `"}}}`
}

func stamped(name, vip string) string {
	return `{kind: Cluster, metadata: {name: ` + name + `, annotations: {vip.capi.gorizond.io/ingress-vip: "` + vip +
		`", vip.capi.gorizond.io/ingress-written: none}}}`
}

func paused(name, vip string) string {
	text := `{kind: Cluster, metadata: {name: ` + name + `, annotations: {vip.capi.gorizond.io/ingress-vip: "` + vip + `"`
	if vip != "" {
		text += `, vip.capi.gorizond.io/ingress-written: none`
	}
	return text + `}}, spec: {paused: true}}`
}

func claim(name, pool string) string {
	return `{kind: IPAddressClaim, metadata: {name: ` + name + `, labels: {vip.capi.gorizond.io/role: ingress},
		ownerReferences: [{uid: owner}]}, spec: {poolRef: {name: ` + pool + `}}}`
}

func address(name, value string) string {
	return `{kind: IPAddress, metadata: {name: ` + name + `}, spec: {address: "` + value + `", claimRef: {name: vip-ingress-a}}}`
}

func TestRules(t *testing.T) {
	for name, test := range map[string]struct {
		play func(p *tape)
		want string // the rule broken, "" for none
	}{
		"two Clusters, two VIPs": {func(p *tape) { p.play(cluster("a", "10.0.0.1")); p.play(cluster("b", "10.0.0.2")) }, ""},
		"two Clusters, one VIP":  {func(p *tape) { p.play(cluster("a", "10.0.0.1")); p.play(stamped("b", "::ffff:10.0.0.1")) }, "one VIP, one Cluster"},
		"one after the other": {func(p *tape) {
			p.play(cluster("a", "10.0.0.1"))
			p.play(cluster("a", "10.0.0.1"), true)
			p.play(cluster("b", "10.0.0.1"))
		}, ""},
		"two variables": {func(p *tape) {
			p.play(`{kind: Cluster, metadata: {name: a}, spec: {topology: {variables: [{name: clusterVip, value: 10.0.0.1}]}}}`)
			p.play(`{kind: Cluster, metadata: {name: b}, spec: {topology: {variables: [{name: ingressVip, value: 10.0.0.1}]}}}`)
		}, "one VIP, one Cluster"},
		"both roles": {func(p *tape) {
			p.play(`{kind: Cluster, metadata: {name: a, annotations: {vip.capi.gorizond.io/control-plane-vip: 10.0.0.1, vip.capi.gorizond.io/ingress-vip: 10.0.0.1}}}`)
		}, "one VIP, one role"},
		"an endpoint emptied and restored": {func(p *tape) {
			p.play(cluster("a", "10.0.0.1"))
			p.play(cluster("a", ""))
			p.play(cluster("a", "10.0.0.1"))
		}, ""},
		"an endpoint emptied and replaced": {func(p *tape) {
			p.play(cluster("a", "10.0.0.1"))
			p.play(cluster("a", ""))
			p.play(cluster("a", "10.0.0.2"))
		}, "an endpoint stays"},
		"a claim moved":       {func(p *tape) { p.play(claim("a", "x")); p.play(claim("a", "y")) }, "a claim's spec stays"},
		"two claims":          {func(p *tape) { p.play(claim("a", "x")); p.play(claim("b", "x")) }, "one claim per role"},
		"one claim at a time": {func(p *tape) { p.play(claim("a", "x")); p.play(claim("a", "x"), true); p.play(claim("b", "x")) }, ""},
		"published as bound": {func(p *tape) {
			p.play(cluster("a", ""))
			p.play(address("x", "10.0.0.1"))
			p.play(stamped("a", "10.0.0.1"))
		}, ""},
		"published before bound": {func(p *tape) {
			p.play(cluster("a", ""))
			p.play(stamped("a", "10.0.0.1"))
			p.play(address("x", "10.0.0.1"))
		}, "published is bound"},
		"published too late": {func(p *tape) {
			p.play(cluster("a", ""))
			p.play(address("x", "10.0.0.1"))
			p.play(address("x", "10.0.0.1"), true)
			p.play(stamped("a", "10.0.0.1"))
		}, "published is bound"},
		"published for a paused Cluster": {func(p *tape) {
			p.play(address("x", "10.0.0.1"))
			p.play(paused("a", ""))
			p.play(paused("a", "10.0.0.1"))
		}, "who rests is left alone"},
		"published, then paused": {func(p *tape) {
			p.play(address("x", "10.0.0.1"))
			p.play(cluster("a", ""))
			p.play(stamped("a", "10.0.0.1"))
			p.play(paused("a", "10.0.0.1"))
		}, ""},
		"created with a stamp": {func(p *tape) { p.play(stamped("a", "10.0.0.1")) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChecker(nil)
			test.play(&tape{t: t, checker: c})
			c.mutex.Lock()
			found := append(slices.Clone(c.violations), c.judgePublished()...)
			c.mutex.Unlock()
			switch {
			case test.want == "" && len(found) > 0:
				t.Errorf("unexpected: %s: %s", found[0].Rule, found[0].describe())
			case test.want != "" && (len(found) != 1 || found[0].Rule != test.want):
				t.Errorf("found %v, want %q", found, test.want)
			}
		})
	}
}
