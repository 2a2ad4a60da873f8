package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/leaderelection"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
	"github.com/gorizond/capi-vip-allocator/pkg/connlimit"
)

// maxConnections bounds what strangers can hold open on one port.
const maxConnections = 100

// health answers the probes.
type health struct {
	synced   atomic.Bool
	serving  func() bool // whether the runtime extension does; nil if it is switched off
	watchdog *leaderelection.HealthzAdaptor
}

func newHealth(c *config.Config) *health {
	// A leader that could not renew for that much longer than it promised is stuck.
	return &health{watchdog: leaderelection.NewLeaderHealthzAdaptor(c.LeaseDuration)}
}

// ready says that the caches have synced: the replica leads or can take over at once.
func (h *health) ready() { h.synced.Store(true) }

// watch lets /healthz fail when the elector neither renews its Lease nor gives it up.
func (h *health) watch(elector *leaderelection.LeaderElector) { h.watchdog.SetLeaderElection(elector) }

func (h *health) healthz(w http.ResponseWriter, r *http.Request) {
	if err := h.watchdog.Check(r); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (h *health) readyz(w http.ResponseWriter, _ *http.Request) {
	if !h.synced.Load() {
		http.Error(w, "caches have not synced", http.StatusServiceUnavailable)
		return
	}
	if h.serving != nil && !h.serving() {
		http.Error(w, "the runtime extension does not serve yet", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// serve starts the probes. A port that is taken is an error at once.
func (h *health) serve(ctx context.Context, group *errgroup.Group, c *config.Config) error {
	probes := http.NewServeMux()
	probes.HandleFunc("GET /healthz", h.healthz)
	probes.HandleFunc("GET /readyz", h.readyz)
	if err := listen(ctx, group, c.HealthAddress, probes, nil); err != nil {
		return fmt.Errorf("probes: %w", err)
	}
	return nil
}

// listens tells whether anything is to be served at the address.
func listens(address string) bool { return address != "" && address != "0" }

// listen serves at the address until ctx ends, by TLS if there are settings for it.
func listen(ctx context.Context, group *errgroup.Group, address string, handler http.Handler, secure *tls.Config) error {
	if !listens(address) {
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	noise := logrus.StandardLogger().WriterLevel(logrus.DebugLevel)
	server := &http.Server{
		Handler: handler, TLSConfig: secure, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, ConnState: connlimit.New(maxConnections).ConnState, MaxHeaderBytes: 64 << 10, Protocols: new(http.Protocols),
		// Broken handshakes of port scanners.
		ErrorLog: log.New(noise, address+": ", 0),
	}
	// A scraper needs one request at a time, and HTTP/2 has been a way to ask for many.
	server.Protocols.SetHTTP1(true)
	serve := server.Serve
	if secure != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	group.Go(func() error {
		defer noise.Close()
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve on %s: %w", address, err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		if err := server.Shutdown(stopping); err != nil {
			logrus.WithError(err).Debugf("Cutting off a request to %s", address)
			return server.Close()
		}
		return nil
	})
	return nil
}
