package vip_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// eachPatch runs the test for every case whose plan changes the Cluster.
func eachPatch(t *testing.T, test func(t *testing.T, s *vip.Snapshot, d *vip.Decision)) {
	t.Helper()
	for _, folder := range caseFolders(t) {
		s := readCase(t, folder)
		if d := vip.Plan(s); len(d.Patch) > 0 {
			t.Run(folder, func(t *testing.T) { test(t, s, &d) })
		}
	}
}

func TestPatchAppliesAndLeavesNothingToDo(t *testing.T) {
	eachPatch(t, func(t *testing.T, s *vip.Snapshot, d *vip.Decision) {
		next := after(t, s, d)
		again := vip.Plan(next)
		if len(again.Patch) > 0 {
			t.Errorf("the next pass would patch again:\n%s", renderPlan(t, &again))
		}
		for role, outcome := range again.Roles {
			if d.Roles[role].Address != "" && outcome.Address != d.Roles[role].Address && outcome.Reason != vip.Disabled {
				t.Errorf("role %s: the VIP was %s and is %s after the patch", role, d.Roles[role].Address, outcome.Address)
			}
		}
	})
}

func TestPatchKeepsWhatIsForeign(t *testing.T) {
	eachPatch(t, func(t *testing.T, s *vip.Snapshot, d *vip.Decision) {
		before := newClusterDoc(&s.Cluster)
		result, err := before.apply(d.Patch)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := before.foreign(s), result.foreign(s); !reflect.DeepEqual(a, b) {
			t.Errorf("foreign fields changed:\nbefore %v\nafter  %v", a, b)
		}
		// Those that stay keep their order, and new ones come last.
		names, gone := variableNames(result), 0
		for i, name := range variableNames(before) {
			if !slices.Contains(names, name) {
				gone++
			} else if names[i-gone] != name {
				t.Errorf("variable %s moved: %v became %v", name, variableNames(before), names)
			}
		}
	})
}

func TestPatchFailsOnceAnythingItTestsHasChanged(t *testing.T) {
	eachPatch(t, func(t *testing.T, s *vip.Snapshot, d *vip.Decision) {
		for _, op := range d.Patch {
			if op.Op != "test" {
				continue
			}
			doc := newClusterDoc(&s.Cluster)
			setAt(doc, op.Path, "changed meanwhile")
			if _, err := doc.apply(d.Patch); err == nil {
				t.Errorf("%s changed, and the patch still applies", op.Path)
			}
		}
	})
}

func TestPatchTestsUIDAndPauseFirst(t *testing.T) {
	eachPatch(t, func(t *testing.T, s *vip.Snapshot, d *vip.Decision) {
		var paused any
		if s.Cluster.Paused != nil {
			paused = *s.Cluster.Paused
		}
		want := []vip.PatchOp{{Op: "test", Path: "/metadata/uid", Value: caseUID}, {Op: "test", Path: "/spec/paused", Value: paused}}
		if !reflect.DeepEqual(d.Patch[:2], want) {
			t.Errorf("the patch begins with %v, want %v", d.Patch[:2], want)
		}
		changing := false
		for _, op := range d.Patch {
			if changing = changing || op.Op != "test"; changing && op.Op == "test" {
				t.Errorf("the test of %s comes after a change", op.Path)
			}
		}
	})
}

// A patch that lost a race must do no lasting harm: either it is refused, or the
// Cluster ends up as if the pass had begun after the change.
func TestPatchThatLostARaceDoesNoLastingHarm(t *testing.T) {
	races := map[string]func(clusterDoc){
		"deleted and made anew":     func(d clusterDoc) { d.object("metadata")["uid"] = "uid-2" },
		"paused by spec":            func(d clusterDoc) { d.object("spec")["paused"] = true },
		"paused by annotation":      annotate(vip.PausedAnnotation, ""),
		"control plane disabled":    annotate(vip.ControlPlane.EnabledAnnotation(), "false"),
		"ingress disabled":          annotate(vip.Ingress.EnabledAnnotation(), "false"),
		"control plane published":   annotate(vip.ControlPlane.WrittenAnnotation(), "elsewhere"),
		"ingress published":         annotate(vip.Ingress.WrittenAnnotation(), "elsewhere"),
		"control plane stamped":     annotate(vip.ControlPlane.Stamp(), "192.168.9.9"),
		"ingress stamped":           annotate(vip.Ingress.Stamp(), "192.168.9.9"),
		"endpoint set":              func(d clusterDoc) { d.object("spec")["controlPlaneEndpoint"] = endpoint("192.168.9.9", 8443) },
		"endpoint's port changed":   func(d clusterDoc) { setPort(d, 8444) },
		"clusterVip changed":        changeVariable("clusterVip", "192.168.9.9"),
		"ingressVip changed":        changeVariable("ingressVip", "192.168.9.9"),
		"another variable set":      setVariable("zzz", "1"),
		"variables taken away":      func(d clusterDoc) { delete(d.object("spec", "topology"), "variables") },
		"stranger's label set":      func(d clusterDoc) { d.object("metadata")["labels"] = map[string]any{"example.com/x": "y"} },
		"stranger's annotation set": annotate("example.com/x", "y"),
		"rebased to another class":  rebase,
		"no longer held":            letGo,
		"back-fill taken back":      func(d clusterDoc) { delete(d.object("metadata", "annotations"), vip.BackfillAnnotation) },
	}
	eachPatch(t, func(t *testing.T, s *vip.Snapshot, d *vip.Decision) {
		for name, race := range races {
			doc := newClusterDoc(&s.Cluster)
			race(doc)
			doc = doc.copy()
			late, err := doc.apply(d.Patch)
			if err != nil {
				continue
			}
			if got, want := converge(t, s, late), converge(t, s, doc); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: the patch still applies, and in the end the Cluster differs (- is missing, + is too much):\n%s", name, difference(want, got))
			}
		}
	})
}

// Infrastructure that is made while our patch is on its way has not seen the
// variable, and to fill it then would roll out machines.
func TestNoVariableIsFilledOnceThereIsInfrastructure(t *testing.T) {
	eachPatch(t, func(t *testing.T, s *vip.Snapshot, d *vip.Decision) {
		if s.Cluster.HasInfrastructure {
			return
		}
		doc := newClusterDoc(&s.Cluster)
		doc.object("spec")["infrastructureRef"] = map[string]any{"name": caseName}
		late, err := doc.apply(d.Patch)
		if err != nil {
			return
		}
		next := *s
		next.Cluster = late.read(s.Cluster)
		for _, role := range vip.Roles() {
			checkFilled(t, withInfrastructure(s), &next, role)
		}
	})
}

func withInfrastructure(s *vip.Snapshot) *vip.Snapshot {
	changed := *s
	changed.Cluster.HasInfrastructure = true
	return &changed
}

// converge makes passes until nothing is left to do.
func converge(t *testing.T, s *vip.Snapshot, doc clusterDoc) clusterDoc {
	t.Helper()
	for range 3 {
		now := *s
		now.Cluster = doc.read(s.Cluster)
		d := vip.Plan(&now)
		if len(d.Patch) == 0 {
			return doc
		}
		var err error
		if doc, err = doc.apply(d.Patch); err != nil {
			t.Fatalf("a patch does not apply: %v", err)
		}
	}
	t.Fatalf("no end of patches")
	return nil
}

func annotate(key, value string) func(clusterDoc) {
	return func(d clusterDoc) {
		if d.object("metadata", "annotations") == nil {
			d.object("metadata")["annotations"] = map[string]any{}
		}
		d.object("metadata", "annotations")[key] = value
	}
}

func endpoint(host string, port int) map[string]any {
	return map[string]any{"host": host, "port": port}
}

func setPort(d clusterDoc, port int) {
	if current := d.object("spec", "controlPlaneEndpoint"); current != nil {
		current["port"] = port
	}
}

func setVariable(name, value string) func(clusterDoc) {
	return func(d clusterDoc) {
		list := d.variables()
		for _, entry := range list {
			if variable := entry.(map[string]any); variable["name"] == name {
				variable["value"] = value
				return
			}
		}
		if topology := d.object("spec", "topology"); topology != nil {
			topology["variables"] = append(list, map[string]any{"name": name, "value": value})
		}
	}
}

// changeVariable changes a variable that is there. One that appears only now is
// another matter: JSON Patch has no test for its absence from a list.
func changeVariable(name, value string) func(clusterDoc) {
	return func(d clusterDoc) {
		if slices.Contains(variableNames(d), name) {
			setVariable(name, value)(d)
		}
	}
}

// setAt sets the value at a JSON pointer and makes the objects on the way.
func setAt(d clusterDoc, pointer string, value any) {
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	var current any = map[string]any(d)
	for i, step := range steps {
		step = unescape.Replace(step)
		last := i == len(steps)-1
		switch node := current.(type) {
		case map[string]any:
			if last {
				node[step] = value
			} else if node[step] == nil {
				node[step] = map[string]any{}
			}
			current = node[step]
		case []any:
			index, _ := strconv.Atoi(step)
			if last {
				node[index] = value
			}
			current = node[index]
		}
	}
}

// difference lists the fields in which two documents differ.
func difference(want, got clusterDoc) string {
	a, b := map[string]string{}, map[string]string{}
	flatten(a, "", map[string]any(want))
	flatten(b, "", map[string]any(got))
	var lines []string
	for path, value := range a {
		if b[path] != value {
			lines = append(lines, path+" - "+value)
		}
	}
	for path, value := range b {
		if a[path] != value {
			lines = append(lines, path+" + "+value)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func flatten(into map[string]string, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for key, field := range v {
			flatten(into, path+"/"+key, field)
		}
	case []any:
		for i, entry := range v {
			flatten(into, path+"/"+strconv.Itoa(i), entry)
		}
	default:
		text, _ := json.Marshal(v)
		into[path] = string(text)
	}
}

func rebase(d clusterDoc) {
	if class := d.object("spec", "topology", "classRef"); class != nil {
		class["name"] = "other"
	}
}

func letGo(d clusterDoc) {
	annotations := d.object("metadata", "annotations")
	if delete(annotations, vip.HeldAnnotation); len(annotations) == 0 {
		delete(d.object("metadata"), "annotations")
	}
}
