package vip

import (
	"strings"
	"unicode"
)

// messageLimit bounds every message, in bytes; the API server's own limit for a
// condition is 32 KiB.
const messageLimit = 1024

// Short keeps texts of others from flooding conditions, events and logs, and from
// bringing control characters into them. Lines are joined by "; ".
func Short(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	if len(text) > messageLimit {
		text = strings.ToValidUTF8(text[:messageLimit], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		// Neither what steers a terminal nor what turns the direction of writing.
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
