package fault

import (
	"io"
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
	p.mutex.Lock()
	var cut []*stream
	for s := range p.streams {
		if match(s.request) {
			cut = append(cut, s)
		}
	}
	p.mutex.Unlock()
	for _, s := range cut {
		_ = s.Close() // an error means that it was closed already
	}
	return len(cut)
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

// stream is the body of a watch on its way to the client.
type stream struct {
	io.ReadCloser
	proxy   *Proxy
	request Request
	closed  chan struct{}
	once    sync.Once
}

func (p *Proxy) newStream(r Request, body io.ReadCloser) *stream {
	s := &stream{ReadCloser: body, proxy: p, request: r, closed: make(chan struct{})}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.streams[s] = true
	return s
}

// Read asks for a freeze after the bytes have come: a freeze that begins while it
// waits for them holds them back as well.
func (s *stream) Read(buffer []byte) (int, error) {
	n, err := s.ReadCloser.Read(buffer)
	for {
		thawed := s.proxy.frozen(s.request)
		if thawed == nil {
			return n, err
		}
		select {
		case <-thawed:
		case <-s.closed:
			return 0, io.ErrUnexpectedEOF
		}
	}
}

func (s *stream) Close() error {
	var err error
	s.once.Do(func() {
		close(s.closed)
		s.proxy.mutex.Lock()
		delete(s.proxy.streams, s)
		s.proxy.mutex.Unlock()
		err = s.ReadCloser.Close()
	})
	return err
}
