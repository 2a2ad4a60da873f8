package install

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/observe"
)

// pause is when clusterctl had the Clusters paused: from its first change of a Cluster
// to its last.
type pause struct{ begin, end time.Time }

func (e *environment) paused(t *testing.T) pause {
	t.Helper()
	events := e.events(t, audit.By("clusterctl/"), func(event audit.Event) bool {
		return event.Verb == "patch" && event.Resource() == "clusters" && event.Accepted()
	})
	if len(events) == 0 {
		t.Fatal("clusterctl paused nothing")
	}
	return pause{events[0].Received, events[len(events)-1].Received}
}

// keptStill checks that the allocator wrote nothing in the namespace meanwhile, but did
// at other times.
func (e *environment) keptStill(t *testing.T, begin, end time.Time) {
	t.Helper()
	writes := e.events(t, audit.By(observe.UserAgent+"/"), audit.Event.IsWrite, func(event audit.Event) bool {
		return event.Object.Namespace == metav1.NamespaceDefault
	})
	outside := 0
	for _, event := range writes {
		if event.Received.Before(begin) || event.Received.After(end) {
			outside++
			continue
		}
		t.Errorf("while clusterctl moved: %s %s %s at %s", event.Verb, event.Resource(), event.Object.Name, event.Received)
	}
	if outside == 0 {
		t.Error("the allocator wrote nothing at all")
	}
}

func (e *environment) events(t *testing.T, tests ...func(audit.Event) bool) []audit.Event {
	t.Helper()
	events, err := audit.Log(e.Management.AuditLog()).Since(0)
	if err != nil {
		t.Fatal(err)
	}
	return audit.Keep(events, tests...)
}
