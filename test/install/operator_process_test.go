package install

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/loopback"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// operatorKinds installs the operator's kinds and returns the names of their definitions.
func (e *environment) operatorKinds(t *testing.T, o operator) []string {
	t.Helper()
	const module = "sigs.k8s.io/cluster-api-operator"
	// Where nobody has downloaded it yet it has no folder.
	o.goCommand(t, "mod", "download", module)
	dir := o.goCommand(t, "list", "-m", "-f", "{{.Dir}}", module)
	files, err := filepath.Glob(filepath.Join(dir, "config", "crd", "bases", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no kinds in %s: %v", dir, err)
	}
	var names []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e.Apply(t, string(content))
		for _, o := range objectsOf(t, content) {
			names = append(names, o.GetName())
		}
	}
	return names
}

// startOperator runs the operator until stop is called. Its webhooks serve, but nobody
// asks them.
func (e *environment) startOperator(t *testing.T, o operator) (stop func()) {
	t.Helper()
	ports, err := loopback.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(e.Logs, o.module+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), o.goCommand(t, "tool", "-n", "sigs.k8s.io/cluster-api-operator/cmd"),
		"--kubeconfig="+e.Management.Kubeconfig(),
		"--health-addr="+loopback.Address(ports[0]),
		"--diagnostics-address="+loopback.Address(ports[1]), "--insecure-diagnostics",
		fmt.Sprint("--webhook-port=", ports[2]),
		"--webhook-cert-dir="+filepath.Join(e.Management.Dir(), "certificates", "serving"),
		"--profiler-address=", "--v=2")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(done)
	}()
	stop = func() {
		_ = cmd.Process.Kill() // fails only if it is gone
		<-done
	}
	t.Cleanup(func() {
		stop()
		log.Close()
		if content, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("end of the operator's log:\n%s", content[max(len(content)-4096, 0):])
		}
	})
	scene.Until(t, patience, "the operator serves", func() error { return isOK("http://" + loopback.Address(ports[0]) + "/readyz") })
	return stop
}

// goCommand runs the go command in the operator's module and returns what it prints.
func (o operator) goCommand(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = filepath.Join(root, "test", "components", o.module)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			out = failed.Stderr
		}
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func isOK(url string) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s", url, response.Status)
	}
	return nil
}
