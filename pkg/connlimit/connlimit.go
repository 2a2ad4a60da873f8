// Package connlimit bounds how many connections an HTTP server holds, in a way that
// clients which hold theirs for nothing cannot keep others out.
package connlimit

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limit bounds the connections of one server. A new one beyond the limit has another
// closed, so that connections cost no more than the limit and nobody has to wait for
// one to be given up.
type Limit struct {
	most int

	mu    sync.Mutex
	conns map[net.Conn]*connection
	// sources counts the connections by the host that they come from.
	sources map[string]int
}

type connection struct {
	source string
	state  http.ConnState
	since  time.Time
}

// New returns a limit of so many connections, for http.Server.ConnState of one server.
func New(most int) *Limit {
	return &Limit{most: most, conns: map[net.Conn]*connection{}, sources: map[string]int{}}
}

// ConnState is called by the server whenever a connection begins, is used, rests or ends.
func (l *Limit) ConnState(conn net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		l.forget(conn)
		return
	}
	c := l.conns[conn]
	if c == nil {
		if state != http.StateNew {
			return // it was closed for want of room
		}
		c = &connection{source: sourceOf(conn)}
		l.conns[conn] = c
		l.sources[c.source]++
	}
	c.state, c.since = state, time.Now()
	if len(l.conns) > l.most {
		l.closeOne(conn)
	}
}

func (l *Limit) forget(conn net.Conn) {
	c := l.conns[conn]
	if c == nil {
		return
	}
	delete(l.conns, conn)
	if l.sources[c.source]--; l.sources[c.source] == 0 {
		delete(l.sources, c.source)
	}
}

// closeOne closes the connection that can be missed most easily: of the source that has
// most of them, one that asks nothing before one that does, and the oldest. The newcomer
// stays: whoever came before it has had its time.
func (l *Limit) closeOne(newcomer net.Conn) {
	var victim net.Conn
	for conn := range l.conns {
		if conn != newcomer && (victim == nil || l.before(conn, victim) < 0) {
			victim = conn
		}
	}
	if victim == nil {
		return
	}
	l.forget(victim)
	// Not by TLS, which would wait for a client that does not listen.
	if secure, ok := victim.(*tls.Conn); ok {
		victim = secure.NetConn()
	}
	_ = victim.Close()
}

// before is negative if the first connection is closed before the second.
func (l *Limit) before(a, b net.Conn) int {
	x, y := l.conns[a], l.conns[b]
	return cmp.Or(
		cmp.Compare(l.sources[y.source], l.sources[x.source]),
		cmp.Compare(rank(x.state), rank(y.state)),
		x.since.Compare(y.since),
	)
}

func rank(state http.ConnState) int {
	if state == http.StateActive {
		return 1
	}
	return 0
}

func sourceOf(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return host
}
