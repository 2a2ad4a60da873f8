package fault

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
)

// Request says what a client asks of the API server, in the words of RBAC.
type Request struct {
	Verb        string // get, list, watch, create, update, patch, delete, deletecollection
	Group       string // "" is the core group
	Resource    string // "" for a path without a resource, such as /version
	Subresource string
	Namespace   string
	Name        string // "" where the request names no object, as on create
	Path        string
	Rest        bool // a list that goes on where an earlier answer ended
}

// Match chooses requests.
type Match func(Request) bool

// Any matches every request.
func Any(Request) bool { return true }

// Writes matches the requests that are to change something.
func Writes(r Request) bool {
	switch r.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return true
	}
	return false
}

// Of matches a verb on a resource, given as "clusters" or "clusters/status". An
// empty verb means any.
func Of(verb, resource string) Match {
	resource, subresource, _ := strings.Cut(resource, "/")
	return func(r Request) bool {
		return r.Resource == resource && r.Subresource == subresource && (verb == "" || verb == r.Verb)
	}
}

// In matches the requests of m in one namespace.
func In(namespace string, m Match) Match {
	return func(r Request) bool { return r.Namespace == namespace && m(r) }
}

// Sometimes matches that share of what m matches, drawn from the seed.
func Sometimes(seed uint64, share float64, m Match) Match {
	random := rand.New(rand.NewPCG(seed, seed))
	var mutex sync.Mutex
	return func(r Request) bool {
		if !m(r) {
			return false
		}
		mutex.Lock()
		defer mutex.Unlock()
		return random.Float64() < share
	}
}

// String is the request in one line.
func (r Request) String() string {
	what := r.Resource
	if r.Subresource != "" {
		what += "/" + r.Subresource
	}
	if what == "" {
		what = r.Path
	}
	return strings.TrimRight(r.Verb+" "+what+" "+r.Namespace+"/"+r.Name, "/ ")
}

// parse reads a request as kube-apiserver does:
//
//	/api/v1/… or /apis/<group>/<version>/…, then
//	[namespaces/<namespace>/]<resource>[/<name>[/<subresource>]]
func parse(r *http.Request) Request {
	q := Request{Path: r.URL.Path, Rest: r.URL.Query().Get("continue") != ""}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		q.Group, parts = parts[1], parts[3:]
	default:
		parts = nil
	}
	if len(parts) > 2 && parts[0] == "namespaces" && parts[2] != "status" && parts[2] != "finalize" {
		q.Namespace, parts = parts[1], parts[2:]
	}
	for i, field := range []*string{&q.Resource, &q.Name, &q.Subresource} {
		if i < len(parts) {
			*field = parts[i]
		}
	}
	q.Verb = verb(r, q.Name)
	return q
}

func verb(r *http.Request, name string) string {
	watch := r.URL.Query().Get("watch")
	switch r.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		if name == "" {
			return "deletecollection"
		}
		return "delete"
	}
	switch {
	case watch == "true" || watch == "1":
		return "watch"
	case name == "":
		return "list"
	}
	return "get"
}
