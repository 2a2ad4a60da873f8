package security

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

var events = schema.GroupVersionResource{Version: "v1", Resource: "events"}

// costlyTemplates take as much time or memory as they can get. Those of the first group
// use the VIP, so that they have to be evaluated; the others are of no concern.
var costlyTemplates = map[bool]map[string]string{
	true: {
		"loop":         `{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}{{ .clusterVip }}`,
		"list":         `{{ range until 1500000000 }}{{ end }}{{ .clusterVip }}`,
		"text":         `{{ $a := repeat 10000 "x" }}{{ $b := repeat 10000 $a }}{{ $c := repeat 100 $b }}{{ len $c }}{{ .clusterVip }}`,
		"width":        `{{ range until 100000 }}{{ printf "%1000000s" $.clusterVip | len }}{{ end }}`,
		"recursion":    `{{ define "r" }}{{ template "r" . }}{{ template "r" . }}{{ end }}{{ template "r" . }}`,
		"authority":    `{{ range until 1000 }}{{ $ca := genCA $.clusterVip 365 }}{{ end }}`,
		"everything":   `{{ $d := dict "a" . }}{{ range until 100000 }}{{ $d = dict "a" $d "b" $d }}{{ end }}{{ toJson $d }}`,
		"put-together": `{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}{{ index . (printf "cluster%s" "Vip") }}`,
	},
	false: {
		"loop-beside":   `{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}content`,
		"memory-beside": `{{ $a := repeat 10000 "x" }}{{ $b := repeat 10000 $a }}{{ $c := repeat 100 $b }}content: "{{ len $c }}"`,
		"values-beside": `{{ range until (int .extraFiles) }}{{ end }}content`,
		"values":        `{{ range until (int .extraFiles) }}{{ end }}{{ .ingressVip }}`,
	},
}

// costlyClass is gated by its first patch. Its second one has a costly enabledIf or template.
func costlyClass(namespace, name, template string, enabledIf bool) string {
	condition, value := "", template
	if enabledIf {
		condition, value = "\n    enabledIf: "+strconv.Quote(template), "content"
	}
	return fmt.Sprintf(`
---
apiVersion: cluster.x-k8s.io/v1beta2
kind: ClusterClass
metadata: {name: %s, namespace: %s}
spec:
  infrastructure: {templateRef: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, name: blank}}
  controlPlane: {templateRef: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, name: blank}}
  variables:
  - {name: clusterVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1, pattern: "^(([0-9a-f.:]{1,60}){1,15})$"}}}
  - {name: ingressVip, required: false, schema: {openAPIV3Schema: {type: string, minLength: 1}}}
  - {name: extraFiles, required: false, schema: {openAPIV3Schema: {type: integer, default: 2}}}
  patches:
  - name: endpoint
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches: [{op: add, path: /spec/template/spec/controlPlaneEndpoint/host, valueFrom: {variable: clusterVip}}]
  - name: ingress
    enabledIf: '{{ if .ingressVip }}true{{ else }}{{ fail "no ingress VIP yet" }}{{ end }}'
    definitions:
    - selector: {apiVersion: infrastructure.cluster.x-k8s.io/v1beta2, kind: DemoClusterTemplate, matchResources: {infrastructureCluster: true}}
      jsonPatches: [{op: add, path: /spec/template/spec/ingressVIP, valueFrom: {variable: ingressVip}}]
  - name: costly%s
    definitions:
    - selector: {apiVersion: controlplane.cluster.x-k8s.io/v1beta2, kind: DemoControlPlaneTemplate, matchResources: {controlPlane: true}}
      jsonPatches: [{op: add, path: /spec/template/spec/tlsSANs/-, valueFrom: {template: %s}}]
`, name, namespace, condition, strconv.Quote(value))
}

// A ClusterClass in a namespace of its own takes the allocator away from nobody, and
// neither does a Cluster with a large number: not while it runs, nor after a restart.
func TestCostlyClasses(t *testing.T) {
	w := newWorld(t)
	u, other := w.tenant(""), w.tenant("")
	class, net := "honest", subnet()
	w.classes(class, other.namespace)
	w.pool("", other.namespace, class, "", net+".10-"+net+".99")
	manifest := management.BlankTemplates(u.namespace)
	unclear, gated := 0, 0
	for uses, templates := range costlyTemplates {
		for name, template := range templates {
			manifest += costlyClass(u.namespace, "costly-"+name, template, false)
			if uses {
				unclear++
			} else {
				gated++
			}
		}
	}
	for _, name := range []string{"loop", "list"} {
		manifest += costlyClass(u.namespace, "costly-if-"+name, costlyTemplates[true][name], true)
		unclear++
	}
	w.Apply(t, manifest)
	// The tenant's own Cluster has a large number for a class of somebody else's.
	for _, name := range []string{"costly-values-beside", "costly-values"} {
		u.make(name, name, annotation(prefix+"ingress-enabled", "false"), annotation(prefix+"control-plane-enabled", "false"),
			variable("extraFiles", int64(1500000000), "ingressVip", "10.1.2.3"))
	}
	memory := w.watchMemory(w.allocator)
	w.gatesAre(w.allocator, map[string]int{"unclear": unclear, "gated": gated})
	w.until("an event says so", func() error {
		list, err := w.Client.Resource(events).Namespace(u.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, event := range list.Items {
			about, _, _ := unstructured.NestedString(event.Object, "involvedObject", "name")
			message, _ := event.Object["message"].(string)
			if about == "costly-loop" && event.Object["reason"] == "ClassUnclear" && strings.Contains(message, "patch costly could not be evaluated: it takes more than") {
				return nil
			}
		}
		return errors.New("none does")
	})
	other.make("beside", class)
	w.served(other.namespace, "beside")
	w.says(other.namespace, "beside", cpReady, "Allocated")
	memory()

	// A fresh one finds them all.
	fresh, err := allocator.Start(t.Context(), allocator.Options{
		Kubeconfig: w.Kubeconfig, Args: append(w.Chart.Args, "--leader-elect=false", "--watch-filter=nobody"), LogFile: filepath.Join(w.Logs, "fresh.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fresh.Kill)
	memory = w.watchMemory(fresh)
	w.until("a fresh allocator passes over Clusters", func() error {
		series, err := fresh.Series(t.Context())
		if err != nil {
			return err
		}
		for name := range series {
			if strings.HasPrefix(name, "capi_vip_allocator_reconcile_total") {
				return nil
			}
		}
		return errors.New("it has passed over none")
	})
	w.gatesAre(fresh, map[string]int{"unclear": unclear, "gated": gated})
	memory()
	if code, err := fresh.Stop(); code != 0 || err != nil {
		t.Errorf("it ended with %d: %v", code, err)
	}
	w.lints(manifest, unclear)
	w.explains(u.namespace, "costly-values")
}

// gatesAre waits until so many of the costly classes have each state of the gate.
func (w *world) gatesAre(p *allocator.Process, want map[string]int) {
	w.t.Helper()
	w.until("all gates are known", func() error {
		series, err := p.Series(w.t.Context())
		if err != nil {
			return err
		}
		got := map[string]int{}
		for name, value := range series {
			if !strings.HasPrefix(name, `capi_vip_allocator_class_gate{cluster_class="costly-`) || !strings.Contains(name, `role="control-plane"`) {
				continue
			}
			for state := range want {
				if strings.Contains(name, `state="`+state+`"`) {
					got[state] += int(value)
				}
			}
		}
		for state, count := range want {
			if got[state] != count {
				return fmt.Errorf("got %v, want %v", got, want)
			}
		}
		return nil
	})
}

// watchMemory looks at what the allocator and its children have resident until it is told
// to judge.
func (w *world) watchMemory(p *allocator.Process) (judge func()) {
	const most = 256 << 20
	end, ended := make(chan struct{}), make(chan uint64)
	go func() {
		var peak uint64
		for {
			peak = max(peak, resident(p.PID()))
			select {
			case <-time.After(20 * time.Millisecond):
			case <-end:
				ended <- peak
				return
			}
		}
	}()
	return func() {
		w.t.Helper()
		close(end)
		peak := <-ended
		w.t.Logf("%d MiB were resident at most", peak>>20)
		if peak == 0 || peak > most {
			w.t.Errorf("%d MiB were resident, want %d at most", peak>>20, most>>20)
		}
	}
}

// resident is the memory of a process and its children, in bytes.
func resident(pid int) (total uint64) {
	all, err := procfs.AllProcs()
	if err != nil {
		return 0
	}
	for _, process := range all {
		stat, err := process.Stat()
		if err == nil && (stat.PID == pid || stat.PPID == pid) {
			total += uint64(stat.ResidentMemory())
		}
	}
	return total
}

// lints expects that lint says of each class what it cannot evaluate, and ends.
func (w *world) lints(manifest string, unclear int) {
	w.t.Helper()
	binary, err := allocator.Build(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(w.t.TempDir(), "classes.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		w.t.Fatal(err)
	}
	out, err := exec.CommandContext(w.t.Context(), binary, "lint", file).CombinedOutput()
	if err != nil {
		w.t.Errorf("lint: %v", err)
	}
	got := 0
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "[class-unclear]") && strings.Contains(line, ": control-plane: ") {
			got++
		}
	}
	if got != unclear {
		w.t.Errorf("lint finds %d unclear classes of %d:\n%s", got, unclear, out)
	}
}

// Names of classes that Clusters make up are no series, and those of classes go with them.
func TestSeriesGoWithTheirClasses(t *testing.T) {
	w := newWorld(t)
	u := w.tenant("")
	class, net := "fleeting", subnet()
	w.classes(class, u.namespace)
	w.pool(u.namespace, "p", class+",made-up-by-a-pool", "", net+".10-"+net+".99")
	u.make("real", class)
	w.served(u.namespace, "real")
	// Its webhook takes seconds for a class that does not exist.
	group := new(errgroup.Group)
	names := []string{"made-up-a", "made-up-b", "made-up-c", "made-up-d", "made-up-by-a-pool"}
	for _, name := range names {
		group.Go(func() error { return u.create(observe.Clusters, cluster(u.namespace, name, name)) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	named := func(text string) (count int) {
		series, err := w.allocator.Series(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name := range series {
			if strings.Contains(name, `cluster_class="`+text) {
				count++
			}
		}
		return count
	}
	w.says(u.namespace, "made-up-by-a-pool", inReady, "ClassNotFound")
	w.until("passes over all of them are counted", func() error {
		series, err := w.allocator.Series(t.Context())
		if got := series[`capi_vip_allocator_reconcile_total{cluster_class="",result="skipped"}`]; got < float64(len(names)-1) {
			return fmt.Errorf("%v are: %w", got, err)
		}
		return nil
	})
	if got := named("made-up-"); got != 0 {
		t.Errorf("there are %d series of classes that do not exist", got)
	}
	if got := named(class); got == 0 {
		t.Error("there are no series of the class")
	}
	for _, name := range append(names, "real") {
		if err := w.Client.Resource(observe.Clusters).Namespace(u.namespace).Delete(t.Context(), name, deletion); err != nil {
			t.Fatal(err)
		}
	}
	w.until("the class can be deleted", func() error {
		return client404(w.Client.Resource(observe.ClusterClasses).Namespace(u.namespace).Delete(t.Context(), class, deletion))
	})
	w.until("the series of the class are gone", func() error {
		if got := named(class); got != 0 {
			return fmt.Errorf("there are %d", got)
		}
		return nil
	})
}
