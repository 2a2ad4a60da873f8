package ui

import (
	"fmt"
	"html/template"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Names of the pages, which are those of the templates.
const (
	poolsPage    = "pools.html"
	poolPage     = "pool.html"
	clustersPage = "clusters.html"
	clusterPage  = "cluster.html"
	classesPage  = "classes.html"
	loading      = "loading.html"
	missing      = "missing.html"
)

// So much is on one page, whatever there is.
const (
	poolsAtOnce    = 12
	rowsOfMany     = 32
	rowsOfOne      = 256
	clustersAtOnce = 100
	classesAtOnce  = 100
)

// pageData is what a template shows.
type pageData struct {
	*View
	Title string
	// Query is what is looked for, and WaitingOnly that what waits for nothing is left out.
	Query       string
	WaitingOnly bool
	Pages       pages
	// Shown are pools with their addresses.
	Shown  []shownPool
	Detail *Detail
	// Section is what the page belongs to, Counts how many there are of all.
	Section string
	Counts  counts
	// Missing names what does not exist.
	Missing string
}

type counts struct{ Pools, Clusters, Waiting, Classes int }

type shownPool struct {
	*Pool
	Grid *grid
}

// pageHandler fills in what its template, whose name it returns, shows beside the View. The
// View of pageData is its own; what that holds is not.
type pageHandler func(s *Server, r *http.Request, d *pageData) (name string, err error)

var pageHandlers = map[string]pageHandler{
	"/{$}": showPools,
	"/pool/{kind}/{group}/{namespace}/{name}": showPool,
	"/clusters":                   showClusters,
	"/cluster/{namespace}/{name}": showCluster,
	"/classes":                    showClasses,
	"/":                           showMissing,
}

func showPools(_ *Server, r *http.Request, d *pageData) (string, error) {
	d.Title, d.Section = "Pools", "pools"
	d.Query = r.FormValue("q")
	found := matching(d.Pools, d.Query, func(p *Pool) string {
		return strings.Join(append(append([]string{p.String(), p.Kind}, p.Classes...), p.Roles...), " ")
	})
	found, d.Pages = onPage(found, r, poolsAtOnce)
	d.show(found, netip.Addr{}, rowsOfMany)
	return poolsPage, nil
}

func showPool(_ *Server, r *http.Request, d *pageData) (string, error) {
	id := PoolID{Kind: r.PathValue("kind"), Group: r.PathValue("group"), Name: Name{strings.TrimPrefix(r.PathValue("namespace"), noNamespace), r.PathValue("name")}}
	at := slices.IndexFunc(d.Pools, func(p Pool) bool { return p.PoolID == id })
	if at < 0 {
		d.Missing = id.Kind + " " + id.String()
		return missing, nil
	}
	d.Title, d.Section = id.String(), "pools"
	from, _ := netip.ParseAddr(r.FormValue("from")) // from the beginning if it is none
	d.show(d.Pools[at:at+1], from, rowsOfOne)
	return poolPage, nil
}

// show lays out the pools.
func (d *pageData) show(pools []Pool, from netip.Addr, rows int) {
	for i := range pools {
		d.Shown = append(d.Shown, shownPool{&pools[i], gridOf(&pools[i], from, rows)})
	}
}

func showClusters(_ *Server, r *http.Request, d *pageData) (string, error) {
	d.Title, d.Section = "Clusters", "clusters"
	d.Query, d.WaitingOnly = r.FormValue("q"), r.FormValue("waiting") != ""
	found := matching(d.Clusters, d.Query, func(c *Cluster) string {
		parts := []string{c.String(), c.Class, c.Skipped}
		for i := range c.Roles {
			parts = append(parts, c.Roles[i].VIP, c.Roles[i].Reason)
		}
		return strings.Join(parts, " ")
	})
	if d.WaitingOnly {
		found = found[:waiting(found)]
	}
	view := *d.View
	view.Clusters, d.Pages = onPage(found, r, clustersAtOnce)
	d.View = &view
	return clustersPage, nil
}

// waiting is how many of the Clusters wait. They come first.
func waiting(clusters []Cluster) int {
	return sort.Search(len(clusters), func(i int) bool { return !clusters[i].Waits() })
}

func showCluster(s *Server, r *http.Request, d *pageData) (string, error) {
	name := Name{r.PathValue("namespace"), r.PathValue("name")}
	var err error
	if d.Detail, err = s.cluster(name.Namespace, name.Name); err != nil {
		return "", fmt.Errorf("Cluster %s: %w", name, err) //nolint:revive,staticcheck // a kind is written with a capital
	}
	if d.Detail == nil {
		d.Missing = "Cluster " + name.String()
		return missing, nil
	}
	d.Title, d.Section = name.String(), "clusters"
	return clusterPage, nil
}

func showClasses(_ *Server, r *http.Request, d *pageData) (string, error) {
	d.Title, d.Section, d.Query = "Classes", "classes", r.FormValue("q")
	found := matching(d.Classes, d.Query, func(c *Class) string { return c.String() })
	view := *d.View
	view.Classes, d.Pages = onPage(found, r, classesAtOnce)
	d.View = &view
	return classesPage, nil
}

func showMissing(_ *Server, r *http.Request, d *pageData) (string, error) {
	d.Missing = "page " + r.URL.Path
	return missing, nil
}

// matching are those whose text has every word of the query in it.
func matching[T any](all []T, query string, text func(*T) string) []T {
	terms := strings.Fields(strings.ToLower(query))
	if len(terms) == 0 {
		return all
	}
	var result []T
	for i := range all {
		in := strings.ToLower(text(&all[i]))
		if !slices.ContainsFunc(terms, func(term string) bool { return !strings.Contains(in, term) }) {
			result = append(result, all[i])
		}
	}
	return result
}

// pages says which part of a list is shown.
type pages struct {
	// First to Last of Total are shown, counted from 1.
	First, Last, Total int
	// Before and After are queries; empty if there is nothing more that way.
	Before, After string
}

func onPage[T any](all []T, r *http.Request, most int) ([]T, pages) {
	number, _ := strconv.Atoi(r.FormValue("page"))
	number = min(max(number, 1), max((len(all)+most-1)/most, 1))
	first := (number - 1) * most
	last := min(first+most, len(all))
	p := pages{First: min(first+1, last), Last: last, Total: len(all)}
	to := func(page int) string {
		query := url.Values{}
		for _, key := range []string{"q", "waiting"} {
			if value := r.FormValue(key); value != "" {
				query.Set(key, value)
			}
		}
		query.Set("page", strconv.Itoa(page))
		return "?" + query.Encode()
	}
	if number > 1 {
		p.Before = to(number - 1)
	}
	if last < len(all) {
		p.After = to(number + 1)
	}
	return all[first:last], p
}

func parsePages() (map[string]*template.Template, error) {
	base, err := template.New("").Funcs(template.FuncMap{
		"states": States, "stamp": stamp, "zoned": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"few": few, "tip": tip, "label": label, "share": share, "number": func(n int64) string { return number(big.NewInt(n)) },
	}).ParseFS(templates, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	result := map[string]*template.Template{}
	for _, name := range []string{poolsPage, poolPage, clustersPage, clusterPage, classesPage, loading, missing} {
		page, err := base.Clone()
		if err == nil {
			page, err = page.ParseFS(templates, "templates/"+name)
		}
		if err != nil {
			return nil, fmt.Errorf("templates: %w", err)
		}
		result[name] = page.Lookup("layout.html")
	}
	return result, nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// few names some of the entries.
func few(entries []string) string {
	const most = 3
	if len(entries) > most {
		return strings.Join(entries[:most], ", ") + fmt.Sprintf(" and %d more", len(entries)-most)
	}
	return strings.Join(entries, ", ")
}

// share is how many of a hundred addresses are taken.
func share(c *Capacity) int {
	if c.Total <= 0 {
		return 100
	}
	// Those of an IPv6 pool are too many to be multiplied.
	return min(max(int(float64(c.Total-c.Free)/float64(c.Total)*100+0.5), 0), 100)
}

// tip are the lines that explain an address.
func tip(c *cell) string {
	lines := []string{c.Address, c.State.Words()}
	a := c.Used
	if a == nil {
		return strings.Join(lines, "\n")
	}
	add := func(name, value string) {
		if value != "" {
			lines = append(lines, name+": "+value)
		}
	}
	add("Cluster", a.Cluster.String())
	add("role", a.Role)
	add("claim", a.Claim)
	if !a.Since.IsZero() {
		add("since", stamp(a.Since))
	}
	add("says", a.Condition)
	add("note", a.Note)
	return strings.Join(lines, "\n")
}

// label is the same in one line, for who hears it.
func label(c *cell) string { return strings.ReplaceAll(tip(c), "\n", ", ") }
