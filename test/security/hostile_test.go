package security

import (
	"flag"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// hostile is something that a user writes, and what becomes of it.
type hostile struct {
	name string
	// refused is what the API server names in small letters, by a webhook or a schema.
	refused string
	// reason is that of the control plane, and says what it names, otherwise; empty if
	// nothing is said.
	reason string
	says   []string
}

// addresses is how many a Cluster has in a variable. With tens of thousands of fields the
// API server itself takes seconds for each write.
var addresses = flag.Int("addresses", 4000, "in one variable of a Cluster")

// promptly is how long a Cluster beside all that may wait for its VIPs.
const promptly = 40 * time.Second

// Nothing that users write stops the allocator, or makes it write without end. Most is
// refused by the API server; the rest is, by name and field, or does no harm.
func TestHostile(t *testing.T) {
	w := newWorld(t)
	home := w.tenant("", "cluster-tenant-pools")
	class, net := "hostile", subnet()
	w.classes(class, home.namespace)
	w.pool("", home.namespace, class, `"vip.capi.gorizond.io/namespaces": `+home.namespace, net+".10-"+net+".200")
	since := w.mark()
	t.Run("Clusters", func(t *testing.T) {
		(&user{&world{w.environment, t}, home.name, home.namespace, home.client}).hostileClusters(class)
	})
	t.Run("pools", func(t *testing.T) { (&world{w.environment, t}).hostilePools(class, home.namespace) })
	began := time.Now()
	home.make("healthy", class)
	w.served(home.namespace, "healthy")
	if took := time.Since(began); took > promptly {
		t.Errorf("a healthy Cluster waits %s for its VIPs", took)
	}
	w.writesFew(since, "hostile-")
	for _, name := range []string{"stamp", "escapes", "template", "healthy"} {
		w.explains(home.namespace, name)
	}
}

// explains expects that explain prints what can be printed.
func (w *world) explains(namespace, name string) {
	w.t.Helper()
	binary, err := allocator.Build(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := exec.CommandContext(w.t.Context(), binary, "explain", name, "-n", namespace, "--kubeconfig="+w.Management.Kubeconfig()).CombinedOutput()
	if err != nil || !strings.Contains(string(out), name) {
		w.t.Errorf("explain %s: %v\n%.500q", name, err, out)
	}
	if bad := strings.IndexFunc(string(out), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); bad >= 0 {
		w.t.Errorf("explain %s prints %.100q", name, out[bad:])
	}
}

// mark is the end of the audit log.
func (w *world) mark() int64 {
	w.t.Helper()
	position, err := audit.Log(w.Management.AuditLog()).Position()
	if err != nil {
		w.t.Fatal(err)
	}
	return position
}

// writesFew expects that the allocator wrote no object of the namespaces again and again.
func (w *world) writesFew(since int64, namespaces ...string) {
	w.t.Helper()
	events, err := audit.Log(w.Management.AuditLog()).Since(since)
	if err != nil {
		w.t.Fatal(err)
	}
	const most = 12
	count := map[string]int{}
	for _, e := range audit.Keep(events, audit.By(observe.UserAgent), audit.Event.IsWrite) {
		if !slices.ContainsFunc(namespaces, func(n string) bool { return strings.HasPrefix(e.Object.Namespace, n) }) {
			continue
		}
		if e.Object.Resource == "clusters" || e.Object.Resource == "ipaddressclaims" || e.Object.Resource == "ipaddresses" {
			count[e.Resource()+" "+e.Object.Namespace+"/"+e.Object.Name]++
		}
	}
	for what, n := range count {
		if n > most {
			w.t.Errorf("%d writes of %.200s", n, what)
		}
	}
	if len(count) == 0 {
		w.t.Error("the audit log has no writes")
	}
}

// taken is what the API server took: all is tried before the first is judged.
type taken struct {
	w   *world
	all map[hostileKey]hostile
}

type hostileKey struct{ namespace, name string }

func (w *world) takes() *taken { return &taken{w: w, all: map[hostileKey]hostile{}} }

// try compares what the API server said with what it should say.
func (k *taken) try(namespace string, h hostile, err error) (taken bool) {
	k.w.t.Helper()
	switch {
	case h.refused == "" && err == nil:
		k.all[hostileKey{namespace, h.name}] = h
		return true
	case h.refused == "":
		k.w.t.Errorf("%.30s is refused: %.300v", h.name, err)
	case err == nil:
		k.w.t.Errorf("%.30s is taken", h.name)
	case strings.Contains(err.Error(), "cannot create resource") || !strings.Contains(strings.ToLower(err.Error()), h.refused):
		k.w.t.Errorf("%.30s is refused without a word on %s: %.300v", h.name, h.refused, err)
	}
	return false
}

func (k *taken) judge() {
	k.w.t.Helper()
	for key, h := range k.all {
		if h.reason == "" {
			continue
		}
		k.w.says(key.namespace, key.name, cpReady, h.reason, h.says...)
		c, err := k.w.get(observe.Clusters, key.namespace, key.name)
		if err != nil {
			k.w.t.Fatal(err)
		}
		checkPlain(k.w.t, c)
	}
}

func (u *user) hostileClusters(class string) {
	many := object{}
	for i := range *addresses {
		many[fmt.Sprintf("k%05d", i)] = fmt.Sprintf("10.97.%d.%d", i/250, i%250)
	}
	var thousand []any
	for i := range 1000 {
		thousand = append(thousand, fmt.Sprintf("v%d", i), "10.97.0.1")
	}
	long := strings.Repeat("a", 62)
	taken := u.w.takes()
	for _, test := range []struct {
		hostile
		edits []func(object)
	}{
		{hostile{name: strings.Repeat("a", 253), refused: "name"}, nil},
		{hostile{name: "dotted.name", reason: "Allocated"}, nil},
		{hostile{name: "1digit", reason: "Allocated"}, nil},
		{hostile{name: long + "1", reason: "Allocated"}, nil},
		{hostile{name: long + "2", reason: "Allocated"}, nil},
		{hostile{name: "cp-x", reason: "Allocated"}, nil}, // claims vip-cp-cp-x and vip-ingress-cp-x
		{hostile{name: "number", refused: "clustervip"}, []func(object){variable("clusterVip", int64(7))}},
		{hostile{name: "object", refused: "clustervip"}, []func(object){variable("clusterVip", object{"host": "10.0.0.1"})}},
		{hostile{name: "empty", refused: "clustervip"}, []func(object){variable("clusterVip", "")}},
		{hostile{name: "twice", refused: "clustervip"}, []func(object){variable("clusterVip", "10.97.1.1", "clusterVip", "10.97.1.2")}},
		{hostile{name: "unknown", refused: "v0"}, []func(object){variable(thousand...)}},
		{hostile{name: "many-a", reason: "Allocated"}, []func(object){variable("anything", many)}},
		{hostile{name: "many-b", reason: "Allocated"}, []func(object){variable("anything", many)}},
		{hostile{name: "no-class"}, []func(object){at("nowhere", "spec", "topology", "classRef", "name"), variable(thousand...)}},
		{hostile{name: "port", reason: "Allocated"}, []func(object){at(int64(8443), "spec", "controlPlaneEndpoint", "port")}},
		{hostile{name: "big-port", refused: "port"}, []func(object){at(int64(70000), "spec", "controlPlaneEndpoint", "port")}},
		{hostile{name: "long-host", reason: "Manual", says: []string{"neither an IP address nor a host name"}}, []func(object){host(strings.Repeat("a", 512))}},
		{hostile{name: "longer-host", refused: "host"}, []func(object){host(strings.Repeat("a", 513))}},
		{hostile{name: "cidr", reason: "Manual", says: []string{`"10.97.0.1/24" is neither`}}, []func(object){host("10.97.0.1/24")}},
		{hostile{name: "zeros", reason: "Manual", says: []string{`"010.0.0.1" is neither`}}, []func(object){host("010.0.0.1")}},
		{hostile{name: "zone", reason: "Manual", says: []string{"is neither"}}, []func(object){host("fe80::1%eth0")}},
		{hostile{name: "spaces", reason: "Manual", says: []string{"is neither"}}, []func(object){host(" 10.97.0.1 ")}},
		{hostile{name: "digits", reason: "Manual", says: []string{"is neither"}}, []func(object){host("١٠.٠.٠.١")}},
		{hostile{name: "escapes", reason: "Manual", says: []string{"is neither"}}, []func(object){host("\x1b[2Ja\r\nb\u202e\u009b")}},
		{hostile{name: "with-port", reason: "Manual", says: []string{"is neither"}}, []func(object){host("10.97.0.1:6443")}},
		{hostile{name: "loopback", reason: "Manual", says: []string{"not a usable unicast address"}}, []func(object){host("127.0.0.1")}},
		{hostile{name: "unspecified", reason: "Manual", says: []string{"not a usable unicast address"}}, []func(object){host("::")}},
		{hostile{name: "booleans", reason: "Allocated", says: []string{`"yes" is neither "true" nor "false"`}}, []func(object){annotation(prefix+"control-plane-enabled", "yes"), annotation(prefix+"ingress-enabled", "False")}},
		{hostile{name: "contradicts", reason: "Allocated"}, []func(object){annotation(prefix+"ingress-enabled", "false"), annotation(prefix+"ingress-pool", u.namespace), annotation(prefix+"backfill", "1 ")}},
		{hostile{name: "filter", reason: "PoolFiltered", says: []string{"control-plane-pool"}}, []func(object){annotation(cpPool, strings.Repeat("a/", 100_000))}},
		{hostile{name: "template", reason: "PoolFiltered", says: []string{"{{"}}, []func(object){annotation(cpPool, "{{ .Values }}${HOME}$(id)\x1b[31m")}},
		{hostile{name: "path", reason: "ClaimLost"}, []func(object){annotation(cpWrote, strings.Repeat("a.[0]..", 1000))}},
		{hostile{name: "stamp", reason: "Allocated"}, []func(object){annotation(cpWrote, "none"), annotation(cpStamp, strings.Repeat("\x1b[31m", 10_000))}},
		{hostile{name: "notes", reason: "Allocated"}, []func(object){annotation("example.com/x", strings.Repeat("10.97.0.1 ", 25_000))}},
		{hostile{name: "more-notes", refused: "annotations"}, []func(object){annotation("example.com/x", strings.Repeat("x", 256<<10))}},
		{hostile{name: "huge", refused: "request"}, []func(object){variable("anything", object{"a": strings.Repeat("x", 4<<20)})}},
	} {
		err := u.create(observe.Clusters, cluster(u.namespace, test.name, class, test.edits...))
		taken.try(u.namespace, test.hostile, err)
	}
	taken.judge()
}

// hostilePools makes each pool in a namespace of its own, and a Cluster that wants it.
func (w *world) hostilePools(class, classNamespace string) {
	t := w.t
	var singles []string
	for i := range 5000 {
		singles = append(singles, fmt.Sprintf("10.96.%d.%d", i/100*2, 10+i%100))
	}
	taken := w.takes()
	for _, test := range []struct {
		hostile
		classes, annotations string
		addresses            []string
		prefix               int
	}{
		{hostile{name: "reversed", refused: "address"}, class, "", []string{"10.95.0.20-10.95.0.10"}, 24},
		{hostile{name: "none", refused: "address"}, class, "", nil, 24},
		{hostile{name: "text", refused: "address"}, class, "", []string{`"{{ .x }}"`}, 24},
		{hostile{name: "mixed", refused: "address"}, class, "", []string{"10.95.1.1", `"fd00::1"`}, 24},
		{hostile{name: "single-ranges", reason: "Allocated"}, class, "", singles, 16},
		{hostile{name: "commas", reason: "Allocated"}, strings.Repeat(",", 1000) + class + strings.Repeat(" ,", 1000), "", []string{"10.95.2.10-10.95.2.20"}, 24},
		{hostile{name: "list", reason: "Allocated"}, strings.Repeat("some-class,", 20_000) + class, "", []string{"10.95.3.10-10.95.3.20"}, 24},
		{hostile{name: "templates", reason: "PoolInvalid", says: []string{"{{ .Values.x }}", "neither a class name"}}, class + ",{{ .Values.x }},${HOME},.*", "", []string{"10.95.4.10"}, 24},
		{hostile{name: "lines", reason: "PoolInvalid"}, class + `,a\n\x1b[31mb`, "", []string{"10.95.5.10"}, 24},
		{hostile{name: "priority", reason: "PoolInvalid", says: []string{"99999999999999999999", "is no integer"}}, class, `"vip.capi.gorizond.io/priority": "99999999999999999999"`, []string{"10.95.6.10"}, 24},
		{hostile{name: "float", reason: "PoolInvalid", says: []string{"1e9"}}, class, `"vip.capi.gorizond.io/priority": "1e9"`, []string{"10.95.7.10"}, 24},
		{hostile{name: "namespaces", reason: "PoolInvalid", says: []string{"is no namespace name"}}, class, `"vip.capi.gorizond.io/namespaces": "*"`, []string{"10.95.8.10"}, 24},
		{hostile{name: "everything", reason: "AddressInvalid", says: []string{"0.0.0."}}, class, "", []string{"0.0.0.0/0"}, 0},
		{hostile{name: "everything6"}, class, "", []string{`"::/0"`}, 0},
		{hostile{name: "prefix", refused: "prefix"}, class, "", []string{"10.95.9.10"}, 129},
	} {
		u := w.tenant("", "cluster-tenant-pools")
		err := u.create(namespacedPools, manifest(t, strings.Replace(
			poolText(u.namespace, test.name, test.classes, test.annotations, test.addresses...), "prefix: 24", fmt.Sprintf("prefix: %d", test.prefix), 1)))
		if taken.try(u.namespace, test.hostile, err) {
			u.make(test.name, class, at(classNamespace, "spec", "topology", "classRef", "namespace"))
		}
	}
	taken.judge()
}
