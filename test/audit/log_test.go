package audit_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gorizond/capi-vip-allocator/test/audit"
)

const lines = `{"verb":"watch","userAgent":"kubectl/v1 (linux)","objectRef":{"resource":"clusters"},"responseStatus":{"code":200}}
{"verb":"patch","userAgent":"capi-vip-allocator/dev","objectRef":{"resource":"clusters","namespace":"a","name":"b"},"responseStatus":{"code":200}}
{"verb":"patch","userAgent":"capi-vip-allocator/dev","objectRef":{"resource":"clusters","namespace":"a","name":"b"},"responseStatus":{"code":422}}
{"verb":"update","userAgent":"capi-vip-allocator/dev","objectRef":{"resource":"clusters","subresource":"status"},"responseStatus":{"code":200}}
`

func write(t *testing.T, content string) audit.Log {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return audit.Log(path)
}

func TestSinceLeavesOutEarlierAndUnfinishedLines(t *testing.T) {
	log := write(t, lines+`{"verb":"cre`)
	for name, test := range map[string]struct {
		position int64
		want     int
	}{
		"everything":      {0, 4},
		"after the first": {int64(len(firstLine())), 3},
		"in the first":    {int64(len(firstLine()) - 5), 3},
		"at the end":      {int64(len(lines)), 0},
	} {
		events, err := log.Since(test.position)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(events) != test.want {
			t.Errorf("%s: got %d events, want %d", name, len(events), test.want)
		}
	}
}

func firstLine() string {
	for i, c := range lines {
		if c == '\n' {
			return lines[:i+1]
		}
	}
	return ""
}

func TestCountSeparatesAcceptedFromRefused(t *testing.T) {
	events, err := write(t, lines).Since(0)
	if err != nil {
		t.Fatal(err)
	}
	ours := audit.Keep(events, audit.By("capi-vip-allocator"), audit.Event.IsWrite)
	got := audit.Count(ours, func(e audit.Event) string { return e.Verb + " " + e.Resource() })
	want := []audit.Tally{
		{Key: "patch clusters", Accepted: 1, Refused: 1},
		{Key: "update clusters/status", Accepted: 1},
	}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDamagedLineIsAnError(t *testing.T) {
	if _, err := write(t, "{\n").Since(0); err == nil {
		t.Error("a damaged line was read without an error")
	}
}
