package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

// clusters prints a line per Cluster.
func (s *screen) clusters(list *ClusterList, namespaces bool) {
	s.down(&list.Controller)
	if len(list.Clusters) == 0 {
		s.print("No Cluster is visible here; -A looks in all namespaces.\n")
	} else {
		s.show(s.clusterTable(list.Clusters, namespaces), "")
	}
	s.list(list.NotVisible)
}

// changedClusters prints the lines that are not as they were shown last. Ages alone are no change.
func (s *screen) changedClusters(list *ClusterList, namespaces bool, shown map[string]string) {
	var changed []ClusterLine
	exists := map[string]bool{}
	for i := range list.Clusters {
		c := &list.Clusters[i]
		key := c.Namespace + "/" + c.Name
		exists[key] = true
		if is := fmt.Sprintf("%s %+v", c.Skipped, essence(c)); shown[key] != is {
			shown[key] = is
			changed = append(changed, *c)
		}
	}
	for key := range shown {
		if !exists[key] {
			delete(shown, key)
			s.print("%s\n", s.faint(key+" is gone"))
		}
	}
	if len(changed) > 0 {
		s.show(s.clusterTable(changed, namespaces), "")
	}
}

// essence is what is shown of the roles but for the ages.
func essence(c *ClusterLine) []RoleLine {
	var roles []RoleLine
	for _, role := range c.Roles {
		role.Since = nil
		roles = append(roles, role)
	}
	return roles
}

func (s *screen) clusterTable(lines []ClusterLine, namespaces bool) table.Writer {
	header := []any{"NAME", "CONTROL-PLANE", "FROM", "INGRESS", "FROM", "SINCE", "WAITS FOR"}
	if namespaces {
		header = append([]any{"NAMESPACE"}, header...)
	}
	t := s.table(header...)
	for i := range lines {
		c := &lines[i]
		row := []any{s.bold(c.Name)}
		for j := range c.Roles {
			row = append(row, s.vip(&c.Roles[j]), cmp.Or(shortPool(c.Roles[j].From), "-"))
		}
		row = append(row, s.since(c), s.waitsFor(c))
		if namespaces {
			row = append([]any{c.Namespace}, row...)
		}
		t.AppendRow(row)
	}
	return t
}

// shortPool leaves out the kind.
func shortPool(pool string) string {
	if _, name, qualified := strings.Cut(pool, " "); qualified {
		return name
	}
	return pool
}

func (s *screen) vip(r *RoleLine) string {
	switch {
	case r.VIP != "" && (r.Ready || !r.Applies):
		return s.good(r.VIP)
	case r.VIP != "":
		return s.warn(r.VIP)
	case r.Reason == "Disabled":
		return s.faint("disabled")
	case !r.Applies:
		return "-"
	}
	return s.warn("waiting")
}

// since is the age of what was settled, or began to wait, last.
func (s *screen) since(c *ClusterLine) string {
	last := c.Roles[0].Since
	for _, role := range c.Roles {
		if role.Since != nil && (last == nil || last.Before(role.Since)) {
			last = role.Since
		}
	}
	if last == nil {
		return s.age(c.Created)
	}
	return s.age(*last)
}

func (s *screen) waitsFor(c *ClusterLine) string {
	if c.Skipped != "" {
		return s.faint("not served: it " + c.Skipped)
	}
	var words []string
	for i := range c.Roles {
		if r := &c.Roles[i]; r.Applies && !r.Ready {
			words = append(words, s.warn(r.Role+" "+r.Reason)+": "+r.Message)
		}
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, "; ")
}
