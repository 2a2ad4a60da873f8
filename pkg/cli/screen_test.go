package cli

import (
	"strings"
	"testing"
)

func TestTheScreenPrintsWhatIsPlain(t *testing.T) {
	for text, want := range map[string]string{
		"two\nlines, Zürich ██░":           "two\nlines, Zürich ██░",
		"\x1b[32mgreen\x1b[0m":             "\x1b[32mgreen\x1b[0m",
		"\x1b[2J\x1b[8mhidden":             "?[2J?[8mhidden",
		"\x1b]0;title\x07\r\t\u009b31m":    "?]0;title????31m",
		"a\u202eb\x00\x7f":                 "a?b??",
		"\x1b\x1b[0m[31":                   "?\x1b[0m[31",
		strings.Repeat("\x1b[31", 3) + "m": "?[31?[31\x1b[31m",
	} {
		var out strings.Builder
		(&screen{out: plain{&out, true}}).print("%s", text)
		if out.String() != want {
			t.Errorf("%q is printed as %q, want %q", text, out.String(), want)
		}
	}
}

// Every colour of the screen reaches it.
func TestTheScreenKnowsItsColours(t *testing.T) {
	var out strings.Builder
	s := &screen{out: plain{&out, true}, colour: true}
	words := s.good("a") + s.bad("b") + s.warn("c") + s.faint("d") + s.bold("e") + s.bold(s.warn("f"))
	s.print("%s", words)
	if out.String() != words {
		t.Errorf("%q is printed as %q", words, out.String())
	}
	out.Reset()
	newScreen(&out).print("%s", "\x1b[31mred")
	if out.String() != "?[31mred" {
		t.Errorf("without colours %q is printed", out.String())
	}
}
