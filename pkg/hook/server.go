package hook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/cluster-api/api/runtime/catalog"
	hooksv1 "sigs.k8s.io/cluster-api/api/runtime/hooks/v1alpha1"

	"github.com/gorizond/capi-vip-allocator/pkg/connlimit"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// Bounds of what anybody who reaches the port can make us spend. Cluster API's
// manager needs one connection and asks about one Cluster in a call; etcd holds no
// object of more than 1.5 MiB.
const (
	maxBody        = 3 << 20  // bytes
	smallBody      = 32 << 10 // bytes; nearly every Cluster is smaller
	maxHeaders     = 32 << 10
	maxConnections = 100
	maxStreams     = 16 // requests at once on one connection
	maxLarge       = 8  // requests with a body that is not small, at once in memory
	maxRequests    = 32 // requests that are being answered at once
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	// Whoever sends a large body is to send it without a pause.
	largeTimeout = 2 * time.Second
	writeTimeout = 10 * time.Second
	// While a Cluster waits Cluster API asks every few seconds.
	idleTimeout  = 10 * time.Second
	drainTimeout = 5 * time.Second
)

// Options are what the server works with.
type Options struct {
	// Name is that of the handler, as Discovery shows it: a DNS label.
	Name string
	// Port is where it listens, on all addresses.
	Port int
	// Namespace and Service are those of the Service through which we are reached,
	// Secret is where the certificates are, in the same namespace.
	Namespace, Service, Secret string
	Client                     kubernetes.Interface
	// Settings tell which Clusters are ours at all.
	Settings vip.Settings
	// Meter counts what is done; it must be safe for concurrent use.
	Meter Meter
}

// Meter counts what the server does.
type Meter interface {
	// Called counts one call of a hook, how it was answered and how long that took.
	Called(hook, result string, took time.Duration)
	// Panicked counts a recovered panic.
	Panicked()
}

// Server answers Cluster API's calls.
type Server struct {
	options      Options
	beforeCreate catalog.GroupVersionHook
	keeper       *keeper
	mux          *http.ServeMux
	slots        chan struct{} // for answering
	large        chan struct{} // for bodies that are not small
	turns        *rate.Limiter // of those that wait
	observer     atomic.Pointer[Observer]
	serving      atomic.Bool
}

// New returns a server that Run starts.
func New(o Options) (*Server, error) {
	known := catalog.New()
	if err := hooksv1.AddToCatalog(known); err != nil {
		return nil, fmt.Errorf("catalog of hooks: %w", err)
	}
	discovery, err := known.GroupVersionHook(hooksv1.Discovery)
	if err != nil {
		return nil, fmt.Errorf("hook Discovery: %w", err)
	}
	s := &Server{options: o, mux: http.NewServeMux(), slots: make(chan struct{}, maxRequests), large: make(chan struct{}, maxLarge), turns: rate.NewLimiter(perSecond, perSecond)}
	if s.beforeCreate, err = known.GroupVersionHook(hooksv1.BeforeClusterCreate); err != nil {
		return nil, fmt.Errorf("hook BeforeClusterCreate: %w", err)
	}
	s.keeper = newKeeper(o.Client, o.Namespace, o.Secret, o.Service)
	s.mux.HandleFunc("POST "+catalog.GVHToPath(discovery, ""), s.handle(discovery.Hook, s.discover))
	s.mux.HandleFunc("POST "+catalog.GVHToPath(s.beforeCreate, o.Name), s.handle(s.beforeCreate.Hook, s.beforeClusterCreate))
	return s, nil
}

// Use gives the server its view of the Clusters. Until then every Cluster waits.
func (s *Server) Use(observer Observer) { s.observer.Store(&observer) }

// Serving tells whether the port is open.
func (s *Server) Serving() bool { return s.serving.Load() }

// Run serves until ctx ends. The port opens once there is a certificate, and from
// then on Discovery answers. It is an error if the port is taken.
func (s *Server) Run(ctx context.Context) error {
	if err := s.keeper.first(ctx); err != nil {
		return nil //nolint:nilerr // only a stop ends the wait
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", ":"+strconv.Itoa(s.options.Port))
	if ctx.Err() != nil {
		return nil //nolint:nilerr // likewise
	}
	if err != nil {
		return fmt.Errorf("runtime extension: listen on port %d: %w", s.options.Port, err)
	}
	go s.keeper.run(ctx)
	return s.serve(ctx, listener)
}

func (s *Server) serve(ctx context.Context, listener net.Listener) error {
	noise := logrus.StandardLogger().WriterLevel(logrus.DebugLevel)
	defer noise.Close()
	server := &http.Server{
		Handler:           s.mux,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.keeper.certificate},
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaders,
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ConnState:      connlimit.New(maxConnections).ConnState,
		// Broken handshakes of port scanners and of clients that have not learnt our authority yet.
		ErrorLog: log.New(noise, "runtime extension: ", 0),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		if server.Shutdown(stopping) != nil {
			_ = server.Close()
		}
	}()
	s.serving.Store(true)
	defer s.serving.Store(false)
	logrus.Infof("Serving runtime extension %s on %s", s.options.Name, listener.Addr())
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("runtime extension: serve on %s: %w", listener.Addr(), err)
	}
	<-stopped
	return nil
}

// handle reads a bounded request and writes what the hook of that name answers.
func (s *Server) handle(name string, hook func(body []byte) hooksv1.ResponseObject) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var answer hooksv1.ResponseObject
		began := time.Now()
		defer func() { s.options.Meter.Called(name, result(answer), time.Since(began)) }()
		body, done, err := s.body(w, r)
		defer done()
		if r.Context().Err() != nil {
			return
		}
		// Only now: whoever sends slowly holds nobody else up.
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-r.Context().Done():
			return
		}
		if err != nil {
			answer = failure(fmt.Errorf("read request: %w", err))
		} else {
			answer = s.guarded(hook, body)
		}
		data, err := json.Marshal(answer)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write(data); err != nil {
			logrus.WithError(err).Debug("Cluster API does not wait for the answer of the hook")
		}
	}
}

// body reads the request's body. done gives back what was taken for a large one: of those
// there may be only a few at once.
func (s *Server) body(w http.ResponseWriter, r *http.Request) (body []byte, done func(), err error) {
	done = func() {}
	bounded := http.MaxBytesReader(w, r.Body, maxBody)
	body, err = io.ReadAll(io.LimitReader(bounded, smallBody))
	if err != nil || len(body) < smallBody {
		return body, done, err
	}
	select {
	case s.large <- struct{}{}:
		done = func() { <-s.large }
	case <-r.Context().Done():
		return nil, done, r.Context().Err()
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(largeTimeout)); err != nil {
		return nil, done, err
	}
	buffer := bytes.NewBuffer(body)
	_, err = buffer.ReadFrom(bounded)
	return buffer.Bytes(), done, err
}

// guarded turns a panic into a refusal: what is wrong with one Cluster must keep
// neither the others waiting nor let this one pass.
func (s *Server) guarded(hook func(body []byte) hooksv1.ResponseObject, body []byte) (answer hooksv1.ResponseObject) {
	defer func() {
		if cause := recover(); cause != nil {
			s.options.Meter.Panicked()
			logrus.WithField("panic", cause).Errorf("Recovered from a panic in the hook\n%s", debug.Stack())
			answer = failure(errors.New("the VIP allocator failed on this Cluster; its log says more"))
		}
	}()
	return hook(body)
}
