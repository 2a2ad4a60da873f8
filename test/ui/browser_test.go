package ui

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a headless Chromium that all tests share.
type browser struct {
	context context.Context
	close   func()
}

// startBrowser fails where there is no Chromium: a test that skips itself proves nothing.
func startBrowser(ctx context.Context) (*browser, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("apt-get install chromium: %w", err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.Flag("force-color-profile", "srgb"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none for root
	}
	ctx, endProcess := chromedp.NewExecAllocator(ctx, options...)
	ctx, endBrowser := chromedp.NewContext(ctx)
	b := &browser{context: ctx, close: func() { endBrowser(); endProcess() }}
	if err := chromedp.Do(ctx); err != nil {
		b.close()
		return nil, fmt.Errorf("start chromium: %w", err)
	}
	return b, nil
}

// tab is a page with cookies of its own. What it asks others than this machine for, and what
// it complains about, fails the test.
type tab struct {
	t       *testing.T
	context context.Context

	mu      sync.Mutex
	strange []string
	asked   []string // documents and what scripts fetched, by path
}

func (b *browser) tab(t *testing.T) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(b.context, chromedp.WithNewBrowserContext())
	p := &tab{t: t, context: ctx}
	t.Cleanup(func() {
		closeTab()
		for _, words := range p.strange {
			t.Error(words)
		}
	})
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *tab) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		at, err := url.Parse(e.Request.URL)
		if err != nil || (at.Scheme != "data" && !loopback(at.Hostname())) {
			p.strange = append(p.strange, "the page asks for "+e.Request.URL)
			return
		}
		p.asked = append(p.asked, at.Path)
	case *runtime.EventExceptionThrown:
		p.strange = append(p.strange, "the page's script: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceSecurity {
			p.strange = append(p.strange, "the page breaks its own policy: "+e.Entry.Text)
		}
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// requests counts what was asked for.
func (p *tab) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

func (p *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := p.try(actions...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) try(actions ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(p.context, patience)
	defer cancel()
	return chromedp.Do(ctx, actions...)
}

func (p *tab) open(address string) {
	p.t.Helper()
	p.run(chromedp.Navigate(address))
}

// evaluate runs an expression of JavaScript.
func evaluate[T any](p *tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(p.context, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression))
}

// eventually waits until the expression is true, looking once per frame that is drawn.
func (p *tab) eventually(what, expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.context, patience)
	defer cancel()
	for {
		_, err := chromedp.Run(ctx, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(patience)))
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			words, _ := evaluate[string](p, `document.body.innerText.slice(0, 4000)`)
			p.t.Fatalf("wait until %s: %v; the page says:\n%s", what, err, words)
		}
		// Looking has ended with a page that was left.
	}
}

// look sets the size of the window and whether the user prefers dark pages.
func (p *tab) look(width, height int64, dark bool) {
	p.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.run(chromedp.EmulateViewport(width, height))
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(p.context, emulation.SetEmulatedMedia, media); err != nil {
		p.t.Fatal(err)
	}
}

// picture takes one of the whole page.
func (p *tab) picture(file string) {
	p.t.Helper()
	data, err := chromedp.Run(p.context, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
