package ui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/audit"
	"github.com/gorizond/capi-vip-allocator/test/management"
	"github.com/gorizond/capi-vip-allocator/test/scene"
)

// patience bounds each wait for something that takes a second or two on an idle machine.
const patience = time.Minute

// environment is what all tests share.
type environment struct {
	*scene.Scene
	allocator *allocator.Process
	browser   *browser
	page      *allocator.Page // the administrator's
}

var booted *environment

// boot starts the environment when the first test asks for it.
var boot = sync.OnceValues(func() (*environment, error) {
	booted = &environment{}
	return booted, booted.start(context.Background())
})

func TestMain(m *testing.M) {
	const parallel = 6
	os.Exit(scene.Run(m, parallel, func() error {
		if booted == nil {
			return nil
		}
		return booted.stop()
	}))
}

func (e *environment) start(ctx context.Context) error {
	var err error
	if e.browser, err = startBrowser(ctx); err != nil {
		return err
	}
	if e.Scene, err = scene.Start(ctx, "ui", management.Options{}); err != nil {
		return err
	}
	if err := e.Install(ctx, map[string]any{"logLevel": "debug"}); err != nil {
		return err
	}
	if e.allocator, err = allocator.Start(ctx, allocator.Options{
		Kubeconfig: e.Kubeconfig, Args: e.Chart.Args, LogFile: filepath.Join(e.Logs, "allocator.log"),
	}); err != nil {
		return err
	}
	e.page, err = allocator.StartPage(ctx, e.Management.Kubeconfig())
	return err
}

// stop ends everything. Whoever shows the page must have asked to look only.
func (e *environment) stop() error {
	var errs []error
	if e.browser != nil {
		e.browser.close()
	}
	if e.page != nil {
		errs = append(errs, e.page.Stop(), onlyLooked(audit.Log(e.Management.AuditLog())))
	}
	if e.allocator != nil {
		_, err := e.allocator.Stop()
		errs = append(errs, err)
	}
	if e.Scene != nil {
		e.Stop()
	}
	return errors.Join(errs...)
}

func onlyLooked(log audit.Log) error {
	events, err := log.Since(0)
	if err != nil {
		return err
	}
	looked := audit.Keep(events, audit.By("kubectl-vip"))
	if len(looked) == 0 {
		return errors.New("nobody has looked")
	}
	for _, e := range looked {
		if e.Verb != "get" && e.Verb != "list" && e.Verb != "watch" {
			return fmt.Errorf("kubectl vip ui: %s %s", e.Verb, e.RequestURI)
		}
	}
	return nil
}
