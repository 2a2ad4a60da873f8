package fault

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Rule is what happens to the requests that match it. Several rules may match one
// request; they apply in the order in which they were added.
type Rule struct {
	Match Match
	// Nth limits the rule to the n-th request that matches, counted from 1 since
	// the rule was added. 0 means every one.
	Nth int
	// Delay is how long a request waits before it goes on.
	Delay time.Duration
	// Before is called before the API server sees the request.
	Before func(Request)
	// DropRequest breaks the connection, and the API server sees nothing.
	DropRequest bool
	// Refuse answers in place of the API server, which sees nothing.
	Refuse *Refusal
	// Duplicate sends the request twice, as something on the way does that takes the
	// first one for lost. The client hears the second answer.
	Duplicate bool
	// After is called when the API server has answered with that status code, and
	// the client has not heard of it.
	After func(r Request, code int)
	// DropReply loses the answer: the API server has done what was asked, and the
	// client sees its connection break.
	DropReply bool
	// Truncate breaks the connection after so many bytes of the answer's body. 0 lets
	// all of it pass.
	Truncate int64
}

// Refusal is an answer of the API server's kind.
type Refusal struct {
	Code       int // of HTTP
	RetryAfter time.Duration
	Reason     string // such as Conflict; client-go tells most errors apart by it
	Message    string
}

// Expired is what the API server answers where the version that a watch or the rest of
// a list asks for is forgotten.
func Expired() *Refusal {
	return &Refusal{Code: http.StatusGone, Reason: "Expired", Message: "too old resource version"}
}

// Armed is a rule in force.
type Armed struct {
	rule  Rule
	proxy *Proxy
	mutex sync.Mutex
	seen  int
	hit   chan struct{} // closed when the rule has applied once
	once  sync.Once
}

// Add puts a rule in force until it is removed.
func (p *Proxy) Add(rule Rule) *Armed {
	armed := &Armed{rule: rule, proxy: p, hit: make(chan struct{})}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.rules = append(p.rules, armed)
	return armed
}

// Remove ends the rule for requests that come from now on.
func (a *Armed) Remove() {
	a.proxy.mutex.Lock()
	defer a.proxy.mutex.Unlock()
	for i, other := range a.proxy.rules {
		if other == a {
			// A new slice, since requests under way walk the old one.
			a.proxy.rules = append(append([]*Armed(nil), a.proxy.rules[:i]...), a.proxy.rules[i+1:]...)
			return
		}
	}
}

// Hit is closed once the rule has applied to a request: at the end, after its hooks.
func (a *Armed) Hit() <-chan struct{} { return a.hit }

// Seen counts the requests that matched.
func (a *Armed) Seen() int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.seen
}

func (a *Armed) applies(r Request) bool {
	if !a.rule.Match(r) {
		return false
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.seen++
	return a.rule.Nth == 0 || a.rule.Nth == a.seen
}

func (a *Armed) done() { a.once.Do(func() { close(a.hit) }) }

// matching returns the rules for the request, and counts it in all of them.
func (p *Proxy) matching(r Request) []*Armed {
	p.mutex.Lock()
	rules := p.rules
	p.mutex.Unlock()
	var result []*Armed
	for _, rule := range rules {
		if rule.applies(r) {
			result = append(result, rule)
		}
	}
	return result
}

// before does what comes before the API server. It is not to see the request if there
// is a refusal or if the request is lost.
func before(ctx context.Context, r Request, rules []*Armed) (refusal *Refusal, lost bool) {
	for _, armed := range rules {
		if armed.rule.Delay > 0 {
			select {
			case <-time.After(armed.rule.Delay):
			case <-ctx.Done():
			}
		}
		if armed.rule.Before != nil {
			armed.rule.Before(r)
		}
		if armed.rule.Refuse != nil || armed.rule.DropRequest {
			armed.done()
			return armed.rule.Refuse, armed.rule.DropRequest
		}
	}
	return nil, false
}

// after does what comes after the API server and tells whether its answer is lost.
func after(r Request, code int, rules []*Armed) (lost bool) {
	for _, armed := range rules {
		if armed.rule.After != nil {
			armed.rule.After(r, code)
		}
		lost = lost || armed.rule.DropReply
		armed.done()
	}
	return lost
}

func (r *Refusal) answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if r.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(r.RetryAfter.Seconds())))
	}
	w.WriteHeader(r.Code)
	_, _ = w.Write(r.status()) // the client may be gone
}

// status is the refusal as an object of the API.
func (r *Refusal) status() []byte {
	message := r.Message
	if message == "" {
		message = fmt.Sprintf("the proxy refuses with %d", r.Code)
	}
	body, _ := json.Marshal(map[string]any{ // strings and numbers always marshal
		"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": r.Code, "reason": r.Reason, "message": message,
	})
	return body
}
