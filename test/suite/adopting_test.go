package suite

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// adopting returns the first block of a language in a section of docs/adopting.md.
func (w *world) adopting(section, language string) string {
	w.t.Helper()
	examples, err := allocator.Examples(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(examples, "..", "docs", "adopting.md"))
	if err != nil {
		w.t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	_, block, found := strings.Cut(text, "\n```"+language+"\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		w.t.Fatalf("%s has no block of %s", section, language)
	}
	return block
}

// shell types commands into a shell of a user who is in the world's namespace.
func (w *world) shell(kubeconfig, code string) (string, error) {
	w.t.Helper()
	binary, err := allocator.Build(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	tools, err := w.management.Kubectl()
	if err != nil {
		w.t.Fatal(err)
	}
	dir := w.t.TempDir()
	if err := os.Symlink(binary, filepath.Join(dir, "kubectl-vip")); err != nil {
		w.t.Fatal(err)
	}
	config, err := os.ReadFile(kubeconfig)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config"), config, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	command := exec.CommandContext(w.t.Context(), "bash", "-euo", "pipefail", "-c",
		"kubectl config set-context --current --namespace="+w.namespace+" >/dev/null\n"+code)
	command.Dir = dir
	command.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(dir, "config"), "KUBECACHEDIR="+dir,
		"PATH="+strings.Join([]string{dir, tools, os.Getenv("PATH")}, string(os.PathListSeparator)))
	return run(command)
}

// A fleet is brought under the allocator in the order of the page.
func TestAFleetThatExists(t *testing.T) {
	w := newWorld(t)
	w.leaveShared()
	k := w.gatedClass(bothRoles...)
	p := w.draftPool(serving(eitherRole, k))
	typed := func(name, endpoint, ingressVIP string) *cluster {
		return w.cluster(k, named(name), at(endpoint, 6443), set("clusterVip", endpoint), set("ingressVip", ingressVIP))
	}
	single := typed("single", p.address(0), p.address(1))
	older := typed("older", p.address(2), newIP())
	younger := typed("younger", p.address(2), newIP()) // a second later, or after it in the alphabet
	plain := w.cluster(nil, named("plain"), at(p.address(3), 6443), infrastructureOfNobody())
	fleet := []*cluster{single, older, younger}
	before := map[string]*clusterv1.Cluster{}
	for _, c := range fleet {
		c.becomes(built())
	}
	w.rest(fleet...)
	for _, c := range fleet {
		before[c.name] = c.now()
	}

	w.startAllocator()
	single.becomes(reason(controlPlane, "Manual", p.address(0)), reason(ingress, "Manual", p.address(1)))
	older.becomes(reason(controlPlane, "Manual", "used by Cluster "+w.namespace+"/younger"), reason(ingress, "Manual"))
	younger.becomes(reason(controlPlane, "Manual", "used by Cluster "+w.namespace+"/older"), reason(ingress, "Manual"))
	p.create()
	single.books(controlPlane, p.address(0))
	single.books(ingress, p.address(1))
	older.books(controlPlane, p.address(2))
	plain.books(controlPlane, p.address(3))

	screen, err := w.shell(w.management.Kubeconfig(), "kubectl vip pools "+p.name)
	if err != nil {
		t.Fatalf("%s, %v", screen, err)
	}
	for address, of := range map[string][2]string{p.address(0): {"single", "control-plane"}, p.address(1): {"single", "ingress"}, p.address(2): {"older", "control-plane"}, p.address(3): {"plain", "control-plane"}} {
		row := regexp.MustCompile(`(?m)^ +` + regexp.QuoteMeta(address) + ` +` + w.namespace + "/" + of[0] + " +" + of[1] + ` +- .*booked`)
		if !row.MatchString(screen) {
			t.Errorf("it does not list %s for %s:\n%s", address, of, screen)
		}
	}
	// The Deployment of the shared allocator names another filter, and errors are other tests' pools.
	screen, _ = w.shell(w.management.Kubeconfig(), "kubectl vip doctor --watch-filter="+w.filter+" || true")
	for name, other := range map[string]string{"older": "younger", "younger": "older"} {
		want := fmt.Sprintf("Cluster %s/%s DuplicateAddress: control-plane: %s is used by Cluster %s/%s ", w.namespace, name, p.address(2), w.namespace, other)
		if !strings.Contains(screen, want) {
			t.Errorf("doctor does not say %q:\n%s", want, screen)
		}
	}

	fresh := w.cluster(k)
	fresh.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"), built())
	p.uses(6)
	w.rest(fleet...)
	for _, c := range fleet {
		was, is := before[c.name], c.now()
		if is.Generation != was.Generation || !maps.Equal(is.Labels, was.Labels) || !maps.Equal(is.Annotations, was.Annotations) {
			t.Errorf("of running Cluster %s more than conditions was written: %+v, before that %+v", c.name, is, was)
		}
	}
	if got := younger.booking(controlPlane); got != "" {
		t.Errorf("%s is booked twice", got)
	}

	if out, err := w.shell(w.management.Kubeconfig(), "kubectl annotate globalinclusterippool "+p.name+" "+bookManual+"=false"); err != nil {
		t.Fatalf("%s, %v", out, err)
	}
	p.uses(2)
	for _, r := range bothRoles {
		if err := fresh.owns(r, fresh.address(r)); err != nil {
			t.Error(err)
		}
	}
}

// A copy made as the page says has VIPs of its own, and nothing of the original's.
func TestCopyACluster(t *testing.T) {
	endpoint := clusterv1.JSONSchemaProps{Type: "object", Properties: map[string]clusterv1.JSONSchemaProps{"host": text, "port": {Type: "integer"}}}
	for name, options := range map[string][]classOption{
		"variables": {declares("clusterVip", text), toInfrastructure("clusterVip", "/spec/template/spec/controlPlaneEndpoint/host")},
		"an object variable": {declares("endpoint", endpoint), annotated(controlPlane.variableKey(), "endpoint.host"),
			toInfrastructure("endpoint.host", "/spec/template/spec/controlPlaneEndpoint/host")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).judged()
			k := w.class(append(options, open(), declares("size", text),
				declares("ingressVip", text), toInfrastructure("ingressVip", "/spec/template/spec/ingressVIP"))...)
			w.pool(serving(controlPlane, k))
			w.pool(serving(ingress, k))
			original := w.cluster(k, named("web"), set("size", "large"))
			original.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"), built())
			original.rests()
			before := original.now()

			if out, err := w.shell(w.management.Kubeconfig(), w.adopting("Copying a Cluster", "sh")); err != nil || !strings.Contains(out, "web2 created") {
				t.Fatalf("%q, %v", out, err)
			}
			copied := &cluster{w: w, namespace: w.namespace, name: "web2"}
			copied.uid = copied.now().UID
			copied.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"), built(), variable("size", "large"))
			copied.rests()
			manifest := string(must(json.Marshal(copied.now())))
			for _, r := range bothRoles {
				own, theirs := copied.address(r), original.address(r)
				if own == "" || own == theirs || strings.Contains(manifest, theirs+`"`) {
					t.Errorf("the %s VIP is %s, that of the original %s, in %s", r, own, theirs, manifest)
				}
				if err := copied.owns(r, own); err != nil {
					t.Error(err)
				}
				copied.is(stamped(r, own))
			}
			host, _, _ := unstructured.NestedString(copied.infrastructure().Object, "spec", "controlPlaneEndpoint", "host")
			if own := copied.address(controlPlane); host != own || copied.now().Spec.ControlPlaneEndpoint.Host != own {
				t.Errorf("the VIP is %s, and infrastructure has %s", own, host)
			}
			after := original.now()
			if after.UID != before.UID || after.Generation != before.Generation || !maps.Equal(after.Annotations, before.Annotations) || !maps.Equal(after.Labels, before.Labels) {
				t.Errorf("the original was changed: %+v", after)
			}
		})
	}
}

const typedManifest = `apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata: {name: typed, namespace: default}
spec:
  controlPlaneEndpoint: {host: 10.20.0.200, port: 6443}
  topology: {classRef: {name: demo}, version: v1.36.3, variables: [{name: clusterVip, value: 10.20.0.200}]}
`

// What the page shows is what is printed.
func TestCopyNamesWhatIsLeft(t *testing.T) {
	w := newWorld(t)
	command, want, _ := strings.Cut(strings.TrimPrefix(w.adopting("Copying a Cluster", "console"), "$ "), "\n")
	code := "cat >typed.yaml <<'EOF'\n" + typedManifest + "EOF\n{ " + command + "; } 2>&1\n"
	if out, err := w.shell(w.management.Kubeconfig(), code); err != nil || out != want {
		t.Errorf("it prints %q, want %q, %v", out, want, err)
	}
}

// The script of the page, run twice, leaves one Cluster with one VIP out of the pool.
func TestReserveForAManifest(t *testing.T) {
	w := newWorld(t)
	user := w.reserver()
	w.apply(fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[1]s-clusters, namespace: %[2]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: %[1]s}]
`, w.namespace+reserverSuffix, w.namespace))
	w.apply(w.adopting("Clusters without ClusterClass", "yaml"))
	w.eventually("the pool is counted", func() error {
		if p := fetch[poolObject](w, observe.GlobalPools, "", "lan"); p.Status.IPAddresses == nil {
			return fmt.Errorf("it has no status")
		}
		return nil
	})
	script := w.adopting("Clusters without ClusterClass", "sh")
	for _, says := range []string{"db created", "db unchanged"} {
		if out, err := w.shell(user, script); err != nil || !strings.Contains(out, says) {
			t.Fatalf("%q, %v", out, err)
		}
	}
	db := &cluster{w: w, namespace: w.namespace, name: "db"}
	if host := db.now().Spec.ControlPlaneEndpoint.Host; host != "10.20.0.10" || host != db.address(controlPlane) {
		t.Errorf("the endpoint is %s, the claim is bound to %s", host, db.address(controlPlane))
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err) // of an object that the API server gave us
	}
	return value
}
