package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/gorizond/capi-vip-allocator/pkg/diagnostics"
)

// listen starts the endpoints of the probes and of the metrics.
func (s *server) listen(ctx context.Context, group *errgroup.Group, registry *prometheus.Registry) error {
	if err := s.health.serve(ctx, group, s.config); err != nil {
		return err
	}
	return s.serveSeries(ctx, group, registry)
}

// serveSeries starts the endpoints of /metrics: the open one and, if it is asked for,
// the secure one, which goes first where both are to be at one address.
func (s *server) serveSeries(ctx context.Context, group *errgroup.Group, registry *prometheus.Registry) error {
	metrics := promhttp.HandlerFor(prometheus.Gatherers{registry, clientSeries()}, promhttp.HandlerOpts{
		ErrorLog: logrus.StandardLogger(),
		// One series that is wrong must not hide all others; it is counted instead.
		ErrorHandling: promhttp.ContinueOnError, Registry: registry,
	})
	if s.config.MetricsAddress != s.config.DiagnosticsAddress {
		if err := listen(ctx, group, s.config.MetricsAddress, paths(metrics), nil); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	if !listens(s.config.DiagnosticsAddress) {
		return nil
	}
	if err := s.serveDiagnostics(ctx, group, metrics); err != nil {
		return fmt.Errorf("diagnostics: %w", err)
	}
	return nil
}

func (s *server) serveDiagnostics(ctx context.Context, group *errgroup.Group, metrics http.Handler) error {
	if s.config.InsecureDiagnostics {
		return listen(ctx, group, s.config.DiagnosticsAddress, paths(metrics), nil)
	}
	guard, err := diagnostics.New(s.rest)
	if err != nil {
		return err
	}
	secure, err := encrypted()
	if err != nil {
		return err
	}
	return listen(ctx, group, s.config.DiagnosticsAddress, paths(guard.Protect(metrics)), secure)
}

func paths(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	return mux
}

// encrypted are the settings of a server whose certificate signs itself.
func encrypted() (*tls.Config, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	certificate, err := diagnostics.NewCertificate(host)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.Get}, nil
}
