package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// news are the lines that a row is worth when there is no live table, oldest first.
func (r row) news() []string {
	prefix := fmt.Sprintf("%-16s ", r.name)
	lines := []string{prefix + "created"}
	if r.controlPlaneVIP != "" {
		lines = append(lines, prefix+"control-plane VIP "+r.controlPlaneVIP)
	}
	if r.ingressVIP != "" {
		lines = append(lines, prefix+"ingress VIP "+r.ingressVIP)
	}
	if r.infrastructure != nil {
		lines = append(lines, prefix+"infrastructure "+r.infrastructure.name+" born with "+r.bornWith())
	}
	if r.waiting != "" {
		lines = append(lines, prefix+r.waiting)
	}
	return lines
}

// render draws the table, no wider than width columns unless that is 0.
func render(rows []row, width int) string {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Size.WidthMax = width
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(table.Row{
		"Cluster", "Control-plane VIP", "Ingress VIP", "VIPs after", "Infrastructure", "Born with host",
	})
	for _, r := range rows {
		t.AppendRow(table.Row{
			r.name, r.controlPlaneCell(), r.ingressCell(), r.timeCell(), r.infrastructureCell(), r.bornCell(),
		})
	}
	return t.Render() + "\n"
}

func (r row) controlPlaneCell() string {
	switch {
	case r.controlPlaneVIP == "":
		return pending(r.waiting)
	case r.manual:
		return r.controlPlaneVIP + " (manual)"
	default:
		return r.controlPlaneVIP
	}
}

func (r row) ingressCell() string {
	switch {
	case r.ingressVIP != "":
		return r.ingressVIP
	case !r.wantsIngress:
		return "disabled"
	default:
		return pending("")
	}
}

func (r row) timeCell() string {
	if r.served.IsZero() {
		return pending("")
	}
	return r.served.Sub(r.created).Round(time.Millisecond).String()
}

func (r row) infrastructureCell() string {
	if r.infrastructure == nil {
		return pending("not yet")
	}
	return r.infrastructure.name
}

func (r row) bornCell() string {
	switch {
	case r.infrastructure == nil:
		return ""
	case r.fault() != "":
		return text.FgRed.Sprint(r.bornWith())
	default:
		return text.FgGreen.Sprint(r.bornWith())
	}
}

// bornWith is what the infrastructure had in its very first version.
func (r row) bornWith() string {
	if fault := r.fault(); fault != "" {
		return strings.ToUpper(fault)
	}
	return r.infrastructure.host
}

// pending stands for something that is to come.
func pending(reason string) string {
	if reason == "" {
		reason = "…"
	}
	return text.Faint.Sprint(reason)
}
