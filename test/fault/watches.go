package fault

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// freeze holds back the events of watches that match.
type freeze struct {
	match  Match
	thawed chan struct{}
}

// Freeze stops the events of matching watches, those that are open and those to
// come. The connections stay; nothing is lost. Calling thaw lets all of it flow again.
func (p *Proxy) Freeze(match Match) (thaw func()) {
	f := &freeze{match: match, thawed: make(chan struct{})}
	p.mutex.Lock()
	p.freezes[f] = true
	p.mutex.Unlock()
	var once sync.Once
	return func() {
		once.Do(func() {
			p.mutex.Lock()
			delete(p.freezes, f)
			p.mutex.Unlock()
			close(f.thawed)
		})
	}
}

// Cut breaks the connections of the matching watches that are open and returns how
// many there were.
func (p *Proxy) Cut(match Match) int {
	open := p.open(match)
	for _, s := range open {
		_ = s.Close() // an error means that it was closed already
	}
	return len(open)
}

// open returns the matching watches that are open.
func (p *Proxy) open(match Match) []*stream {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var open []*stream
	for s := range p.streams {
		if match(s.request) {
			open = append(open, s)
		}
	}
	return open
}

// frozen returns what the stream has to wait for, nil if it may flow.
func (p *Proxy) frozen(r Request) <-chan struct{} {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for f := range p.freezes {
		if f.match(r) {
			return f.thawed
		}
	}
	return nil
}

// Expire ends the matching watches that are open as the API server does when it has
// forgotten the versions they ask for: with an error that sends the client back to a
// list. It returns how many there were.
func (p *Proxy) Expire(match Match) int {
	open := p.open(match)
	for _, s := range open {
		s.expire()
	}
	return len(open)
}

// stream is the body of a watch on its way to the client: events, a line each where
// they are JSON.
type stream struct {
	*io.PipeReader
	pipe    *io.PipeWriter
	source  io.ReadCloser
	lines   bool
	proxy   *Proxy
	request Request
	closed  chan struct{}
	once    sync.Once
}

func (p *Proxy) newStream(r Request, response *http.Response) *stream {
	s := &stream{proxy: p, request: r, source: response.Body, closed: make(chan struct{})}
	s.lines = strings.HasPrefix(response.Header.Get("Content-Type"), "application/json")
	s.PipeReader, s.pipe = io.Pipe()
	p.mutex.Lock()
	p.streams[s] = true
	p.mutex.Unlock()
	go s.flow()
	return s
}

// flow passes events on. It asks for a freeze after an event has come: a freeze that
// begins while it waits for the event holds it back as well.
func (s *stream) flow() {
	reader := bufio.NewReader(s.source)
	for {
		event, err := s.next(reader)
		for thawed := s.proxy.frozen(s.request); thawed != nil; thawed = s.proxy.frozen(s.request) {
			select {
			case <-thawed:
			case <-s.closed:
				return
			}
		}
		// One write is whole or not at all: an error from elsewhere comes before or after it.
		if len(event) > 0 {
			if _, broken := s.pipe.Write(event); broken != nil {
				return
			}
		}
		if err != nil {
			s.pipe.CloseWithError(err)
			return
		}
	}
}

func (s *stream) next(reader *bufio.Reader) ([]byte, error) {
	if s.lines {
		return reader.ReadBytes('\n')
	}
	if _, err := reader.Peek(1); err != nil {
		return nil, err
	}
	event := make([]byte, reader.Buffered())
	n, err := reader.Read(event)
	return event[:n], err
}

func (s *stream) expire() {
	if s.lines {
		_, _ = fmt.Fprintf(s.pipe, `{"type":"ERROR","object":%s}`+"\n", Expired().status()) // it may be closed by now
	}
	_ = s.pipe.Close()
}

// Close ends the stream for both sides.
func (s *stream) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closed)
		s.proxy.mutex.Lock()
		delete(s.proxy.streams, s)
		s.proxy.mutex.Unlock()
		_ = s.CloseWithError(io.ErrUnexpectedEOF)
		_ = s.pipe.CloseWithError(io.ErrUnexpectedEOF)
		err = s.source.Close()
	})
	return err
}
