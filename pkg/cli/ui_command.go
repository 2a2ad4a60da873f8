package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"

	"github.com/gorizond/capi-vip-allocator/pkg/ui"
)

// UI returns the command that shows pools, Clusters and classes in a browser.
func UI() *cobra.Command {
	to, set := newTarget(), &settings{}
	var port uint16
	var noBrowser bool
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Show pools as pictures, who waits and why, in a browser",
		Long: "Shows, in a browser, pools address by address, Clusters with what they wait for, and gates of classes,\n" +
			"and follows what changes. Listens on 127.0.0.1 and lets in who has the address that it prints.\n" +
			"Only gets, lists and watches, as you; what may not be seen is named. Ends on Ctrl-C.",
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// The page tells what goes wrong, and that Ctrl-C was pressed is no news.
			logrus.SetLevel(logrus.ErrorLevel)
			klog.SetSlogLogger(slog.New(slog.DiscardHandler))
			open := openBrowser
			if noBrowser {
				open = func(string) {}
			}
			return show(cmd.Context(), cmd.OutOrStdout(), to, set, int(port), open)
		},
	}
	to.bind(cmd)
	set.bind(cmd.Flags())
	cmd.Flags().Uint16Var(&port, "port", 0, "port on 127.0.0.1; 0 means any that is free")
	cmd.Flags().BoolVar(&noBrowser, "no-browser", false, "only print the address")
	return cmd
}

// show serves the page until the context ends.
func show(ctx context.Context, out io.Writer, to *target, set *settings, port int, open func(url string)) error {
	f, err := to.follow(set)
	if err != nil {
		return err
	}
	p := &painter{follower: f, place: to.place()}
	if to.names() {
		p.only = f.namespace
	}
	server, err := ui.Listen(port, p.detail)
	if err != nil {
		return fmt.Errorf("ui: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Serve(ctx) })
	group.Go(func() error {
		err := f.start(ctx)
		if err == nil {
			err = p.paint(ctx, server.Publish)
		}
		if ctx.Err() == nil {
			return err
		}
		return nil // that is how the command ends
	})
	fmt.Fprintf(out, "%s\nPress Ctrl-C to stop.\n", server.URL())
	open(server.URLForOnce())
	return group.Wait() //nolint:wrapcheck // both name what failed
}

// follow connects, with a second client for watches, which have no timeout.
func (t *target) follow(set *settings) (*follower, error) {
	namespace, err := t.namespace()
	if err != nil {
		return nil, err
	}
	r, err := t.connect()
	if err != nil {
		return nil, err
	}
	config, err := t.rest()
	if err != nil {
		return nil, err
	}
	f := newFollower(r, namespace, set)
	config.Timeout = 0
	config.Wrap(f.pulse.wrap)
	if f.watching, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return f, nil
}

// openBrowser opens the page where there is somebody to see it. Some browsers run on until
// they are closed, so nobody waits for them.
func openBrowser(url string) {
	command := []string{"xdg-open", url}
	switch {
	case runtime.GOOS == "darwin":
		command[0] = "open"
	case runtime.GOOS == "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler", url}
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "":
		return
	}
	started := exec.Command(command[0], command[1:]...)
	if started.Start() == nil { // else the address is there to be copied
		go func() { _ = started.Wait() }()
	}
}
