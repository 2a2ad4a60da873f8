package fault

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
)

// Write is a write that the API server has answered.
type Write struct {
	Request
	Code int // of HTTP
}

// Proxy passes requests on to one API server, with the faults that its rules ask
// for. Its methods may be called concurrently.
type Proxy struct {
	server  *http.Server
	address string
	ca      []byte // PEM

	mutex   sync.Mutex
	rules   []*Armed
	freezes map[*freeze]bool
	streams map[*stream]bool
	writes  []Write
}

// Start serves on a free loopback port until Close. Requests reach the API server
// as the user of the given configuration, whoever sent them.
func Start(config *rest.Config) (*Proxy, error) {
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, fmt.Errorf("address of the API server: %w", err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	certificate, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		return nil, fmt.Errorf("certificate of the proxy: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the proxy: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the proxy: %w", err)
	}
	p := &Proxy{address: "https://" + listener.Addr().String(), ca: certificate, freezes: map[*freeze]bool{}, streams: map[*stream]bool{}}
	quiet := log.New(io.Discard, "", 0) // what a broken connection is about is known to the test
	reverse := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      &wire{p, transport},
		FlushInterval:  -1, // events must not wait in a buffer
		ModifyResponse: p.answered,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:       quiet,
	}
	p.server = &http.Server{
		Handler: p.handler(reverse), ErrorLog: quiet,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
	}
	go func() { _ = p.server.ServeTLS(listener, "", "") }() // ends with Close
	return p, nil
}

// Close ends the proxy and every connection through it.
func (p *Proxy) Close() {
	p.Cut(Any)
	_ = p.server.Close() // the listener is all that could fail to close
}

// Address is the URL of the proxy.
func (p *Proxy) Address() string { return p.address }

// WriteKubeconfig writes a kubeconfig that leads to the proxy into the folder and
// returns its path.
func (p *Proxy) WriteKubeconfig(dir string) (string, error) {
	const name = "proxy"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: p.address, CertificateAuthorityData: p.ca}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	content, err := clientcmd.Write(*config)
	if err != nil {
		return "", fmt.Errorf("kubeconfig of the proxy: %w", err)
	}
	path := filepath.Join(dir, "proxy.kubeconfig")
	return path, os.WriteFile(path, content, 0o600)
}

// Writes returns the writes that the API server has answered so far and that
// match, the oldest first.
func (p *Proxy) Writes(match Match) []Write {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var result []Write
	for _, write := range p.writes {
		if match(write.Request) {
			result = append(result, write)
		}
	}
	return result
}

// passage is a request on its way, with the rules that apply to it.
type passage struct {
	request Request
	rules   []*Armed
}

type passageKey struct{}

func passageOf(ctx context.Context) (*passage, bool) {
	way, ok := ctx.Value(passageKey{}).(*passage)
	return way, ok
}

func (p *Proxy) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := parse(r)
		// A client that a hook stops must have sent all of it.
		if err := receive(r); err != nil {
			panic(http.ErrAbortHandler)
		}
		rules := p.matching(request)
		refusal, lost := before(r.Context(), request, rules)
		switch {
		case refusal != nil:
			refusal.answer(w)
		case lost:
			panic(http.ErrAbortHandler) // breaks the connection
		default:
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passageKey{}, &passage{request, rules})))
		}
	})
}

// receive reads the whole body of a request.
func receive(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

var errReplyLost = errors.New("the reply is lost")

// answered is called when the API server's answer begins. An error breaks the
// client's connection.
func (p *Proxy) answered(response *http.Response) error {
	way, ok := passageOf(response.Request.Context())
	if !ok {
		return nil
	}
	if after(way.request, response.StatusCode, way.rules) {
		return errReplyLost
	}
	for _, armed := range way.rules {
		if armed.rule.Truncate > 0 {
			response.Body = &truncated{response.Body, armed.rule.Truncate}
		}
	}
	if way.request.Verb == "watch" && response.StatusCode == http.StatusOK {
		response.Body = p.newStream(way.request, response)
	}
	return nil
}
