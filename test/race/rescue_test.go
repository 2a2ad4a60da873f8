package race

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/gates"
)

// rescue is the block of the documentation that lets held Clusters go by hand.
var rescue = regexp.MustCompile("(?s)\n### Let held Clusters go by hand\n\n```sh\n(.*?)```\n")

// documented returns what users are told to type.
func documented(ctx context.Context) (string, error) {
	examples, err := allocator.Examples(ctx)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(examples, "..", "docs", "gates.md"))
	if err != nil {
		return "", err
	}
	if found := rescue.FindSubmatch(text); found != nil {
		return string(found[1]), nil
	}
	return "", errors.New("it is not there")
}

// With nobody left to lift the pause, the documented line does, and leaves the pauses
// of users alone.
func TestHeldClustersAreLetGoByHand(t *testing.T) {
	w := newWorld(t, gates.UnderHold)
	w.class(gates.Open)
	script, err := documented(t.Context())
	if err != nil {
		t.Fatalf("find the line in docs/gates.md: %v", err)
	}
	kubectl, err := w.Management.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	w.create(1)
	w.is(clusterName(0), "is held", held)
	w.apply(fmt.Sprintf(clusterManifest, "by-user", w.namespace) + "  paused: true\n")
	before := w.stated("by-user")
	for range 2 { // The second time there is nothing left to do.
		bash := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		bash.Env = append(os.Environ(), "PATH="+kubectl+string(os.PathListSeparator)+os.Getenv("PATH"),
			"KUBECONFIG="+w.Management.Kubeconfig(), "KUBECACHEDIR="+t.TempDir())
		output, err := bash.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		t.Logf("%s", output)
	}
	w.is(clusterName(0), "is let go", letGo)
	w.eventually("Cluster API builds it", func() error {
		if !w.witness.exists(w.namespace, clusterName(0)) {
			return fmt.Errorf("it does not")
		}
		return nil
	})
	if after := w.stated("by-user"); after != before {
		t.Errorf("the Cluster that a user paused was changed: %s, before %s", after, before)
	}
}

// stated is what people and tools say about the Cluster, without its status.
func (w *world) stated(name string) string {
	w.t.Helper()
	cluster, err := w.get(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return fmt.Sprint(cluster.Object["spec"], cluster.GetAnnotations(), cluster.GetLabels())
}
