package connlimit_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorizond/capi-vip-allocator/pkg/connlimit"
)

const most = 10

func serve(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok"))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // broken handshakes
	server.Config.ConnState = connlimit.New(most).ConnState
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// dial connects from that address of the loopback range.
func dial(t *testing.T, server *httptest.Server, from string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// get asks on a connection of its own from that address.
func get(t *testing.T, server *httptest.Server, from string) {
	t.Helper()
	client := server.Client()
	transport := client.Transport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	transport.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatalf("from %s: %v", from, err)
	}
	_ = response.Body.Close()
}

// closed tells whether the server has closed the connection.
func closed(t *testing.T, conn net.Conn) bool {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Read(make([]byte, 1))
	return err != nil && !strings.Contains(err.Error(), "timeout")
}

// Connections that ask nothing do not keep out one that does, from the same host or
// another.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	server := serve(t)
	var idle []net.Conn
	for range 3 * most {
		idle = append(idle, dial(t, server, "127.0.0.1"))
	}
	for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
		get(t, server, from)
	}
	for _, conn := range idle[:2*most] {
		if !closed(t, conn) {
			t.Fatal("more connections are open than the limit allows")
		}
	}
}

// A host with many connections loses one of them, not the host with a single one, however
// long that has been there.
func TestAHostWithManyConnectionsMakesRoom(t *testing.T) {
	server := serve(t)
	client := server.Client()
	transport := client.Transport.(*http.Transport)
	dials := 0
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}}).DialContext(ctx, network, address)
	}
	for i := range 3 {
		response, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if i == 0 {
			for range 3 * most {
				dial(t, server, "127.0.0.1")
			}
			get(t, server, "127.0.0.1")
		}
	}
	if dials != 1 {
		t.Errorf("it had to connect %d times", dials)
	}
}
