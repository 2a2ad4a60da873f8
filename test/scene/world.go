package scene

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
)

var (
	namespaces atomic.Int64
	foreign    = regexp.MustCompile(`[^a-z0-9]+`)
)

// Namespace makes a namespace named after the test, with labels in YAML. A test that
// fails tells what is in it.
func (s *Scene) Namespace(t *testing.T, labels string) string {
	t.Helper()
	const limit = 40
	name := foreign.ReplaceAllString(strings.ToLower(strings.TrimPrefix(t.Name(), "Test")), "-")
	name = strings.Trim(name[:min(len(name), limit)], "-")
	name = fmt.Sprintf("%s-%d", name, namespaces.Add(1))
	s.Apply(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+name+", labels: {"+labels+"}}}")
	t.Cleanup(func() {
		if t.Failed() {
			s.tell(t, name)
		}
	})
	return name
}

// Apply applies a YAML stream as the administrator.
func (s *Scene) Apply(t *testing.T, content string) {
	t.Helper()
	if err := s.Management.Apply(t.Context(), []byte(content)); err != nil {
		t.Fatal(err)
	}
}

// Until waits until check returns nil, at most for the limit; what completes "wait
// until" where that fails the test.
func Until(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	const most = 250 * time.Millisecond
	deadline := time.Now().Add(limit)
	// What takes long is asked for less and less often: many wait side by side.
	for interval := 25 * time.Millisecond; ; interval = min(interval*5/4, most) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("wait until %s: not within %s: %v", what, limit, err)
		}
		select {
		case <-time.After(interval):
		case <-t.Context().Done():
			t.Fatal(context.Cause(t.Context()))
		}
	}
}

// Gone waits until the object does not exist, at most for the limit. Where it stays,
// its finalizers and status say why.
func Gone(t *testing.T, limit time.Duration, in dynamic.ResourceInterface, name string) {
	t.Helper()
	Until(t, limit, name+" is gone", func() error {
		object, err := in.Get(t.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return fmt.Errorf("the %s is there, deleted at %v, with finalizers %v and status %v",
			object.GetKind(), object.GetDeletionTimestamp(), object.GetFinalizers(), object.Object["status"])
	})
}
