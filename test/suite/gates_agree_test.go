package suite

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

	"github.com/gorizond/capi-vip-allocator/test/observe"
)

var (
	gateSeed    = flag.Uint64("gate-seed", 1, "of the first class that TestWhatIsSaidOfGatesIsSo makes; the others have the next ones")
	gateClasses = flag.Uint64("gate-classes", 300, "how many classes TestWhatIsSaidOfGatesIsSo makes")
)

const (
	// classesTogether have their Clusters at the same time.
	classesTogether = 20
	// gateLanes are how many such groups there are at the same time.
	gateLanes = 3
	// Clusters of a class that waits, as lint says, and of one that does not until one is built.
	whereGated, whereOpen = 4, 30
)

// subject is a class that is drawn, what lint says of it, and its Clusters.
type subject struct {
	*class
	sketch
	seed uint64
	// open is what lint says of a gate that is open, empty of one that is for a stated "".
	open, empty string
	trials      []*trial
	built       []string // what the Clusters without VIP are that Cluster API has built
}

// trial is a Cluster that the class may have.
type trial struct {
	what    string
	options []clusterOption
}

// What lint says of a class is what Cluster API does with its Clusters: it builds none of
// them without the VIP, or it builds some. The classes are made at random, and each has
// Clusters that differ in what its patches ask for.
func TestWhatIsSaidOfGatesIsSo(t *testing.T) {
	t.Parallel()
	for lane := range uint64(gateLanes) {
		t.Run(fmt.Sprintf("lane %d", lane), func(t *testing.T) {
			t.Parallel()
			end := *gateSeed + *gateClasses
			for first := *gateSeed + lane*classesTogether; first < end; first += gateLanes * classesTogether {
				last := min(first+classesTogether, end) - 1
				t.Run(fmt.Sprintf("seeds %d to %d", first, last), func(t *testing.T) { gatesAgree(t, first, last) })
			}
		})
	}
}

// gatesAgree tries the classes of the seeds. They go with the test: each allocator that starts
// meanwhile inspects all that are there.
func gatesAgree(t *testing.T, first, last uint64) {
	w := newLonelyWorld(t)
	w.filter = "nobody"
	var subjects []*subject
	for seed := first; seed <= last; seed++ {
		subjects = append(subjects, w.drawSubject(seed))
	}
	w.lintGates(subjects)
	for _, s := range subjects {
		s.create()
	}
	for _, s := range subjects {
		s.awaitReady()
		s.plan()
	}
	for w.tryNext(subjects) {
	}
	states := map[string]int{}
	for _, s := range subjects {
		states[s.verdict(t)]++
	}
	t.Log(states)
	for _, resource := range []schema.GroupVersionResource{observe.Clusters, observe.ClusterClasses} {
		w.eventually("the "+resource.Resource+" are gone", func() error {
			err := w.in(resource, w.namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
			if left := len(list[metav1.PartialObjectMetadata](w, resource, w.namespace, "")); err == nil && left > 0 {
				err = fmt.Errorf("%d are left", left)
			}
			return err
		})
	}
}

func (w *world) drawSubject(seed uint64) *subject {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // it is to repeat itself
	s := &subject{sketch: drawClass(r), seed: seed}
	s.class = w.draftClass(s.options...)
	return s
}

// lintGates asks lint about the classes.
func (w *world) lintGates(subjects []*subject) {
	w.t.Helper()
	var manifests strings.Builder
	byName := map[string]*subject{}
	for _, s := range subjects {
		byName[s.name] = s
		text, err := yaml.Marshal(s.draft)
		if err != nil {
			w.t.Fatal(err)
		}
		fmt.Fprintf(&manifests, "---\n%s", text)
	}
	file := filepath.Join(w.t.TempDir(), "classes.yaml")
	if err := os.WriteFile(file, []byte(manifests.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	output, _ := w.cli("", "lint", file) // it fails where a class is ungated
	for line := range strings.Lines(output) {
		_, check, _ := strings.Cut(line, "[")
		check, finding, _ := strings.Cut(check, "] ClusterClass "+w.namespace+"/")
		name, why, _ := strings.Cut(finding, ": ")
		s := byName[name]
		if s == nil || !strings.HasPrefix(why, string(s.role)+": ") {
			continue
		}
		switch {
		case check == "class-gate":
			s.open = why
		case check == "class-unclear":
			w.t.Errorf("lint is not sure: %s", line)
		case strings.Contains(why, `a Cluster that states ""`):
			s.empty = why
		}
	}
}

// plan says which Clusters are tried. Of a gate that is open it begins with the one that
// lint names.
func (s *subject) plan() {
	add := func(names ...string) {
		s.trials = append(s.trials, &trial{strings.Join(names, ", "), s.cluster(names...)})
	}
	count := whereGated
	if s.open != "" {
		count = whereOpen
		add(s.said(s.open)...)
	}
	add()
	r := rand.New(rand.NewPCG(s.seed, 1)) //nolint:gosec // it is to repeat itself
	for len(s.differ) > 0 && len(s.trials) < count {
		add(s.some(r)...)
	}
	if s.open == "" && s.takesEmpty != nil {
		s.trials = append(s.trials, &trial{statesEmpty, append(s.cluster(), s.takesEmpty)})
	}
}

const statesEmpty = `it states ""`

// tryNext makes the next Clusters of each class and waits until Cluster API has judged
// them. It tells whether there are more to try.
func (w *world) tryNext(subjects []*subject) (more bool) {
	w.t.Helper()
	const together = 2
	type candidate struct {
		of   *subject
		what string
		*cluster
	}
	var all []candidate
	for _, s := range subjects {
		if len(s.built) > 0 {
			s.trials = nil // it is clear
		}
		n := min(together, len(s.trials))
		for _, next := range s.trials[:n] {
			if c := w.admitted(s.class, next.options...); c != nil {
				all = append(all, candidate{s, next.what, c})
			}
		}
		s.trials = s.trials[n:]
		more = more || len(s.trials) > 0
	}
	for _, c := range all {
		if c.builtWithoutVIP() {
			c.of.built = append(c.of.built, c.what)
		}
		c.remove()
	}
	return more
}

// admitted creates a Cluster, nil if the class does not admit it.
func (w *world) admitted(k *class, options ...clusterOption) *cluster {
	w.t.Helper()
	draft := w.draftCluster(k, options...)
	made, err := w.in(observe.Clusters, draft.Namespace).Create(w.t.Context(), plain(w, draft), metav1.CreateOptions{})
	if apierrors.IsInvalid(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return &cluster{w: w, namespace: made.GetNamespace(), name: made.GetName(), uid: made.GetUID()}
}

// builtWithoutVIP waits until Cluster API has judged the Cluster: it has infrastructure
// then, or its topology fails.
func (c *cluster) builtWithoutVIP() (built bool) {
	c.w.t.Helper()
	c.w.eventually("Cluster API judges Cluster "+c.name, func() error {
		now := c.now()
		if built = now.Spec.InfrastructureRef.Name != ""; built {
			return nil
		}
		condition := meta.FindStatusCondition(now.Status.Conditions, clusterv1.ClusterTopologyReconciledCondition)
		if condition == nil || condition.Reason != clusterv1.ClusterTopologyReconciledFailedReason {
			return errors.New("not yet")
		}
		return nil
	})
	return built
}

// verdict compares what lint says with what Cluster API did.
func (s *subject) verdict(t *testing.T) string {
	t.Helper()
	said, agrees := "gated", len(s.built) == 0
	switch {
	case s.open != "":
		said, agrees = "open", len(s.built) > 0
	case s.empty != "":
		// Nobody tells for which Clusters it opens.
		said, agrees = "open for an empty string", len(s.built) == 0 || slices.Equal(s.built, []string{statesEmpty})
	}
	if !agrees {
		text, _ := yaml.Marshal(map[string]any{"annotations": s.draft.Annotations, "variables": s.draft.Spec.Variables[:2], "patches": s.draft.Spec.Patches})
		t.Errorf("seed %d: lint says it is %s: %q, and built without the VIP is: %q\n%s", s.seed, said, s.open, s.built, text)
	}
	return said
}
