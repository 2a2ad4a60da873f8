package fault

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// wire leads to the API server. It notes the writes that are answered.
type wire struct {
	proxy *Proxy
	next  http.RoundTripper
}

// RoundTrip sends a request, twice if a rule says so.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	way, ok := passageOf(r.Context())
	if !ok || !way.twice() {
		return w.send(r, way)
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, fmt.Errorf("read a request to repeat: %w", err)
		}
	}
	again := r.Clone(r.Context())
	r.Body, again.Body = io.NopCloser(bytes.NewReader(body)), io.NopCloser(bytes.NewReader(body))
	first, err := w.send(r, way)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, first.Body) // nobody is to hear it
	first.Body.Close()
	return w.send(again, way)
}

func (w *wire) send(r *http.Request, way *passage) (*http.Response, error) {
	response, err := w.next.RoundTrip(r)
	if err == nil && way != nil && Writes(way.request) {
		w.proxy.mutex.Lock()
		w.proxy.writes = append(w.proxy.writes, Write{way.request, response.StatusCode})
		w.proxy.mutex.Unlock()
	}
	return response, err
}

func (p *passage) twice() bool {
	for _, armed := range p.rules {
		if armed.rule.Duplicate {
			return true
		}
	}
	return false
}

// truncated breaks off after so many bytes.
type truncated struct {
	io.ReadCloser
	left int64
}

func (t *truncated) Read(buffer []byte) (int, error) {
	if t.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := t.ReadCloser.Read(buffer[:min(int64(len(buffer)), t.left)])
	t.left -= int64(n)
	return n, err
}
