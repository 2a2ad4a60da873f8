package suite

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
)

// cliAgent is what the commands for people call themselves.
const cliAgent = "kubectl-vip"

// cli runs a command of the product as a user types it, and asserts that it only
// reads. An empty kubeconfig is the administrator's.
func (w *world) cli(kubeconfig string, args ...string) (output string, err error) {
	w.t.Helper()
	binary, err := allocator.Build(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if kubeconfig == "" {
		kubeconfig = w.management.Kubeconfig()
	}
	since := w.mark()
	command := exec.CommandContext(w.t.Context(), binary, args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	output, err = run(command)
	w.onlyReads(since)
	return output, err
}

// run returns what the command prints; an error holds what it complains about.
func run(command *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if err != nil {
		return stdout.String(), complaint{stderr.String(), command.ProcessState.ExitCode()}
	}
	return stdout.String(), nil
}

// complaint is the standard error of a command that failed, and its exit status.
type complaint struct {
	text   string
	status int
}

func (c complaint) Error() string { return c.text }

// reserverSuffix ends the names of the users who run the command that writes.
const reserverSuffix = "-reserver"

// onlyReads asserts that no command for people asked for anything that changes something.
func (w *world) onlyReads(since int64) {
	w.t.Helper()
	events, err := w.audit.Since(since)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range audit.Keep(events, audit.By(cliAgent)) {
		// What doctor asks about the controller's rights is kept nowhere.
		review := e.Verb == "create" && e.Object.Resource == "subjectaccessreviews"
		if e.Verb != "get" && e.Verb != "list" && e.Verb != "watch" && !review && !strings.HasSuffix(e.User.Username, reserverSuffix) {
			w.t.Errorf("%s: %s", cliAgent, describe(e))
		}
	}
}

// explanation is what tests read of the public format.
type explanation struct {
	Namespace, Name, ClassState, Skipped string
	Served                               bool
	Gates                                struct{ Held bool }
	Roles                                []explainedRole
	Controller                           struct {
		State    string
		Settings struct{ WatchFilter string }
	}
	NotVisible []struct{ Kind, Why string }
}

type explainedRole struct {
	Role, Source, Reason, Message, VIP, Next string
	Applies, Ready                           bool
	Notes                                    []struct{ Reason, Message string }
	ToDo                                     []string
	Claim                                    *struct {
		Name, Pool, Address string
		Owned               bool
	}
	Pools []struct {
		Pool, Verdict string
		Claimed       bool
		Free, Total   *int64
	}
	Closest  *struct{ Pool, Why string }
	Gate     *struct{ State string }
	Reported *struct{ Reason string }
}

// explain explains the Cluster to the administrator.
func (c *cluster) explain(flags ...string) *explanation {
	c.w.t.Helper()
	return c.explainTo("", flags...)
}

func (c *cluster) explainTo(kubeconfig string, flags ...string) *explanation {
	c.w.t.Helper()
	output, err := c.w.cli(kubeconfig, append([]string{"explain", "cluster", c.name, "-n", c.namespace, "-o", "json"}, flags...)...)
	if err != nil {
		c.w.t.Fatalf("explain: %v", err)
	}
	result := &explanation{}
	if err := json.Unmarshal([]byte(output), result); err != nil {
		c.w.t.Fatalf("explain: %v in %s", err, output)
	}
	if result.Name != c.name || result.Namespace != c.namespace || len(result.Roles) != len(bothRoles) {
		c.w.t.Fatalf("explain: %s", output)
	}
	return result
}

func (e *explanation) role(r role) *explainedRole {
	if r == ingress {
		return &e.Roles[1]
	}
	return &e.Roles[0]
}

// agrees tells whether the condition says the same. Where no pool serves, the next step of
// explain names the one that was most likely meant, which no condition does.
func (r *explainedRole) agrees(condition string) bool {
	text := r.Message
	for _, note := range r.Notes {
		text += "; " + note.Message
	}
	if r.Next == "" {
		return condition == text
	}
	if r.Closest != nil {
		return strings.HasPrefix(condition, text+"; next: ")
	}
	return condition == text+"; next: "+r.Next
}

func TestCLIErrors(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct{ args, says string }{
		{"explain cluster nobody", "Cluster default/nobody does not exist"},
		{"explain nobody -A", "no namespace has a Cluster nobody"},
		{"explain pool/nobody", `"pool" is no kind that can be explained`},
		{"explain nobody -o wide", `"wide" is none of table, json, yaml`},
		{"pools nobody", "no pool nobody carries vip.capi.gorizond.io/cluster-class"},
		{"pools --pool-kinds=nobody", "--pool-kinds: pool kind \"nobody\""},
		{"pools --kubeconfig=/nonexistent", "/nonexistent"},
	} {
		output, err := w.cli("", strings.Fields(test.args)...)
		failure, failed := err.(complaint) //nolint:errorlint // it is not wrapped
		if !failed || failure.status != 1 || !strings.HasPrefix(failure.text, "error: ") || !strings.Contains(failure.text, test.says) || output != "" {
			t.Errorf("%s: %v, it prints %q", test.args, err, output)
		}
	}
}

// The same program is a plugin of kubectl by another name.
func TestCLIPlugin(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	c := w.cluster(k, named(w.unique("web")))
	c.becomes(reason(controlPlane, "Allocated"))
	binary, err := allocator.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir()
	for _, name := range []string{"kubectl-vip", "kubectl_complete-vip"} {
		if err := os.Symlink(binary, filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	tools, err := w.management.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, says string }{
		{"vip", "kubectl vip [command]"},
		{"vip version", "capi-vip-allocator "},
		{"vip explain " + c.name + " -n " + c.namespace, "Allocated"},
		{"vip explain cluster/" + c.name + " -A", c.namespace + "/" + c.name},
		{"__complete vip explain cluster -n " + c.namespace + " ", c.name},
		{"__complete vip explain -n " + c.namespace + " " + c.name[:3], c.name},
		{"__complete vip reserve new -n " + c.namespace + " --pool ", p.name},
		{"__complete vip reserve new -n " + c.namespace + " --class ", k.name},
	} {
		command := exec.CommandContext(t.Context(), filepath.Join(tools, "kubectl"), strings.Split(test.args, " ")...)
		command.Env = append(os.Environ(), "KUBECONFIG="+w.management.Kubeconfig(), "PATH="+tools+":"+path)
		if output, err := run(command); err != nil || !strings.Contains(output, test.says) {
			t.Errorf("kubectl %s prints %q, %v", test.args, output, err)
		}
	}
}

// A line per Cluster: VIPs, where from, what it waits for. Without a name explain says the same.
func TestClustersInWords(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	p := w.pool(serving(controlPlane, k))
	served, manual := w.cluster(k, named("served")), w.cluster(k, named("manual"), at("192.0.2.9", 6443))
	waiting := w.cluster(k, named("waiting"), annotated(controlPlane.poolFilter(), "another"))
	served.becomes(has(controlPlane, p.address(0)))
	manual.becomes(reason(controlPlane, "Manual"))
	waiting.becomes(reason(controlPlane, "PoolFiltered"))
	for _, args := range [][]string{{"clusters"}, {"explain"}, {"explain", "clusters"}} {
		output, err := w.cli("", append(args, "-n", w.namespace)...)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(output, "\n")
		for _, words := range []string{
			"NAME CONTROL-PLANE FROM INGRESS FROM SINCE WAITS FOR",
			"served " + p.address(0) + " " + p.name + " - -", "manual 192.0.2.9 manual - -", "waiting waiting - - -",
		} {
			if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(strings.Join(strings.Fields(line), " "), words) }) {
				t.Errorf("%q: no line begins with %q in\n%s", args, words, output)
			}
		}
		if !strings.Contains(output, "control-plane PoolFiltered: no pool can serve") {
			t.Errorf("%q: it does not say what is waited for:\n%s", args, output)
		}
	}
}

// Who follows sees the VIP come.
func TestClustersFollowed(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text))
	c := w.cluster(k, named("late"))
	c.becomes(reason(controlPlane, "NoPool"))
	binary, err := allocator.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binary, "clusters", "-n", w.namespace, "--watch")
	command.Env = append(os.Environ(), "KUBECONFIG="+w.management.Kubeconfig())
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	until := func(words string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(strings.Join(strings.Fields(lines.Text()), " "), words) {
				return
			}
		}
		t.Fatalf("it ended before it said %q: %v", words, lines.Err())
	}
	until("late waiting")
	p := w.pool(serving(controlPlane, k))
	until("late " + p.address(0) + " " + p.name)
	c.remove()
	until("late is gone")
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// doctor finds what other tests have planted, too: what it says of this one is looked at.
func TestDoctor(t *testing.T) {
	w := newWorld(t)
	k := w.class(declares("clusterVip", text), toInfrastructure("clusterVip", "/spec/template/spec/controlPlaneEndpoint/host"))
	c := w.cluster(k, named("lonely"))
	c.becomes(reason(controlPlane, "NoPool"))
	find := func(args ...string) (result diagnosis, err error) {
		t.Helper()
		output, err := w.cli("", append([]string{"doctor", "-o", "json"}, args...)...)
		if readErr := json.Unmarshal([]byte(output), &result); readErr != nil {
			t.Fatalf("%v, %v in %s", err, readErr, output)
		}
		return result, err
	}
	d, err := find()
	var failed complaint
	if !errors.As(err, &failed) || failed.status != 1 {
		t.Errorf("it ends with %v", err)
	}
	lonely := slices.IndexFunc(d.Problems, func(p diagnosed) bool { return p.Object == "Cluster "+w.namespace+"/lonely" && p.Check == "NoPool" })
	if lonely < 0 || d.Problems[lonely].Severity != "error" || d.Problems[lonely].Next == "" {
		t.Errorf("it does not tell of the Cluster: %+v", d.Problems)
	}
	for _, p := range d.Problems {
		if p.Object == "" && p.Severity == "error" {
			t.Errorf("it finds the installation wrong: %+v", p)
		}
	}
	// Where nobody runs, that comes first. The chart's own rights are those that it needs.
	d, _ = find("--controller-namespace=" + w.namespace)
	if len(d.Problems) == 0 || !strings.HasPrefix(d.Problems[0].Message, "the allocator is not running: there is no Deployment") {
		t.Errorf("it begins with %+v", d.Problems[:1])
	}
	output, err := w.cli("", "explain", c.name, "-n", c.namespace, "--controller-namespace="+w.namespace)
	if err != nil || !strings.HasPrefix(output, "The allocator is not running: ") {
		t.Errorf("%v, explain prints %s", err, output)
	}
}

// diagnosis is what tests read of the public format.
type diagnosis struct{ Problems []diagnosed }

type diagnosed struct{ Severity, Object, Check, Message, Next string }
