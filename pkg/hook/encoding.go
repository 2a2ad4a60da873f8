package hook

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// What the Secret holds. Cluster API looks for ca.crt, others for the names of a
// Secret of type kubernetes.io/tls.
const (
	// authoritiesKey holds all authorities that a client has to trust, the one that
	// signs first.
	authoritiesKey  = "ca.crt"
	authorityKeyKey = "ca.key"
)

// parse reads the Secret's entries; an error names the entry that is of no use.
func parse(data map[string][]byte) (*certificates, error) {
	c := &certificates{}
	var err error
	if c.authorities, err = cert.ParseCertsPEM(data[authoritiesKey]); err != nil {
		return nil, fmt.Errorf("entry %s: %w", authoritiesKey, err)
	}
	key, err := keyutil.ParsePrivateKeyPEM(data[authorityKeyKey])
	if err != nil {
		return nil, fmt.Errorf("entry %s: %w", authorityKeyKey, err)
	}
	signer, isSigner := key.(crypto.Signer)
	if !isSigner || !samePublicKey(signer.Public(), c.authorities[0].PublicKey) {
		return nil, fmt.Errorf("entry %s is not the key of the first certificate in %s", authorityKeyKey, authoritiesKey)
	}
	c.signer = signer
	if !c.authorities[0].IsCA {
		return nil, fmt.Errorf("entry %s: its first certificate is no authority", authoritiesKey)
	}
	if c.pair, err = tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey]); err != nil {
		return nil, fmt.Errorf("entries %s and %s: %w", corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	if c.serving, err = x509.ParseCertificate(c.pair.Certificate[0]); err != nil {
		return nil, fmt.Errorf("entry %s: %w", corev1.TLSCertKey, err)
	}
	c.pair.Leaf = c.serving
	return c, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// data is the form in which the Secret holds the certificates.
func (c *certificates) data() (map[string][]byte, error) {
	authorities, err := cert.EncodeCertificates(c.authorities...)
	if err != nil {
		return nil, fmt.Errorf("encode authorities: %w", err)
	}
	serving, err := cert.EncodeCertificates(c.serving)
	if err != nil {
		return nil, fmt.Errorf("encode serving certificate: %w", err)
	}
	authorityKey, errAuthority := keyutil.MarshalPrivateKeyToPEM(c.signer)
	servingKey, errServing := keyutil.MarshalPrivateKeyToPEM(c.pair.PrivateKey)
	if err := errors.Join(errAuthority, errServing); err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	return map[string][]byte{
		authoritiesKey: bytes.TrimSpace(authorities), authorityKeyKey: authorityKey,
		corev1.TLSCertKey: serving, corev1.TLSPrivateKeyKey: servingKey,
	}, nil
}
