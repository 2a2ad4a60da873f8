package management

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// lifetime of the certificates. A cluster lives for minutes, at most for a day of demo.
const lifetime = 30 * 24 * time.Hour

// authority is the cluster's one certificate authority. It vouches for servers,
// webhooks and users alike; the key never leaves this process.
type authority struct {
	dir         string // files for the components, see the methods
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte // the authority's certificate
}

// newAuthority makes an authority and writes its certificate, one serving
// certificate for all components, and the key that signs service account tokens.
func newAuthority(dir string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "management"}, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate authority: %w", err)
	}
	a := &authority{dir: dir, certificate: certificate, key: key}
	if a.pem, err = cert.EncodeCertificates(certificate); err != nil {
		return nil, err
	}
	serving, servingKey, err := a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "management"},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return nil, err
	}
	tokens, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tokenKey, err := keyutil.MarshalPrivateKeyToPEM(tokens)
	if err != nil {
		return nil, err
	}
	return a, writeFiles(map[string][]byte{
		a.file():         a.pem,
		a.servingFile():  serving,
		a.servingKey():   servingKey,
		a.tokenKeyFile(): tokenKey,
	})
}

func (a *authority) file() string         { return filepath.Join(a.dir, "ca.crt") }
func (a *authority) servingDir() string   { return filepath.Join(a.dir, "serving") }
func (a *authority) servingFile() string  { return filepath.Join(a.servingDir(), "tls.crt") }
func (a *authority) servingKey() string   { return filepath.Join(a.servingDir(), "tls.key") }
func (a *authority) tokenKeyFile() string { return filepath.Join(a.dir, "service-accounts.key") }

// client issues a certificate that makes its holder the given user.
func (a *authority) client(user string, groups []string) (certificate, key []byte, err error) {
	return a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// issue completes and signs a certificate; both results are PEM.
func (a *authority) issue(template *x509.Certificate) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, nil, err
	}
	template.NotBefore = a.certificate.NotBefore
	template.NotAfter = time.Now().Add(lifetime)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, private.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("issue certificate for %s: %w", template.Subject.CommonName, err)
	}
	signed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	if certificate, err = cert.EncodeCertificates(signed); err != nil {
		return nil, nil, err
	}
	key, err = keyutil.MarshalPrivateKeyToPEM(private)
	return certificate, key, err
}

// writeFiles writes files that only the user may read, with their folders.
func writeFiles(files map[string][]byte) error {
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
