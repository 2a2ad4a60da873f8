package fault

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

func TestDropRequest(t *testing.T) {
	b, p, client := start(t)
	rule := p.Add(Rule{Match: Of("create", "ipaddressclaims"), Nth: 1, DropRequest: true})
	if got := send(t, client, p, http.MethodPost, claims); got.code != 0 {
		t.Errorf("answer is %v", got)
	}
	<-rule.Hit()
	if len(b.requests) > 0 || len(p.Writes(Any)) > 0 {
		t.Error("the API server has seen it")
	}
	if got := send(t, client, p, http.MethodPost, claims); got.code != http.StatusOK {
		t.Errorf("answer is %v", got)
	}
}

func TestTruncate(t *testing.T) {
	_, p, client := start(t)
	rule := p.Add(Rule{Match: Any, Truncate: 3})
	body, err := io.ReadAll(send(t, client, p, http.MethodGet, claims).body)
	if string(body) != "don" || err == nil {
		t.Errorf("read %q, %v", body, err)
	}
	rule.Remove()
	if body, err = io.ReadAll(send(t, client, p, http.MethodGet, claims).body); string(body) != "done" || err != nil {
		t.Errorf("read %q, %v", body, err)
	}
}

func TestDuplicate(t *testing.T) {
	b, p, client := start(t)
	rule := p.Add(Rule{Match: Writes, Nth: 1, Duplicate: true})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Address()+claims, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	<-rule.Hit()
	if first, second := <-b.requests, <-b.requests; first != second || len(b.requests) > 0 {
		t.Errorf("the API server saw %q and %q", first, second)
	}
	if writes := p.Writes(Any); len(writes) != 2 {
		t.Errorf("writes are %v", writes)
	}
}

func TestExpired(t *testing.T) {
	b, p, client := start(t)
	p.Add(Rule{Match: func(r Request) bool { return r.Rest }, Refuse: Expired()})
	if got := send(t, client, p, http.MethodGet, claims+"?limit=5"); got.code != http.StatusOK {
		t.Errorf("the first part is answered with %v", got)
	}
	refused := send(t, client, p, http.MethodGet, claims+"?limit=5&continue=abc")
	var status struct{ Kind, Reason string }
	if err := json.NewDecoder(refused.body).Decode(&status); err != nil || refused.code != http.StatusGone || status.Reason != "Expired" {
		t.Errorf("the second part is answered with %v, %v, %v", refused, status, err)
	}

	stream := send(t, client, p, http.MethodGet, claims+"?watch=true")
	b.events <- `{"type":"ADDED"}`
	decoder := json.NewDecoder(stream.body)
	var event struct {
		Type   string
		Object struct{ Code int }
	}
	if err := decoder.Decode(&event); err != nil || event.Type != "ADDED" {
		t.Errorf("event is %v, %v", event, err)
	}
	if n := p.Expire(Of("watch", "clusters")); n != 0 {
		t.Errorf("%d watches of Clusters", n)
	}
	if n := p.Expire(Of("watch", "ipaddressclaims")); n != 1 {
		t.Errorf("%d watches", n)
	}
	if err := decoder.Decode(&event); err != nil || event.Type != "ERROR" || event.Object.Code != http.StatusGone {
		t.Errorf("event is %v, %v", event, err)
	}
	if err := decoder.Decode(&event); err != io.EOF { //nolint:errorlint // the decoder wraps nothing
		t.Errorf("then %v, %v", event, err)
	}
}

// A hook stops a process before the API server sees the second write, and kills it
// after.
func TestProcessAtItsWrite(t *testing.T) {
	b, p, client := start(t)
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	signal := func(s os.Signal) {
		if err := child.Process.Signal(s); err != nil {
			t.Error(err)
		}
	}
	rule := p.Add(Rule{
		Match: Writes, Nth: 2,
		Before: func(Request) {
			if len(b.requests) != 1 {
				t.Errorf("the API server has seen %d requests", len(b.requests))
			}
			signal(syscall.SIGSTOP)
		},
		After: func(Request, int) {
			for begin := time.Now(); state(t, child.Process.Pid) != "T"; { // once it is scheduled
				if time.Since(begin) > deadline {
					t.Error("it goes on")
					break
				}
			}
			signal(os.Kill)
		},
	})
	for range 2 {
		send(t, client, p, http.MethodPost, claims)
	}
	<-rule.Hit()
	err := child.Wait()
	if child.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", err)
	}
}

// state is the letter that ps shows for a process.
func state(t *testing.T, pid int) string {
	process, err := procfs.NewProc(pid)
	if err != nil {
		t.Error(err)
		return ""
	}
	stat, err := process.Stat()
	if err != nil {
		t.Error(err)
	}
	return stat.State
}

func TestSometimes(t *testing.T) {
	count := func(seed uint64) (n int) {
		m := Sometimes(seed, 0.3, Writes)
		for range 1000 {
			if m(Request{Verb: "get"}) {
				t.Fatal("a read matches")
			}
			if m(Request{Verb: "create"}) {
				n++
			}
		}
		return n
	}
	if n := count(1); n < 250 || n > 350 || n != count(1) {
		t.Errorf("%d of 1000, then %d", n, count(1))
	}
}
