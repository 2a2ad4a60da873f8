package ui

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// guard lets in who knows a token, by a loopback name and to look only: any program on the
// machine can connect, and so can every page that the user's browser shows.
type guard struct {
	hosts  []string
	cookie string // its name: cookies of one host are shared by all ports
	token  string
	// session is what the cookie holds.
	session string

	mu   sync.Mutex
	once string // lets in once; empty afterwards
}

func newGuard(port int) *guard {
	g := &guard{cookie: "kubectl-vip-ui-" + strconv.Itoa(port), token: rand.Text(), session: rand.Text()}
	for _, name := range []string{"127.0.0.1", "localhost", "::1"} {
		g.hosts = append(g.hosts, net.JoinHostPort(name, strconv.Itoa(port)))
	}
	return g
}

// tokenParameter is the part of a URL that holds a token. It is exchanged for a cookie at
// once, so that it stays neither in the address bar nor in the history.
const tokenParameter = "token"

// headers go with every answer.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types page",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cache-Control":                "no-store",
}

func (g *guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		switch {
		case !slices.Contains(g.hosts, r.Host):
			http.Error(w, "this page is on a loopback address only", http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this page only shows", http.StatusMethodNotAllowed)
		case g.known(r):
			next.ServeHTTP(w, r)
		case g.admits(r.URL.Query().Get(tokenParameter)):
			http.SetCookie(w, &http.Cookie{Name: g.cookie, Value: g.session, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
			w.Header().Set("Location", withoutToken(r))
			w.WriteHeader(http.StatusSeeOther)
		default:
			http.Error(w, "open the address with the token that kubectl vip ui printed", http.StatusForbidden)
		}
	})
}

// known tells whether the browser has the cookie and needs no token any more.
func (g *guard) known(r *http.Request) bool {
	cookie, err := r.Cookie(g.cookie)
	return err == nil && same(cookie.Value, g.session) && !r.URL.Query().Has(tokenParameter)
}

func (g *guard) admits(token string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.once != "" && same(token, g.once) {
		g.once = ""
		return true
	}
	return same(token, g.token)
}

// onceToken is one that lets in once: other users of the machine see the arguments of the
// program that opens a browser.
func (g *guard) onceToken() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.once = rand.Text()
	return g.once
}

func same(given, wanted string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(wanted)) == 1
}

// withoutToken is the same page of this server.
func withoutToken(r *http.Request) string {
	query := r.URL.Query()
	query.Del(tokenParameter)
	to := *r.URL
	to.Scheme, to.Host, to.User, to.RawQuery = "", "", nil, query.Encode()
	if len(to.Path) < 1 || to.Path[0] != '/' || (len(to.Path) > 1 && (to.Path[1] == '/' || to.Path[1] == '\\')) {
		to.Path, to.RawPath = "/", "" // "//elsewhere" would be another host
	}
	return to.String()
}
