package race

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/gorizond/capi-vip-allocator/test/allocator"
	"github.com/gorizond/capi-vip-allocator/test/gates"
	"github.com/gorizond/capi-vip-allocator/test/loopback"
)

// The serving certificate is renewed in the Secret, as another replica would do it,
// while Clusters are created one after another. The allocator takes it over without
// a restart.
func TestCertificateIsRenewedUnderLoad(t *testing.T) {
	if !*long {
		t.Skip("an allocator looks at its Secret once a minute; run it with -long")
	}
	w := newWorld(t, gates.UnderHook)
	w.class(gates.Open)
	w.pools()
	w.start()
	w.create(1)
	w.built(1)
	serial := w.renewServing()
	n := 1
	w.eventually("the new certificate is served", func() error {
		n++
		w.create(n) // those that exist are left as they are
		served, err := w.served()
		if err == nil && served.SerialNumber.Cmp(serial) != 0 {
			err = fmt.Errorf("it is still %s", served.SerialNumber)
		}
		return err
	})
	t.Logf("%d Clusters until then", n)
	w.create(n + 5)
	w.built(n + 5)
	w.noLoss()
}

// served is the certificate that the hook shows.
func (w *world) served() (*x509.Certificate, error) {
	connection, err := tls.Dial("tcp", loopback.Address(w.hookPort), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is only looked at
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0], nil
}

// renewServing puts a new serving certificate for the same names by the same
// authority into the Secret, and returns its serial number.
func (w *world) renewServing() *big.Int {
	w.t.Helper()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	client := w.Client.Resource(secrets).Namespace(allocator.Namespace)
	secret, err := client.Get(w.t.Context(), hookSecret, metav1.GetOptions{})
	must(err)
	entry := func(name string) []byte {
		text, _, _ := unstructured.NestedString(secret.Object, "data", name)
		data, err := base64.StdEncoding.DecodeString(text)
		must(err)
		return data
	}
	authorities, err := cert.ParseCertsPEM(entry("ca.crt"))
	must(err)
	signer, err := keyutil.ParsePrivateKeyPEM(entry("ca.key"))
	must(err)
	old, err := cert.ParseCertsPEM(entry("tls.crt"))
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := *old[0]
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.PublicKey, template.SignatureAlgorithm = nil, 0
	der, err := x509.CreateCertificate(rand.Reader, &template, authorities[0], key.Public(), signer)
	must(err)
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	must(err)
	patch, err := json.Marshal(map[string]any{"data": map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), "tls.key": keyPEM,
	}})
	must(err)
	_, err = client.Patch(w.t.Context(), hookSecret, types.MergePatchType, patch, metav1.PatchOptions{})
	must(err)
	return template.SerialNumber
}
