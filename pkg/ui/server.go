package ui

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

//go:embed assets
var assets embed.FS

//go:embed templates
var templates embed.FS

// Server shows Views. It listens on loopback only, and only shows.
type Server struct {
	listener net.Listener
	guard    *guard
	cluster  func(namespace, name string) (*Detail, error)
	pages    map[string]*template.Template
	feed     feed
}

// Listen takes the port, or any if it is 0. What cluster returns is shown on the page of that
// Cluster; nil if there is none.
func Listen(port int, cluster func(namespace, name string) (*Detail, error)) (*Server, error) {
	pages, err := parsePages()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Server{listener: listener, cluster: cluster, pages: pages, feed: feed{changed: make(chan struct{})}}
	s.guard = newGuard(listener.Addr().(*net.TCPAddr).Port)
	return s, nil
}

// URL is the page's address for the user, which lets in as long as the Server lives.
func (s *Server) URL() string { return s.address(s.guard.token) }

// URLForOnce is an address that lets in once.
func (s *Server) URLForOnce() string { return s.address(s.guard.onceToken()) }

func (s *Server) address(token string) string {
	return "http://" + s.listener.Addr().String() + "/?" + tokenParameter + "=" + token
}

// Publish shows the View from now on.
func (s *Server) Publish(v *View) { s.feed.set(v) }

// Serve answers until the context ends.
func (s *Server) Serve(ctx context.Context) error {
	const slowest, farewell = 10 * time.Second, time.Second
	server := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: slowest, ReadTimeout: slowest, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		// What follows changes ends with it.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = server.Shutdown(last) // and if somebody does not hang up, the process ends all the same
	})
	defer ended()
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for path, page := range pageHandlers {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { s.page(w, r, page) })
	}
	mux.HandleFunc("GET /events", s.events)
	static, err := fs.Sub(assets, "assets")
	if err != nil {
		panic(err) // a path that is right or wrong for ever
	}
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.FileServerFS(static)))
	return s.guard.protect(mux)
}

// page renders what the View says at this moment, unless the browser shows just that.
func (s *Server) page(w http.ResponseWriter, r *http.Request, page pageHandler) {
	view, _ := s.feed.now()
	data := &pageData{View: view}
	name := loading
	if view == nil {
		data.View = &View{}
	} else {
		data.Counts = counts{len(view.Pools), len(view.Clusters), waiting(view.Clusters), len(view.Classes)}
		var err error
		if name, err = page(s, r, data); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	var body bytes.Buffer
	if err := s.pages[name].Execute(&body, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(body.Bytes()))
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if name == missing {
		w.WriteHeader(http.StatusNotFound)
	}
	_, _ = w.Write(body.Bytes())
}

// events tells the page each time that there is another View, until it is closed.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	// A connection that is dead without saying so is noticed by a write.
	const heartbeat, slowest = 30 * time.Second, 10 * time.Second
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	out := http.NewResponseController(w)
	_, changed := s.feed.now()
	event := "retry: 1000\nevent: hello\ndata:\n\n"
	for {
		if out.SetWriteDeadline(time.Now().Add(slowest)) != nil {
			return
		}
		if _, err := w.Write([]byte(event)); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
			event = "event: changed\ndata:\n\n"
		case <-time.After(heartbeat):
			event = ": alive\n\n"
		}
		_, changed = s.feed.now()
	}
}

// feed holds the newest View.
type feed struct {
	mu      sync.Mutex
	view    *View
	changed chan struct{} // closed once there is another
}

func (f *feed) set(v *View) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.view = v
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *feed) now() (*View, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view, f.changed
}
