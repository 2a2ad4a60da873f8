package diagnostics

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// clock stands still until it is set.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// apiServer knows the tokens "reader" and "stranger"; the first may get /metrics.
type apiServer struct {
	guard *Guard
	clock *clock
	asked []string
	down  bool
}

func newAPIServer() *apiServer {
	a := &apiServer{clock: &clock{time.Unix(1, 0)}}
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		a.asked = append(a.asked, "token "+review.Spec.Token)
		if a.down {
			return true, nil, errors.New("the API server is down")
		}
		review.Status.Authenticated = review.Spec.Token == "reader" || review.Spec.Token == "stranger"
		review.Status.User = authenticationv1.UserInfo{
			Username: review.Spec.Token, UID: "u", Groups: []string{"g"}, Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}},
		}
		return true, review, nil
	})
	client.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		spec := review.Spec
		a.asked = append(a.asked, strings.Join([]string{
			"access", spec.User, spec.UID, spec.Groups[0], spec.Extra["k"][0], spec.NonResourceAttributes.Verb, spec.NonResourceAttributes.Path,
		}, " "))
		review.Status.Allowed = spec.User == "reader" && spec.NonResourceAttributes.Path == "/metrics"
		return true, review, nil
	})
	a.guard = newGuard(client, cache.NewLRUExpireCacheWithClock(remembered, a.clock))
	return a
}

// get returns the code of the answer to a request with that header.
func (a *apiServer) get(path, authorization string) int {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	a.guard.Protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })).ServeHTTP(w, r)
	return w.Code
}

func TestGuardJudges(t *testing.T) {
	for _, test := range []struct {
		name, path, authorization string
		want                      int
	}{
		{"who may", "/metrics", "Bearer reader", http.StatusTeapot},
		{"a scheme in other letters", "/metrics", "bearer reader", http.StatusTeapot},
		{"who may not", "/metrics", "Bearer stranger", http.StatusForbidden},
		{"who may not here", "/metrics/x", "Bearer reader", http.StatusForbidden},
		{"an unknown token", "/metrics", "Bearer guess", http.StatusUnauthorized},
		{"no token", "/metrics", "", http.StatusUnauthorized},
		{"an empty token", "/metrics", "Bearer ", http.StatusUnauthorized},
		{"another scheme", "/metrics", "Basic reader", http.StatusUnauthorized},
		{"a token of any length", "/metrics", "Bearer " + strings.Repeat("x", maxToken+1), http.StatusUnauthorized},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := newAPIServer().get(test.path, test.authorization); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestGuardTellsTheAPIServerWhoAsksForWhat(t *testing.T) {
	a := newAPIServer()
	a.get("/metrics?name=x", "Bearer reader")
	if want := []string{"token reader", "access reader u g v get /metrics"}; !slices.Equal(a.asked, want) {
		t.Errorf("asked %q, want %q", a.asked, want)
	}
	a = newAPIServer()
	a.get("/metrics", "Basic reader")
	if len(a.asked) > 0 {
		t.Errorf("without a token it asks %q", a.asked)
	}
}

func TestGuardRemembersForAWhile(t *testing.T) {
	a := newAPIServer()
	for _, step := range []struct {
		token string
		after time.Duration
		asks  int
	}{
		{"reader", 0, 2}, {"reader", allowedFor - time.Second, 0}, {"reader", 2 * time.Second, 2},
		{"stranger", 0, 2}, {"stranger", refusedFor - time.Second, 0}, {"stranger", 2 * time.Second, 2},
		{"guess", 0, 1}, {"guess", refusedFor - time.Second, 0}, {"guess", 2 * time.Second, 1},
	} {
		a.clock.now = a.clock.now.Add(step.after)
		a.asked = nil
		a.get("/metrics", "Bearer "+step.token)
		if len(a.asked) != step.asks {
			t.Errorf("%s after %s: asked %q", step.token, step.after, a.asked)
		}
	}
}

func TestGuardLetsNobodyInWithoutTheAPIServer(t *testing.T) {
	a := newAPIServer()
	a.down = true
	if got := a.get("/metrics", "Bearer reader"); got != http.StatusInternalServerError {
		t.Errorf("got %d", got)
	}
	a.down = false
	if got := a.get("/metrics", "Bearer reader"); got != http.StatusTeapot {
		t.Errorf("afterwards it answers %d", got)
	}
}

func TestGuardTurnsACrowdAway(t *testing.T) {
	a := newAPIServer()
	for range maxAsking {
		a.guard.asking <- struct{}{}
	}
	if got := a.get("/metrics", "Bearer reader"); got != http.StatusServiceUnavailable || len(a.asked) > 0 {
		t.Errorf("got %d, asked %q", got, a.asked)
	}
}

func TestTheCertificateIsMadeAnewInTime(t *testing.T) {
	c, err := NewCertificate("host")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.now = func() time.Time { return now }
	first, _ := c.Get(nil)
	now = now.Add(renewal - time.Minute)
	if second, _ := c.Get(nil); second != first {
		t.Error("it changes too early")
	}
	now = now.Add(2 * time.Minute)
	third, err := c.Get(nil)
	if err != nil || third == first {
		t.Errorf("it does not change: %v", err)
	}
	if err := first.Leaf.VerifyHostname("host"); err != nil || first.Leaf.NotAfter.Before(now) {
		t.Errorf("%v, until %s", err, first.Leaf.NotAfter)
	}
}
