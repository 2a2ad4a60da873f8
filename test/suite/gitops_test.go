package suite

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// fromGit is a Cluster as people commit it: with a variable of their own, without VIPs.
const fromGit = `
apiVersion: cluster.x-k8s.io/v1beta2
kind: Cluster
metadata:
  name: %[1]s
  namespace: %[2]s
  labels: {cluster.x-k8s.io/watch-filter: %[3]s, team: a}
spec:
  topology:
    classRef: {name: %[4]s}
    version: v1.36.3
    controlPlane: {replicas: 1}
    variables:
    - {name: size, value: %[5]s}
`

// committed is a Cluster out of Git, of a class that waits for both VIPs and takes a
// variable of the user's as well.
type committed struct {
	*cluster
	class *class
}

// commit makes the Cluster as the tool of these kubectl arguments does, and waits until
// it is built and nobody writes it any more.
func (w *world) commit(tool ...string) *committed {
	w.t.Helper()
	k := w.class(open(),
		declares("clusterVip", text), toInfrastructure("clusterVip", "/spec/template/spec/controlPlaneEndpoint/host"),
		declares("ingressVip", text), toInfrastructure("ingressVip", "/spec/template/spec/ingressVIP"),
		declares("size", text), toInfrastructure("size", "/spec/template/spec/build"))
	w.pool(serving(controlPlane, k))
	w.pool(serving(ingress, k))
	c := &committed{&cluster{w: w, namespace: w.namespace, name: "from-git"}, k}
	c.apply("small", tool...)
	c.uid = c.now().UID
	c.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"), built())
	c.rests()
	return c
}

func (c *committed) manifest(size string) string {
	return fmt.Sprintf(fromGit, c.name, c.namespace, c.w.filter, c.class.name, size)
}

// apply runs kubectl with the tool's arguments on the manifest.
func (c *committed) apply(size string, tool ...string) {
	c.w.t.Helper()
	c.w.kubectl(c.manifest(size), append(tool, "-f", "-")...)
}

// kubectl runs it as the administrator.
func (w *world) kubectl(stdin string, args ...string) {
	w.t.Helper()
	if err := w.tryKubectl(stdin, args...); err != nil {
		w.t.Fatalf("kubectl %q: %v", args, err)
	}
}

// tryKubectl returns what it complains about.
func (w *world) tryKubectl(stdin string, args ...string) error {
	w.t.Helper()
	tools, err := w.management.Kubectl()
	if err != nil {
		w.t.Fatal(err)
	}
	command := exec.CommandContext(w.t.Context(), filepath.Join(tools, "kubectl"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+w.management.Kubeconfig(), "KUBECACHEDIR="+w.t.TempDir())
	command.Stdin = strings.NewReader(stdin)
	_, err = run(command)
	return err
}

// made identifies what Cluster API has made of the Cluster, and each change of it.
func (c *committed) made() string {
	c.w.t.Helper()
	now := c.now()
	infrastructure := c.referred(now.Spec.InfrastructureRef.Name, "DemoCluster")
	plane := c.referred(now.Spec.ControlPlaneRef.Name, "DemoControlPlane")
	return fmt.Sprintf("%s, generation %d; %s, generation %d", infrastructure.GetUID(), infrastructure.GetGeneration(), plane.GetUID(), plane.GetGeneration())
}

// A tool that applies the same manifest again and again strips the variables if it
// applies client-side. They are restored, and nothing that was built changes.
func TestGitOpsReapply(t *testing.T) {
	const again = 3
	for name, test := range map[string]struct {
		tool []string
		// strips is how many times our values go.
		strips int
	}{
		"client-side": {[]string{"apply"}, again + 1},
		"server-side": {[]string{"apply", "--server-side", "--force-conflicts", "--field-manager=kustomize-controller"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := w.commit(test.tool...)
			cp, in := c.address(controlPlane), c.address(ingress)
			c.is(has(controlPlane, cp), has(ingress, in))
			made, since := c.made(), w.mark()
			for range again {
				c.apply("small", test.tool...)
				c.becomes(has(controlPlane, cp), has(ingress, in), variable("size", "small"))
			}
			c.rests()
			if after := c.made(); after != made {
				t.Errorf("what was built is now %s, it was %s", after, made)
			}
			// What the user means to change does change, and once.
			c.apply("large", test.tool...)
			c.becomes(has(controlPlane, cp), has(ingress, in), variable("size", "large"))
			w.eventually("the infrastructure has the new size", func() error {
				if got := c.infrastructure().Object["spec"].(map[string]any)["build"]; got != "large" {
					return fmt.Errorf("it is %v", got)
				}
				return nil
			})
			w.barrier()
			writes := audit.Keep(w.writes(since, writesOf("patch", "clusters")), func(e audit.Event) bool {
				return e.Object.Name == c.name && e.Response.Code < 300
			})
			if len(writes) != test.strips {
				t.Errorf("the Cluster was written %d times, want %d", len(writes), test.strips)
			}
			if now := c.infrastructure(); !strings.HasPrefix(made, fmt.Sprintf("%s, generation %d;", now.GetUID(), now.GetGeneration()-1)) {
				t.Errorf("the infrastructure changed more than once: generation %d, it was %s", now.GetGeneration(), made)
			}
		})
	}
}

// A manifest without variables strips nothing, client-side either.
func TestGitOpsWithoutVariables(t *testing.T) {
	w := newWorld(t)
	k := w.gatedClass(controlPlane, ingress)
	w.pool(serving(controlPlane, k))
	w.pool(serving(ingress, k))
	c := &cluster{w: w, namespace: w.namespace, name: "from-git"}
	manifest := fmt.Sprintf(fromGit, c.name, c.namespace, w.filter, k.name, "small")
	manifest, _, _ = strings.Cut(manifest, "    variables:\n")
	w.kubectl(manifest, "apply", "-f", "-")
	c.uid = c.now().UID
	c.becomes(reason(controlPlane, "Allocated"), reason(ingress, "Allocated"), built())
	c.rests()
	since := w.mark()
	w.kubectl(manifest, "apply", "-f", "-")
	w.kubectl(strings.ReplaceAll(manifest, "team: a", "team: b"), "apply", "-f", "-")
	c.is(has(controlPlane, c.address(controlPlane)), has(ingress, c.address(ingress)))
	c.untouched(since)
}

// Until a Cluster is built, a stripped value holds the build back and no more.
func TestGitOpsReapplyAtOnce(t *testing.T) {
	w := newWorld(t)
	k := w.class(open(),
		declares("clusterVip", text), toInfrastructure("clusterVip", "/spec/template/spec/controlPlaneEndpoint/host"),
		declares("size", text))
	p := w.pool(serving(controlPlane, k))
	c := &committed{&cluster{w: w, namespace: w.namespace, name: "from-git"}, k}
	for range 5 {
		c.apply("small", "apply")
	}
	c.becomes(has(controlPlane, p.address(0)), built())
	if host := c.infrastructure().Object["spec"].(map[string]any)["controlPlaneEndpoint"].(map[string]any)["host"]; host != p.address(0) {
		t.Errorf("the infrastructure has host %v, want %s", host, p.address(0))
	}
	if found := list[any](w, observe.DemoClusters, w.namespace, ""); len(found) != 1 {
		t.Errorf("there are %d infrastructures", len(found))
	}
}

// Nobody replaces a Cluster that is built: Cluster API refuses to lose what it made.
func TestGitOpsReplace(t *testing.T) {
	w := newWorld(t)
	c := w.commit("apply")
	cp, in := c.address(controlPlane), c.address(ingress)
	err := w.tryKubectl(c.manifest("small"), "replace", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "spec.infrastructureRef: Forbidden: cannot be removed") {
		t.Errorf("the replace was answered by: %v", err)
	}
	c.is(has(controlPlane, cp), has(ingress, in))
}
