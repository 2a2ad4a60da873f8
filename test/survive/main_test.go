package survive

import (
	"context"
	"flag"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/checker"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// patience bounds each wait. What is waited for takes seconds; a busy machine takes longer.
const patience = 2 * time.Minute

// A namespace with underHold among its labels has its new Clusters under the hold gate.
const (
	holdLabel = "hold-gate"
	underHold = holdLabel + `: "on"`
)

var long = flag.Bool("long", false, "all writes, long outages, many histories")

// environment is what all tests share.
type environment struct {
	*scene.Scene
	checker *checker.Checker
	context context.Context // until stop
	cancel  context.CancelFunc
}

// boot starts the environment when the first test asks for it.
var boot = sync.OnceValues(func() (*environment, error) {
	booted.context, booted.cancel = context.WithCancel(context.Background())
	return &booted, booted.start()
})

var booted environment

func TestMain(m *testing.M) {
	const parallel = 8
	os.Exit(scene.Run(m, parallel, booted.stop))
}

func (e *environment) start() error {
	var err error
	if e.Scene, err = scene.Start(e.context, "survive", management.Options{}); err != nil {
		return err
	}
	selector := map[string]any{"matchLabels": map[string]any{holdLabel: "on"}}
	err = e.Install(e.context, map[string]any{
		"logLevel": "debug", "holdGate": map[string]any{"enabled": true, "namespaceSelector": selector},
	})
	if err != nil {
		return err
	}
	e.checker, err = checker.Start(e.context, e.Client)
	return err
}

func (e *environment) stop() error {
	if e.Scene != nil {
		e.cancel()
		e.Stop()
	}
	return nil
}
