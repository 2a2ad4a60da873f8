package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Bounds of one evaluation. Real classes take some milliseconds and a few MiB.
const (
	// MaxTime is the CPU time that the templates of one class may take for one answer,
	// garbage collection included. CPU time passes no faster on a busy machine.
	MaxTime = 300 * time.Millisecond
	// MaxMemory is the memory, in bytes, that they may take beside the child's own.
	MaxMemory = 64 << 20
	// maxStack bounds the recursion of one goroutine, in bytes.
	maxStack = 16 << 20
	// look is how often the child looks at what it has used.
	look = 5 * time.Millisecond
)

// argument is the one argument of a child process.
const argument = "evaluate-templates"

// ask is what a request asks.
type ask string

const (
	askInspect  ask = "inspect"
	askConsumes ask = "consumes"
	askNeededBy ask = "needed-by"
)

// request is one question to the child.
type request struct {
	Ask ask
	// Limit is the CPU time that the answer may take.
	Limit    time.Duration           `json:",omitempty"`
	Role     vip.Role                `json:",omitempty"`
	Class    *clusterv1.ClusterClass `json:",omitempty"`
	Question *gate.Question          `json:",omitempty"`
}

// result is what was found out.
type result struct {
	// Finding answers Inspect.
	Finding gate.Finding `json:",omitzero"`
	// Consumed answers Consumes, NeededBy is the patch that answers NeededBy.
	Consumed bool   `json:",omitempty"`
	NeededBy string `json:",omitempty"`
	// Unclear says why there is no answer; empty if there is one. Patch names the patch
	// that was being evaluated then, if any.
	Unclear string `json:",omitempty"`
	Patch   string `json:",omitempty"`
}

// reply is a message of the child: which patch it is at, or the answer, which is last.
type reply struct {
	Patch  string  `json:",omitempty"`
	Answer *result `json:",omitempty"`
	// CPU is what the answer took.
	CPU time.Duration `json:",omitempty"`
}

// Main is what every program that uses an Evaluator does first: in a child process it
// answers questions, and otherwise runs main. The result is the exit status.
func Main(args []string, main func() int) int {
	if len(args) != 2 || args[1] != argument {
		return main()
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// serve answers questions on standard input and output until the input ends, or the
// process has taken more than it may.
func serve() error {
	debug.SetMaxStack(maxStack)
	debug.SetGCPercent(50)
	lowerPriority()
	if err := limitMemory(MaxMemory); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	c := &child{out: json.NewEncoder(os.Stdout)}
	in := json.NewDecoder(os.Stdin)
	for {
		var r request
		if err := in.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read question: %w", err)
		}
		c.answer(&r)
	}
}

type child struct {
	mu       sync.Mutex
	out      *json.Encoder
	patch    string
	answered bool
}

func (c *child) answer(r *request) {
	c.mu.Lock()
	c.patch, c.answered = "", false
	c.mu.Unlock()
	done := make(chan struct{})
	defer close(done)
	began := cpuTime()
	go c.watch(done, r.Limit, began, usedMemory())
	answer := c.evaluate(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = true
	_ = c.out.Encode(reply{Answer: &answer, CPU: cpuTime() - began}) // the parent is gone, and so is its end of the input
}

func (c *child) evaluate(r *request) (answer result) {
	defer func() {
		if cause := recover(); cause != nil {
			answer = result{Unclear: fmt.Sprintf("panic: %.200v", cause), Patch: c.patch}
		}
	}()
	evaluator := gate.Evaluator{Begin: c.begin}
	switch r.Ask {
	case askInspect:
		view := kube.Class(r.Class)
		answer.Finding = evaluator.Inspect(r.Class, &view, r.Role)
	case askConsumes:
		answer.Consumed = evaluator.Consumes(r.Question)
	case askNeededBy:
		answer.NeededBy = evaluator.NeededBy(r.Question)
	default:
		answer.Unclear = fmt.Sprintf("unknown question %.80q", r.Ask)
	}
	return answer
}

// begin tells the parent which patch is next: of memory that is refused this process
// dies without a word.
func (c *child) begin(patch string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.patch != patch {
		c.patch = patch
		_ = c.out.Encode(reply{Patch: patch})
	}
}

// watch ends the process once the evaluation has taken too much.
func (c *child) watch(done <-chan struct{}, limit, began time.Duration, base uint64) {
	for {
		select {
		case <-done:
			return
		case <-time.After(look):
		}
		why := ""
		if cpuTime()-began > limit {
			why = fmt.Sprintf("it takes more than %d ms of CPU time", limit.Milliseconds())
		} else if usedMemory() > base+MaxMemory {
			why = overMemory
		}
		if why != "" {
			c.mu.Lock() // for ever: this is the last reply
			if c.answered {
				c.mu.Unlock()
				return
			}
			_ = c.out.Encode(reply{Answer: &result{Unclear: why, Patch: c.patch}, CPU: limit})
			os.Exit(0)
		}
	}
}

// overMemory is said of an evaluation that would take more memory than it may.
var overMemory = fmt.Sprintf("it takes more than %d MiB of memory", MaxMemory>>20)

// usedMemory is what the Go runtime holds of the system, in bytes.
func usedMemory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
