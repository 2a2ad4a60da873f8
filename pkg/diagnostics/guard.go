// Package diagnostics lets in who may read the metrics: whom Kubernetes knows by a
// bearer token, and whom its rules allow to get the path.
package diagnostics

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// allowedFor and refusedFor are how long an answer of the API server counts. So
	// long a token works after it was revoked.
	allowedFor = time.Minute
	refusedFor = 10 * time.Second
	// remembered is the number of answers that are kept, of whatever strangers make up.
	remembered = 1000
	// maxAsking is how many requests may wait for the API server at once.
	maxAsking = 10
	askingFor = 10 * time.Second
	// maxToken is far above the size of any token, in bytes.
	maxToken = 16 << 10
)

// Guard lets requests through to a handler.
type Guard struct {
	client  kubernetes.Interface
	answers *cache.LRUExpireCache
	asking  chan struct{}
	// failing says that the API server did not answer the last question.
	failing atomic.Bool
}

// New returns a Guard that asks the API server by a client of its own: strangers who
// knock often must not take the allocator's share of requests.
func New(config *rest.Config) (*Guard, error) {
	own := rest.CopyConfig(config)
	own.QPS, own.Burst, own.RateLimiter = 10, 20, nil
	client, err := kubernetes.NewForConfig(own)
	if err != nil {
		return nil, fmt.Errorf("client for reviews: %w", err)
	}
	return newGuard(client, cache.NewLRUExpireCache(remembered)), nil
}

func newGuard(client kubernetes.Interface, answers *cache.LRUExpireCache) *Guard {
	return &Guard{client: client, answers: answers, asking: make(chan struct{}, maxAsking)}
}

// Protect answers 401 to whom Kubernetes does not know, 403 to whom it does not let do
// this, and leaves the others to the handler.
func (g *Guard) Protect(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch code := g.judge(r); code {
		case http.StatusOK:
			handler.ServeHTTP(w, r)
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "a bearer token of the management cluster is needed", code)
		case http.StatusForbidden:
			http.Error(w, "the bearer of the token has no right to get "+r.URL.Path, code)
		default:
			http.Error(w, "the API server cannot be asked for the bearer's rights", code)
		}
	})
}

// answerKey is what the API server was asked; the token itself is not kept.
type answerKey struct {
	token      [sha256.Size]byte
	verb, path string
}

func (g *Guard) judge(r *http.Request) int {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return http.StatusUnauthorized
	}
	key := answerKey{sha256.Sum256([]byte(token)), strings.ToLower(r.Method), r.URL.Path}
	if known, ok := g.answers.Get(key); ok {
		return known.(int)
	}
	select {
	case g.asking <- struct{}{}:
		defer func() { <-g.asking }()
	default:
		return http.StatusServiceUnavailable
	}
	ctx, cancel := context.WithTimeout(r.Context(), askingFor)
	defer cancel()
	code, err := g.ask(ctx, token, key)
	if err != nil {
		if !errors.Is(err, context.Canceled) && !g.failing.Swap(true) {
			logrus.WithError(err).Warn("Nobody is let in to the secure metrics: the API server cannot be asked")
		}
		return http.StatusInternalServerError
	}
	g.failing.Store(false)
	lasts := refusedFor
	if code == http.StatusOK {
		lasts = allowedFor
	}
	g.answers.Add(key, code, lasts)
	return code
}

// ask asks the API server who the bearer is, and whether that user may do this.
func (g *Guard) ask(ctx context.Context, token string, key answerKey) (code int, err error) {
	review, err := g.client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token},
	}, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("create TokenReview: %w", err)
	}
	if !review.Status.Authenticated {
		return http.StatusUnauthorized, nil
	}
	user := review.Status.User
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for name, values := range user.Extra {
		extra[name] = authorizationv1.ExtraValue(values)
	}
	access, err := g.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: key.path, Verb: key.verb},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("create SubjectAccessReview: %w", err)
	}
	if !access.Status.Allowed || access.Status.Denied {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}
