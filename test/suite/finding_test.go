package suite

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
)

var update = flag.Bool("update", false, "write docs/finding-faults.md anew")

// planted is a fault on a management cluster, and how somebody finds it who knows
// nothing but one command.
type planted struct {
	// heading, wrong and how are words of docs/finding-faults.md: what is wrong, and how
	// that is cured.
	heading, wrong, how string
	plant               func(s *site)
	// command is what somebody types, trim what is left of its output, says what must be
	// in there: the cause.
	command string
	trim    func(output string) string
	says    []string
	// cure is what that person types then; cured fails as long as it did not help.
	cure  string
	cured func(s *site)
}

// site is where a fault is planted.
type site struct {
	*world
	cluster *cluster
	subnet  string
	dir     string // in which commands run
	real    *strings.Replacer
	shown   *strings.Replacer
}

const (
	// shownNamespace and shownSubnet stand for those of every site.
	shownNamespace = "team-a"
	shownSubnet    = "10.10.0"
	// siteClass and sitePool are what everything is called there.
	siteClass, sitePool, siteCluster = "rke2", "vips", "web"
)

// rounds counts how often the test runs, see -count.
var rounds atomic.Int64

// TestFindingFaults plants faults, and finds each by one command. What it prints
// is docs/finding-faults.md.
func TestFindingFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a management cluster")
	}
	t.Parallel()
	faults := plantedFaults()
	sections := make([]string, len(faults))
	// Of one length, so that columns are always as wide.
	names := []string{"team", "crew", "gang", "band", "unit"}
	round := int(rounds.Add(1) - 1)
	t.Run("fault", func(t *testing.T) {
		for i, f := range faults {
			namespace, subnet := fmt.Sprintf("%s-%02d", names[round%len(names)], i), fmt.Sprintf("10.%d.%d", 90+round%len(names), i)
			t.Run(f.heading, func(t *testing.T) { sections[i] = f.find(newSite(t, namespace, subnet)) })
		}
	})
	page := findingFaults
	for i, section := range sections {
		if section == "" {
			t.Skip("not every fault was planted")
		}
		page += fmt.Sprintf("\n## %d. %s\n\n%s", i+1, faults[i].heading, section)
	}
	examples, err := allocator.Examples(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(examples, "..", "docs", "finding-faults.md")
	if *update {
		err = os.WriteFile(path, []byte(page), 0o644)
	}
	written, readErr := os.ReadFile(path)
	if err != nil || readErr != nil {
		t.Fatal(err, readErr)
	}
	if string(written) != page {
		t.Errorf("docs/finding-faults.md is not what was found; -update writes it. It should be\n%s", page)
	}
}

// newSite makes a world in a namespace of that name.
func newSite(t *testing.T, namespace, subnet string) *site {
	t.Helper()
	w := newWorld(t)
	w.namespace = namespace
	w.apply("{apiVersion: v1, kind: Namespace, metadata: {name: " + namespace + "}}")
	return &site{
		world: w, subnet: subnet, dir: t.TempDir(),
		real:  strings.NewReplacer(shownNamespace, namespace, shownSubnet+".", subnet+"."),
		shown: strings.NewReplacer(namespace, shownNamespace, subnet+".", shownSubnet+"."),
	}
}

// find plants the fault, finds and cures it, and returns what people read about it.
func (f *planted) find(s *site) string {
	s.t.Helper()
	f.plant(s)
	section := fmt.Sprintf("%s\n\n```console\n$ %s\n%s```\n\n%s\n\n```sh\n%s\n```\n",
		f.wrong, f.command, s.shown.Replace(f.look(s)), f.how, f.cure)
	if output, err := s.shell(f.cure); err != nil {
		s.t.Fatalf("%s: %v\n%s", f.cure, err, output)
	}
	f.cured(s)
	return section
}

// look runs the command until its output names the cause: the controller may still be
// about to say so.
func (f *planted) look(s *site) (output string) {
	s.t.Helper()
	s.eventually("the cause is found", func() error {
		text, _ := s.shell(f.command) // lint fails where it finds something
		output = f.trim(text)
		for _, words := range f.says {
			if !strings.Contains(s.shown.Replace(output), words) {
				return fmt.Errorf("it does not say %q: %s", words, text)
			}
		}
		return nil
	})
	return output
}

// shell runs a line as somebody types it who has the product on their PATH.
func (s *site) shell(line string) (string, error) {
	s.t.Helper()
	tools, err := s.management.Kubectl()
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.dir, "bin")
	s.install(path)
	command := exec.CommandContext(s.t.Context(), "bash", "-euo", "pipefail", "-c", s.real.Replace(line))
	command.Dir = s.dir
	command.Env = append(os.Environ(), "KUBECONFIG="+s.management.Kubeconfig(), "KUBECACHEDIR="+filepath.Join(s.dir, "cache"),
		"PATH="+strings.Join([]string{tools, path, os.Getenv("PATH")}, string(os.PathListSeparator)))
	output, err := command.CombinedOutput()
	return string(output), err
}

// install puts the product into a folder, by its name and as a plugin of kubectl.
func (s *site) install(path string) {
	s.t.Helper()
	binary, err := allocator.Build(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		s.t.Fatal(err)
	}
	for _, name := range []string{"capi-vip-allocator", "kubectl-vip"} {
		if err := os.Symlink(binary, filepath.Join(path, name)); err != nil && !os.IsExist(err) {
			s.t.Fatal(err)
		}
	}
}

// file writes a file into the folder in which commands run.
func (s *site) file(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(s.real.Replace(content)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// rke2 makes the site's class, gated by the control-plane VIP.
func (s *site) rke2() *class {
	s.t.Helper()
	return s.class(named(siteClass), open(), declares("clusterVip", text), toInfrastructure("clusterVip", "/spec/template/spec/controlPlaneEndpoint/host"))
}

// vips makes the site's pool for the control plane of the class.
func (s *site) vips(options ...poolOption) *pool {
	s.t.Helper()
	p := s.draftPool(append([]poolOption{
		namespaced(), named(sitePool), labelled(poolClass, siteClass), labelled(poolRole, "control-plane"),
		ranges(s.subnet + ".10-" + s.subnet + ".19"), grace(120),
	}, options...)...)
	if p.draft.Annotations[pausedAnnotation] != "" {
		p.createUncounted() // its provider does not look at it
		return p
	}
	p.create()
	return p
}

// noGrace has the pool give released addresses out again at once.
func noGrace() poolFunc { return func(o *poolObject) { o.Spec.GraceSeconds = nil } }

// web makes the site's Cluster, and waits until it was told of the reason by an event.
func (s *site) web(k *class, want string, options ...clusterOption) {
	s.t.Helper()
	s.cluster = s.world.cluster(k, append([]clusterOption{named(siteCluster)}, options...)...)
	if want != "" {
		s.toldOf(want)
	}
}

// toldOf waits for a reason and its event.
func (s *site) toldOf(want string) {
	s.t.Helper()
	s.cluster.becomes(reason(controlPlane, want))
	s.eventually("there is an event", func() error { return s.cluster.told(kindOf(want)+" "+want, string(controlPlane)) })
}

// allocated waits until the Cluster has its VIP.
func allocated(s *site) {
	s.t.Helper()
	s.cluster.becomes(reason(controlPlane, "Allocated"))
}

// quiet asserts that the command does not find the fault any more.
func quiet(command, words string) func(s *site) {
	return func(s *site) {
		s.t.Helper()
		s.eventually("nothing is found any more", func() error {
			output, _ := s.shell(command)
			return absent(output, words)
		})
	}
}
