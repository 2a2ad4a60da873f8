package vip

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Serves is what a pool's labels and annotations say about whom it serves.
type Serves struct {
	Classes []ClassEntry
	Roles   []Role
	// Namespaces limits a cluster-scoped pool; nil means every namespace, empty none.
	Namespaces []string
	// Priority ranks the pool, higher first.
	Priority int
	// Unbooked says that VIPs which somebody typed are not booked in it.
	Unbooked bool
	// Err says which key of the pool is malformed. Such a pool serves nobody.
	Err error
}

// ClassEntry names ClusterClasses. An empty Namespace means a class of that name
// in any namespace; the Name "*" means every class.
type ClassEntry struct {
	Namespace, Name string
}

// ClassKey names one ClusterClass.
type ClassKey struct {
	Namespace, Name string
}

// String returns "namespace/name".
func (k ClassKey) String() string { return k.Namespace + "/" + k.Name }

const everyClass = "*"

// Names are of DNS subdomain form, as Kubernetes demands of ClusterClasses; one
// pattern with a length limit reads them without allocation.
var objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// HasPoolKeys tells whether a pool takes part in VIP allocation at all.
func HasPoolKeys(labels, annotations map[string]string) bool {
	for _, key := range []string{PoolClassKey, PoolRoleKey} {
		if _, ok := labels[key]; ok {
			return true
		}
		if _, ok := annotations[key]; ok {
			return true
		}
	}
	return false
}

// ParseServes reads a pool's labels and annotations. What can be read stands in
// the result even if Err is set, so that a Cluster can be told which malformed
// pool would have served it.
func ParseServes(labels, annotations map[string]string) Serves {
	s := Serves{Unbooked: strings.TrimSpace(annotations[PoolBookKey]) == "false"}
	var errs []error
	for _, entry := range poolList(PoolClassKey, labels, annotations, &errs) {
		class, err := parseClassEntry(entry)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", PoolClassKey, err))
		}
		if class.Name != "" {
			s.Classes = append(s.Classes, class)
		}
	}
	for _, entry := range poolList(PoolRoleKey, labels, annotations, &errs) {
		role, ok := ParseRole(entry)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %.80q is no role; %s", PoolRoleKey, entry, roleHint(entry)))
			continue
		}
		s.Roles = append(s.Roles, role)
	}
	if text, ok := annotations[PoolNamespacesKey]; ok {
		s.Namespaces = []string{}
		for _, namespace := range splitList(text) {
			if !objectName.MatchString(namespace) {
				errs = append(errs, fmt.Errorf("%s: %.80q is no namespace name", PoolNamespacesKey, namespace))
			}
			s.Namespaces = append(s.Namespaces, namespace)
		}
	}
	if text, ok := annotations[PoolPriorityKey]; ok {
		priority, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %.80q is no integer", PoolPriorityKey, text))
		}
		s.Priority = priority
	}
	s.Err = errors.Join(errs...)
	return s
}

// poolList unites the entries of the label and of the annotation of that key.
//
// A label value cannot hold commas, so several names are joined by "_" there. The
// comma form is accepted all the same, for manifests that are read before the API
// server could refuse them. The label value "true" beside an annotation is how
// earlier releases marked a pool whose list stands in the annotation.
func poolList(key string, labels, annotations map[string]string, errs *[]error) []string {
	inLabel, hasLabel := labels[key]
	inAnnotation, hasAnnotation := annotations[key]
	var entries []string
	if marksOnly := hasAnnotation && inLabel == "true"; hasLabel && !marksOnly {
		entries = strings.FieldsFunc(inLabel, func(r rune) bool { return r == '_' || r == ',' || r == ' ' })
	}
	if hasAnnotation {
		entries = append(entries, splitList(inAnnotation)...)
	}
	switch {
	case !hasLabel && !hasAnnotation:
		words := fmt.Sprintf("%s: the key is missing", key)
		if meant := meantKey(key, labels, annotations); meant != "" {
			words += fmt.Sprintf("; found %.80s, did you mean %s?", meant, key)
		}
		*errs = append(*errs, errors.New(words))
	case len(entries) == 0:
		*errs = append(*errs, fmt.Errorf("%s: names nothing", key))
	}
	slices.Sort(entries)
	return slices.Compact(entries)
}

func splitList(text string) []string {
	var entries []string
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}

// roleHint says what to write instead of what is no role.
func roleHint(entry string) string {
	if strings.EqualFold(entry, "both") {
		return fmt.Sprintf("to serve both write %s_%s in a label, or %s,%s in an annotation", ControlPlane, Ingress, ControlPlane, Ingress)
	}
	if role, meant := meantRole(entry); meant {
		return fmt.Sprintf("did you mean %s?", role)
	}
	return fmt.Sprintf("the roles are %s and %s", ControlPlane, Ingress)
}

// parseClassEntry reads one entry. Of one in capitals it returns both what was meant and an
// error: no class can have that name.
func parseClassEntry(entry string) (ClassEntry, error) {
	if entry == everyClass {
		return ClassEntry{Name: everyClass}, nil
	}
	namespace, name, qualified := strings.Cut(entry, "/")
	if !qualified {
		namespace, name = "", entry
	}
	if lower := strings.ToLower(entry); lower != entry {
		if meant, err := parseClassEntry(lower); err == nil {
			return meant, fmt.Errorf("%.80q: class names are lower case; did you mean %.80s?", entry, lower)
		}
	}
	if !objectName.MatchString(name) || (qualified && !objectName.MatchString(namespace)) {
		return ClassEntry{}, fmt.Errorf("%.80q is neither a class name, namespace/name nor *", entry)
	}
	return ClassEntry{Namespace: namespace, Name: name}, nil
}

// HasRole tells whether the pool serves the role.
func (s *Serves) HasRole(role Role) bool { return slices.Contains(s.Roles, role) }

// Match says how exactly a pool names a class; the greater the more exactly.
type Match int

// How a pool names a class.
const (
	NoMatch     Match = iota
	ByEveryName       // as "*"
	ByName            // as a class of that name in any namespace
	ByKey             // as namespace/name
)

func (s *Serves) match(class ClassKey) (best Match) {
	for _, entry := range s.Classes {
		match := NoMatch
		switch entry {
		case ClassEntry(class):
			match = ByKey
		case ClassEntry{Name: class.Name}:
			match = ByName
		case ClassEntry{Name: everyClass}:
			match = ByEveryName
		}
		best = max(best, match)
	}
	return best
}

// names tells whether the pool names the class itself, not by "*".
func (s *Serves) names(class ClassKey) bool { return s.match(class) > ByEveryName }

// Class tells whether the pool serves the class, by name or by "*".
func (s *Serves) Class(class ClassKey) bool { return s.match(class) > NoMatch }

// ClassNames lists the names of the classes that the pool names, whatever their
// namespaces, each once; every says that it serves all classes there are.
func (s *Serves) ClassNames() (names []string, every bool) {
	for _, entry := range s.Classes {
		switch {
		case entry.Name == everyClass:
			every = true
		case !slices.Contains(names, entry.Name):
			names = append(names, entry.Name)
		}
	}
	return names, every
}

func (s *Serves) servesNamespace(namespace string) bool {
	return s.Namespaces == nil || slices.Contains(s.Namespaces, namespace)
}
