package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/leaderelection"

	"github.com/gorizond/capi-vip-allocator/pkg/config"
)

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

// serve starts the endpoints. A port that is taken is an error at once.
func (h *health) serve(ctx context.Context, group *errgroup.Group, c *config.Config, registry *prometheus.Registry) error {
	probes := http.NewServeMux()
	probes.HandleFunc("GET /healthz", h.healthz)
	probes.HandleFunc("GET /readyz", h.readyz)
	if err := listen(ctx, group, c.HealthAddress, probes); err != nil {
		return fmt.Errorf("probes: %w", err)
	}
	series := http.NewServeMux()
	series.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{registry, clientSeries()}, promhttp.HandlerOpts{
		ErrorLog: logrus.StandardLogger(),
		// One series that is wrong must not hide all others; it is counted instead.
		ErrorHandling: promhttp.ContinueOnError, Registry: registry,
	}))
	if err := listen(ctx, group, c.MetricsAddress, series); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

func listen(ctx context.Context, group *errgroup.Group, address string, handler http.Handler) error {
	if address == "" || address == "0" {
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
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
