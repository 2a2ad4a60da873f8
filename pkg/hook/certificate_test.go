package hook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
)

var names = []string{"hook.ours.svc", "hook.ours.svc.cluster.local", "localhost", "127.0.0.1", "::1"}

func mustRenew(t *testing.T, data map[string][]byte, now time.Time) (next map[string][]byte, changed bool) {
	t.Helper()
	next, changed, problem, err := renew(data, names, now)
	if err != nil || problem != nil {
		t.Fatalf("at %s: %v, %v", now, problem, err)
	}
	return next, changed
}

// trusts tells whether a client that knows the authorities of one version of the
// Secret takes what a replica serves from another.
func trusts(t *testing.T, authorities, serving map[string][]byte, now time.Time) error {
	t.Helper()
	c, err := parse(serving)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authorities[authoritiesKey])
	_, err = c.serving.Verify(x509.VerifyOptions{DNSName: names[0], Roots: roots, CurrentTime: now})
	return err
}

func TestANewSecretServesEveryName(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	data, changed := mustRenew(t, nil, now)
	if !changed {
		t.Fatal("nothing was made")
	}
	c, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := c.serving.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if c.serving.IsCA || !c.authorities[0].IsCA {
		t.Error("the server's certificate must be no authority, and the authority one")
	}
	if _, changed := mustRenew(t, data, now.Add(time.Minute)); changed {
		t.Error("it is made again a minute later")
	}
	if next, changed, _, err := renew(data, append([]string{"new.ours.svc"}, names...), now); err != nil || !changed || bytes.Equal(next[corev1.TLSCertKey], data[corev1.TLSCertKey]) ||
		!bytes.Equal(next[authoritiesKey], data[authoritiesKey]) {
		t.Errorf("another name needs another certificate of the same authority: %v", err)
	}
}

// Over thirteen years no client that is half an hour behind, and no replica that is,
// ever meets a certificate that it does not trust.
func TestRotation(t *testing.T) {
	const lag = 30 * time.Minute
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	end := now.AddDate(13, 0, 0)
	data, _ := mustRenew(t, nil, now)
	before, lastChange := data, now
	leaves, authorities, together := 0, 0, 0
	for now.Before(end) {
		step := 12 * time.Hour
		if now.Sub(lastChange) < 3*settling {
			step = 10 * time.Minute
		}
		now = now.Add(step)
		if now.Sub(lastChange) >= lag {
			before = data
		}
		next, changed := mustRenew(t, data, now)
		if !changed {
			continue
		}
		if !bytes.Equal(next[corev1.TLSCertKey], data[corev1.TLSCertKey]) {
			leaves++
		}
		if !bytes.Equal(next[authorityKeyKey], data[authorityKeyKey]) {
			authorities++
		}
		if strings.Count(string(next[authoritiesKey]), "BEGIN CERTIFICATE") > 1 {
			together++
		}
		for name, pair := range map[string][2]map[string][]byte{
			"all are current": {next, next}, "the client is behind": {before, next}, "the replica is behind": {next, before},
		} {
			if err := trusts(t, pair[0], pair[1], now); err != nil {
				t.Fatalf("at %s %s: %v", now, name, err)
			}
		}
		data, lastChange = next, now
	}
	if authorities != 3 || leaves < 13*6 || together == 0 {
		t.Errorf("%d authorities and %d serving certificates in 13 years", authorities, leaves)
	}
	if strings.Count(string(data[authoritiesKey]), "BEGIN CERTIFICATE") != 1 {
		t.Error("old authorities stay for ever")
	}
}

// A replica that was switched off for years finds everything expired.
func TestEverythingExpired(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	data, _ := mustRenew(t, nil, now)
	later := now.AddDate(20, 0, 0)
	next, changed, problem, err := renew(data, names, later)
	if err != nil || problem == nil || !changed {
		t.Fatal(changed, problem, err)
	}
	if err := trusts(t, next, next, later); err != nil {
		t.Error(err)
	}
	months := now.AddDate(0, 6, 0) // only the server's has expired
	if next, _ := mustRenew(t, data, months); !bytes.Equal(next[authoritiesKey], data[authoritiesKey]) || trusts(t, next, next, months) != nil {
		t.Error("the authority was replaced, or the result is of no use")
	}
}

func TestDamageIsNamed(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	good, _ := mustRenew(t, nil, now)
	other, _ := mustRenew(t, nil, now)
	for _, test := range []struct {
		entry string
		value []byte
	}{
		{authoritiesKey, nil},
		{authoritiesKey, []byte("garbage")},
		{authoritiesKey, other[authoritiesKey]},
		{authoritiesKey, good[corev1.TLSCertKey]},
		{authorityKeyKey, []byte("garbage")},
		{authorityKeyKey, other[authorityKeyKey]},
		{corev1.TLSCertKey, other[corev1.TLSCertKey]},
		{corev1.TLSCertKey, []byte("garbage")},
		{corev1.TLSPrivateKeyKey, nil},
	} {
		data := maps.Clone(good)
		data[test.entry] = test.value
		next, changed, problem, err := renew(data, names, now)
		if err != nil || !changed || problem == nil || !strings.Contains(problem.Error(), test.entry) {
			t.Errorf("%s %.20q: %v, %v, %v", test.entry, test.value, changed, problem, err)
			continue
		}
		if err := trusts(t, next, next, now); err != nil {
			t.Errorf("%s %.20q: %v", test.entry, test.value, err)
		}
	}
	// A certificate of an authority that nobody trusts any more is replaced, too.
	data := maps.Clone(good)
	data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey] = other[corev1.TLSCertKey], other[corev1.TLSPrivateKeyKey]
	if next, changed := mustRenew(t, data, now); !changed || trusts(t, good, next, now) != nil {
		t.Error("a stranger's certificate is served")
	}
}

// locking makes a fake clientset refuse an update of a version that is not the
// newest, as the API server does.
func locking(client *fake.Clientset) *fake.Clientset {
	var mu sync.Mutex
	version := 0
	stamp := func(o runtime.Object) {
		version++
		o.(metav1.Object).SetResourceVersion(strconv.Itoa(version))
	}
	secrets := corev1.SchemeGroupVersion.WithResource("secrets")
	client.PrependReactor("create", "secrets", func(a k8stesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		o := a.(k8stesting.CreateAction).GetObject().DeepCopyObject()
		stamp(o)
		err := client.Tracker().Create(secrets, o, a.GetNamespace())
		return true, o, err
	})
	client.PrependReactor("update", "secrets", func(a k8stesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		o := a.(k8stesting.UpdateAction).GetObject().DeepCopyObject()
		name := o.(metav1.Object).GetName()
		live, err := client.Tracker().Get(secrets, a.GetNamespace(), name)
		if err != nil {
			return true, nil, err
		}
		if live.(metav1.Object).GetResourceVersion() != o.(metav1.Object).GetResourceVersion() {
			return true, nil, apierrors.NewConflict(secrets.GroupResource(), name, nil)
		}
		stamp(o)
		return true, o, client.Tracker().Update(secrets, o, a.GetNamespace())
	})
	return client
}

// Replicas that start at the same moment, and that find the certificate due at the
// same moment, end with the same one.
func TestReplicasAgree(t *testing.T) {
	client := locking(fake.NewClientset())
	now := time.Now()
	const replicas = 8
	for round := range 4 {
		served := make([]*tls.Certificate, replicas)
		var ready, done sync.WaitGroup
		ready.Add(1)
		for i := range replicas {
			done.Go(func() {
				k := newKeeper(client, "ours", "tls", "hook")
				k.share.now = func() time.Time { return now }
				ready.Wait()
				var err error
				if served[i], err = k.share.current(context.Background()); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		ready.Done()
		done.Wait()
		secret, err := client.CoreV1().Secrets("ours").Get(t.Context(), "tls", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		stored, err := parse(secret.Data)
		if err != nil {
			t.Fatal(err)
		}
		// A replica that read before another wrote may serve the old one for a while;
		// it does no longer once it looks again.
		for i, c := range served {
			if c != nil && !bytes.Equal(c.Certificate[0], stored.pair.Certificate[0]) {
				t.Errorf("round %d: replica %d serves another certificate than the Secret holds", round, i)
			}
		}
		now = now.Add(servingLifetime - servingRenewal + time.Hour)
	}
}

// The running server serves what the Secret holds by now.
func TestReloadWithoutRestart(t *testing.T) {
	s := newServer(t)
	now := time.Now()
	s.keeper.share.now = func() time.Time { return now }
	address := start(t, s)
	serial := func() string {
		t.Helper()
		response, err := client(t, s, address).Post(host+discoveryPath, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.TLS.PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	now = now.Add(servingLifetime - servingRenewal + time.Hour)
	s.keeper.load(t.Context())
	if second := serial(); second == first {
		t.Error("the old certificate is still served")
	}
}

// Somebody else's Secret is named and left alone; what was loaded before stays.
func TestAForeignSecret(t *testing.T) {
	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ours", Name: "tls"}, Data: map[string][]byte{"tls.crt": []byte("x")}}
	client := fake.NewClientset(foreign)
	k := newKeeper(client, "ours", "tls", "hook")
	_, err := k.share.current(t.Context())
	if err == nil || !strings.Contains(err.Error(), "ours/tls") || !strings.Contains(err.Error(), ownLabel) {
		t.Errorf("the error is %v", err)
	}
	k.load(t.Context())
	if _, err := k.certificate(nil); err == nil {
		t.Error("something is served")
	}
	after, err := client.CoreV1().Secrets("ours").Get(t.Context(), "tls", metav1.GetOptions{})
	if err != nil || string(after.Data["tls.crt"]) != "x" || len(after.Data) != 1 {
		t.Errorf("it was changed: %v %v", after, err)
	}
	// With our label it is ours to mend, and its other entries stay.
	after.Labels = map[string]string{ownLabel: "true"}
	after.Data["note"] = []byte("mine")
	if _, err := client.CoreV1().Secrets("ours").Update(t.Context(), after, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	k.load(t.Context())
	if _, err := k.certificate(nil); err != nil {
		t.Error(err)
	}
	after, _ = client.CoreV1().Secrets("ours").Get(t.Context(), "tls", metav1.GetOptions{})
	if string(after.Data["note"]) != "mine" {
		t.Error("a foreign entry was lost")
	}
	if err := client.CoreV1().Secrets("ours").Delete(t.Context(), "tls", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	k.load(t.Context())
	if _, err := client.CoreV1().Secrets("ours").Get(t.Context(), "tls", metav1.GetOptions{}); err != nil {
		t.Errorf("a deleted Secret is not made anew: %v", err)
	}
}
