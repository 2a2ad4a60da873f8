package vip

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// patch gathers the changes to one Cluster and writes them as a JSON Patch whose
// tests make it fail if anything it depends on changed meanwhile. A lock on the
// resourceVersion would lose to Cluster API's own frequent status writes.
type patch struct {
	cluster        *Cluster
	endpoint       Endpoint
	writesEndpoint bool
	annotations    map[string]*string // nil value: remove
	labels         map[string]*string
	variables      []variableChange
	// reads are the paths of the variables that the decision was read from.
	reads   []string
	noInfra bool
	// lifts ends the pause of a held Cluster.
	lifts bool
}

func newPatch(cluster *Cluster) *patch {
	p := &patch{cluster: cluster}
	p.reset()
	return p
}

func (p *patch) reset() {
	*p = patch{cluster: p.cluster, reads: p.reads, annotations: map[string]*string{}, labels: map[string]*string{}}
}

func (p *patch) empty() bool { return p.size() == 0 }

func (p *patch) size() int {
	size := len(p.annotations) + len(p.labels) + len(p.variables)
	if p.writesEndpoint {
		size++
	}
	if p.lifts {
		size++
	}
	return size
}

func (p *patch) setEndpoint(endpoint Endpoint) { p.endpoint, p.writesEndpoint = endpoint, true }

// derivesPort tells whether the endpoint gets a port that the Cluster did not state.
func (p *patch) derivesPort() bool { return p.writesEndpoint && p.cluster.Endpoint.Port == 0 }

func (p *patch) setAnnotation(key, value string) {
	change(p.annotations, p.cluster.Annotations, key, &value)
}
func (p *patch) removeAnnotation(key string) { change(p.annotations, p.cluster.Annotations, key, nil) }
func (p *patch) setLabel(key, value string)  { change(p.labels, p.cluster.Labels, key, &value) }
func (p *patch) removeLabel(key string)      { change(p.labels, p.cluster.Labels, key, nil) }

func change(changes map[string]*string, current map[string]string, key string, value *string) {
	old, exists := current[key]
	if (value == nil && !exists) || (value != nil && exists && old == *value) {
		return
	}
	changes[key] = value
}

// liftHold ends the pause of a held Cluster, which then is like any other.
func (p *patch) liftHold() {
	p.lifts = true
	p.removeAnnotation(HeldAnnotation)
	p.dependsOnNoInfrastructure(true)
}

// dependsOnNoInfrastructure makes the patch fail once there is infrastructure.
func (p *patch) dependsOnNoInfrastructure(depends bool) { p.noInfra = p.noInfra || depends }

// ops renders the patch; nil if it changes nothing.
func (p *patch) ops() []PatchOp {
	if p.empty() {
		return nil
	}
	// A typed nil pointer would print as null too, but an untyped one is plainer to test.
	var paused any
	if p.cluster.Paused != nil {
		paused = *p.cluster.Paused
	}
	w := &opWriter{}
	w.test("/metadata/uid", p.cluster.UID)
	w.test("/spec/paused", paused)
	if !p.cluster.Deleting {
		w.test("/metadata/deletionTimestamp", nil)
	}
	if p.cluster.ClassField != "" {
		w.test(p.cluster.ClassField, p.cluster.Class.Name)
	}
	if p.noInfra {
		w.test("/spec/infrastructureRef", nil)
	}
	if p.derivesPort() && p.cluster.APIServerPort != 0 {
		w.test("/spec/clusterNetwork/apiServerPort", p.cluster.APIServerPort)
	}
	p.metadataOps(w)
	p.endpointOps(w)
	p.variableOps(w)
	if p.lifts {
		w.remove("/spec/paused")
	}
	return append(w.tests, w.changes...)
}

type opWriter struct{ tests, changes []PatchOp }

func (w *opWriter) test(path string, value any) {
	w.tests = append(w.tests, PatchOp{Op: "test", Path: path, Value: value})
}

func (w *opWriter) add(path string, value any) {
	w.changes = append(w.changes, PatchOp{Op: "add", Path: path, Value: value})
}

func (w *opWriter) remove(path string) {
	w.changes = append(w.changes, PatchOp{Op: "remove", Path: path})
}

// metadataOps also tests the annotations that the decision was read from.
func (p *patch) metadataOps(w *opWriter) {
	read := []string{PausedAnnotation, BackfillAnnotation, WrittenForAnnotation}
	if p.cluster.Held() {
		read = append(read, HeldAnnotation)
	}
	for _, role := range Roles() {
		read = append(read, role.EnabledAnnotation(), role.WrittenAnnotation(), role.Stamp())
	}
	mapOps(w, "/metadata/annotations", p.cluster.Annotations, p.annotations, read)
	mapOps(w, "/metadata/labels", p.cluster.Labels, p.labels, nil)
}

func mapOps(w *opWriter, path string, current map[string]string, changes map[string]*string, read []string) {
	if len(current) == 0 {
		if len(changes) == 0 && len(read) == 0 {
			return
		}
		// The absent parent stands for every key below it.
		w.test(path, nil)
		if len(changes) > 0 {
			added := map[string]string{}
			for key, value := range changes {
				added[key] = *value
			}
			w.add(path, added)
		}
		return
	}
	tested := slices.Collect(maps.Keys(changes))
	for _, key := range read {
		if _, changed := changes[key]; !changed {
			tested = append(tested, key)
		}
	}
	slices.Sort(tested)
	for _, key := range tested {
		at := path + "/" + EscapePointer(key)
		if old, exists := current[key]; exists {
			w.test(at, old)
		} else {
			w.test(at, nil)
		}
		switch value, changed := changes[key]; {
		case !changed:
		case value == nil:
			w.remove(at)
		default:
			w.add(at, *value)
		}
	}
}

// endpointOps tests the endpoint even where it is not changed: a host that a user
// changes while we copy it elsewhere must not be copied.
func (p *patch) endpointOps(w *opWriter) {
	const path = "/spec/controlPlaneEndpoint"
	old := p.cluster.Endpoint
	if old == (Endpoint{}) {
		w.test(path, p.cluster.AbsentEndpoint)
	} else {
		w.test(path+"/host", orAbsent(old.Host, p.cluster.AbsentEndpoint))
		w.test(path+"/port", orAbsent(old.Port, p.cluster.AbsentEndpoint))
	}
	if p.writesEndpoint {
		w.add(path, map[string]any{"host": p.endpoint.Host, "port": p.endpoint.Port})
	}
}

// orAbsent is the value to test for: null if the field is left out where it is zero.
func orAbsent[T comparable](value T, absentEndpoint any) any {
	var zero T
	if value == zero && absentEndpoint == nil {
		return nil
	}
	return value
}

// EscapePointer makes a key one step of a JSON Pointer (RFC 6901).
func EscapePointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

func variablePath(index int) string { return fmt.Sprintf("/spec/topology/variables/%d", index) }
