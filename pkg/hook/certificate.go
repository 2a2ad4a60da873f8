package hook

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	authorityLifetime = 5 * 365 * 24 * time.Hour
	// authorityRenewal and servingRenewal are how long before its end a certificate
	// gets a successor.
	authorityRenewal = 365 * 24 * time.Hour
	servingLifetime  = 90 * 24 * time.Hour
	servingRenewal   = 30 * 24 * time.Hour
	// settling is how long a new authority is published before anything that it
	// signed is served, and an old one after. It covers the slowest reader.
	settling = time.Hour
	// skew is how far the clocks of a client may be behind ours.
	skew = time.Hour
)

// certificates is what the Secret holds, in the form that we work with.
type certificates struct {
	authorities []*x509.Certificate // the one that signs first
	signer      crypto.Signer       // its key
	serving     *x509.Certificate
	pair        tls.Certificate
}

// renew returns what the Secret must hold now for a server of these names, and
// whether that is something new. Data that cannot be used, such as none, are made
// anew; problem says why, if there were any.
func renew(data map[string][]byte, names []string, now time.Time) (next map[string][]byte, changed bool, problem, err error) {
	c, problem := parse(data)
	if problem == nil {
		problem = c.signs(now)
	}
	if problem != nil {
		if len(data) == 0 {
			problem = nil
		}
		c = &certificates{}
	}
	if len(c.authorities) == 0 || now.After(c.authorities[0].NotAfter.Add(-authorityRenewal)) {
		if err := c.addAuthority(now); err != nil {
			return nil, false, problem, err
		}
		changed = true
	}
	if c.servingDue(names, now) {
		if err := c.issueServing(names, now); err != nil {
			return nil, false, problem, err
		}
		changed = true
	}
	changed = c.dropAuthorities(now) || changed
	if !changed {
		return data, false, problem, nil
	}
	next, err = c.data()
	return next, true, problem, err
}

// addAuthority makes the authority that signs from now on. The others stay trusted.
func (c *certificates) addAuthority(now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("key of the authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "capi-vip-allocator runtime extension " + now.UTC().Format(time.RFC3339)},
		NotAfter: now.Add(authorityLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, MaxPathLenZero: true,
	}
	authority, err := sign(template, template, key.Public(), key, now)
	if err != nil {
		return fmt.Errorf("certificate of the authority: %w", err)
	}
	c.authorities = append([]*x509.Certificate{authority}, c.authorities...)
	c.signer = key
	return nil
}

// servingDue tells whether the serving certificate is to be replaced now.
func (c *certificates) servingDue(names []string, now time.Time) bool {
	if c.serving == nil || c.usable(names, now) != nil {
		return true
	}
	if !settled(c.authorities[0], now) {
		return false // clients do not know the new authority yet, and there is time
	}
	ends := now.After(c.serving.NotAfter.Add(-servingRenewal))
	return ends || c.serving.CheckSignatureFrom(c.authorities[0]) != nil
}

// usable tells why the serving certificate cannot be used at all.
func (c *certificates) usable(names []string, now time.Time) error {
	trusted := x509.NewCertPool()
	for _, authority := range c.authorities {
		trusted.AddCert(authority)
	}
	if _, err := c.serving.Verify(x509.VerifyOptions{Roots: trusted, CurrentTime: now}); err != nil {
		return fmt.Errorf("serving certificate: %w", err)
	}
	for _, name := range names {
		if err := c.serving.VerifyHostname(name); err != nil {
			return fmt.Errorf("serving certificate: %w", err)
		}
	}
	return nil
}

func (c *certificates) issueServing(names []string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("key of the server: %w", err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		NotAfter:    now.Add(servingLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if c.serving, err = sign(template, c.authorities[0], key.Public(), c.signer, now); err != nil {
		return fmt.Errorf("certificate of the server: %w", err)
	}
	c.pair = tls.Certificate{Certificate: [][]byte{c.serving.Raw}, PrivateKey: key, Leaf: c.serving}
	return nil
}

// dropAuthorities forgets the old authorities once no replica serves anything that
// they signed.
func (c *certificates) dropAuthorities(now time.Time) bool {
	replaced := c.serving.CheckSignatureFrom(c.authorities[0]) == nil && settled(c.serving, now)
	kept := c.authorities[:1]
	for _, old := range c.authorities[1:] {
		if !replaced && now.Before(old.NotAfter) {
			kept = append(kept, old)
		}
	}
	dropped := len(kept) < len(c.authorities)
	c.authorities = kept
	return dropped
}

// signs tells why the authority cannot sign.
func (c *certificates) signs(now time.Time) error {
	if now.After(c.authorities[0].NotAfter) {
		return fmt.Errorf("entry %s: the authority expired on %s", authoritiesKey, c.authorities[0].NotAfter.Format(time.RFC3339))
	}
	return nil
}

// settled tells whether the certificate was made long enough ago for everybody to have seen it.
func settled(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore.Add(skew + settling))
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	template.SerialNumber, template.NotBefore, template.BasicConstraintsValid = serial, now.Add(-skew), true
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	return signed, nil
}
