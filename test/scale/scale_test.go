package scale

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/audit"
)

// The benchmark in small: Clusters that have their VIPs cost no write, neither at a start nor
// when they are edited nor when the API server comes back, and a new one among them is
// served all along.
func TestManyClusters(t *testing.T) {
	if testing.Short() {
		t.Skip("boots an API server")
	}
	t.Parallel()
	o := Options{Sizes: []int{20, 300}, Samples: 2, Edits: 100, Churn: 2 * time.Second, Idle: time.Second, Progress: t.Output()}
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	expectNone := func(when string, requests []audit.Event) {
		t.Helper()
		for _, e := range Writes(requests) {
			t.Errorf("unexpected write %s: %s %s %s/%s", when, e.Verb, e.Resource(), e.Object.Namespace, e.Object.Name)
		}
	}
	for _, size := range report.Sizes {
		expectNone("at a start", size.Start.Requests)
		expectNone("after edits", size.Edits.Requests)
		if size.Edits.Passes < o.Edits/2 {
			t.Errorf("%d passes after %d edits: the allocator looked away", size.Edits.Passes, o.Edits)
		}
		if len(size.Latencies) != o.Samples {
			t.Errorf("%d new clusters were served, want %d", len(size.Latencies), o.Samples)
		}
	}
	expectNone("after edits of a tenth", report.Churn.Requests)
	expectNone("while nothing happens", report.Idle.Requests)
	expectNone("after a restart of the API server", report.Restart.Requests)
	if again := reads(report.Restart.Requests); !strings.Contains(again, "watch") {
		t.Errorf("after a restart of the API server the allocator reads %q: it does not watch again", again)
	}
	var text, drawing bytes.Buffer
	report.Print(&text)
	t.Log(text.String())
	if err := report.Draw(&drawing); err != nil || !strings.Contains(drawing.String(), "</svg>") {
		t.Errorf("drawing of %d bytes, %v", drawing.Len(), err)
	}
}

func TestCheckOfOptions(t *testing.T) {
	for name, test := range map[string]struct {
		sizes          []int
		samples, edits int
		ok             bool
	}{
		"usual":     {[]int{10, 100}, 1, 1, true},
		"none":      {nil, 1, 1, false},
		"falling":   {[]int{100, 10}, 1, 1, false},
		"too many":  {[]int{mostClusters + 1}, 1, 1, false},
		"no sample": {[]int{10}, 0, 1, false},
		"no edit":   {[]int{10}, 1, 0, false},
	} {
		if err := (Options{Sizes: test.sizes, Samples: test.samples, Edits: test.edits}).Check(); (err == nil) != test.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
