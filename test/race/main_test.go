package race

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// patience bounds each wait for something that takes seconds on an idle machine.
const patience = 4 * time.Minute

var long = flag.Bool("long", false, "crowds of full size")

// environment is what all tests share.
type environment struct {
	*scene.Scene
	witness  *witness
	hookPort int
	context  context.Context // until stop
	cancel   context.CancelFunc
}

// boot starts the environment when the first test asks for it.
var boot = sync.OnceValues(func() (*environment, error) {
	booted.context, booted.cancel = context.WithCancel(context.Background())
	return &booted, booted.start()
})

var booted environment

func TestMain(m *testing.M) {
	// The tests run one after another, since each wants the machine.
	os.Exit(scene.Run(m, 1, booted.stop))
}

func (e *environment) start() error {
	var err error
	if e.Scene, err = scene.Start(e.context, "race", management.Options{RuntimeSDK: true}); err != nil {
		return err
	}
	ports, err := loopback.FreePorts(1)
	if err != nil {
		return err
	}
	e.hookPort = ports[0]
	values := gates.Values(e.hookPort)
	values["logLevel"] = "debug"
	if err := e.Install(e.context, values); err != nil {
		return err
	}
	if e.witness, err = watchAll(e.context, e.Client); err != nil {
		return err
	}
	return gates.Discover(e.context, e.Client, e.hookPort, allocator.Options{
		Kubeconfig: e.Kubeconfig, Args: e.Chart.Args, LogFile: filepath.Join(e.Logs, "allocator-discovery.log"),
	})
}

func (e *environment) stop() error {
	if e.Scene != nil {
		e.cancel()
		e.Stop()
	}
	return nil
}
