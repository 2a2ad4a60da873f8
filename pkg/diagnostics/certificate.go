package diagnostics

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"k8s.io/client-go/util/cert"
)

// renewal is how long a certificate is served. It is valid for a year.
const renewal = 30 * 24 * time.Hour

// Certificate is one that signs itself, made in memory and made anew in time: it
// keeps what is said from listeners on the way. Who is asked is not proven by it, as
// with other Cluster API providers, so a scraper has to skip that check.
type Certificate struct {
	host string
	now  func() time.Time

	mu      sync.Mutex
	made    time.Time
	current *tls.Certificate
}

// NewCertificate makes one for a server of that name.
func NewCertificate(host string) (*Certificate, error) {
	c := &Certificate{host: host, now: time.Now}
	_, err := c.Get(nil)
	return c, err
}

// Get returns the certificate to serve now, for tls.Config.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && c.now().Sub(c.made) < renewal {
		return c.current, nil
	}
	loopback := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	certificate, key, err := cert.GenerateSelfSignedCertKey(c.host, loopback, []string{"localhost"})
	if err != nil {
		return nil, fmt.Errorf("certificate of the secure metrics: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate of the secure metrics: %w", err)
	}
	c.current, c.made = &pair, c.now()
	return c.current, nil
}
