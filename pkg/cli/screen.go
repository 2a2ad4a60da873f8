package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/yaml"
)

// screen is where people read.
type screen struct {
	out    io.Writer
	colour bool
	width  int // in columns; 0 if there is no limit
	now    time.Time
}

// newScreen colours and wraps on a terminal only.
func newScreen(out io.Writer) *screen {
	s := &screen{now: time.Now()}
	if file, isFile := out.(*os.File); isFile && term.IsTerminal(int(file.Fd())) {
		s.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		s.width, _, _ = term.GetSize(int(file.Fd()))
	}
	s.out = plain{out, s.colour}
	return s
}

// plain lets through what prints as it is, lines, and the colours of a screen: what users
// typed on a Cluster must not steer the terminal of who looks at it.
type plain struct {
	out    io.Writer
	colour bool
}

var ownColours = regexp.MustCompile("\x1b\\[(0|1|2|31|32|33)m")

func (p plain) Write(data []byte) (int, error) {
	clean := func(words string) string {
		return strings.Map(func(r rune) rune {
			if r != '\n' && !unicode.IsPrint(r) {
				return '?'
			}
			return r
		}, words)
	}
	words := string(data)
	var out strings.Builder
	last := 0
	for _, at := range ownColours.FindAllStringIndex(words, -1) {
		if !p.colour {
			break
		}
		out.WriteString(clean(words[last:at[0]]))
		out.WriteString(words[at[0]:at[1]])
		last = at[1]
	}
	out.WriteString(clean(words[last:]))
	if _, err := io.WriteString(p.out, out.String()); err != nil {
		return 0, fmt.Errorf("print: %w", err)
	}
	return len(data), nil
}

func (s *screen) print(format string, values ...any) { fmt.Fprintf(s.out, format, values...) }

func (s *screen) paint(words string, colours ...text.Color) string {
	if !s.colour || words == "" {
		return words
	}
	return text.Escape(words, text.Colors(colours).EscapeSeq())
}

func (s *screen) good(words string) string  { return s.paint(words, text.FgGreen) }
func (s *screen) bad(words string) string   { return s.paint(words, text.FgRed) }
func (s *screen) warn(words string) string  { return s.paint(words, text.FgYellow) }
func (s *screen) faint(words string) string { return s.paint(words, text.Faint) }
func (s *screen) bold(words string) string  { return s.paint(words, text.Bold) }

// wrap breaks a sentence that is to stand after so many columns.
func (s *screen) wrap(sentence string, indent int) string {
	const narrowest = 30
	if s.width == 0 {
		return sentence
	}
	return text.WrapSoft(sentence, max(s.width-indent, narrowest))
}

// age is how long ago that was, as kubectl says it.
func (s *screen) age(since metav1.Time) string {
	if since.IsZero() {
		return "?"
	}
	return duration.HumanDuration(s.now.Sub(since.Time))
}

// table aligns columns, and nothing else.
func (s *screen) table(header ...any) table.Writer {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "   "
	style.Format.Header = text.FormatDefault
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	if len(header) > 0 {
		for i := range header {
			header[i] = s.faint(fmt.Sprint(header[i]))
		}
		t.AppendHeader(header)
	}
	return t
}

// show prints the table with every line indented.
func (s *screen) show(t table.Writer, indent string) {
	for line := range strings.Lines(t.Render() + "\n") {
		s.print("%s%s", indent, line)
	}
}

// list prints what was not visible, and what is unknown for want of it.
func (s *screen) list(unseen []Unseen) {
	for _, u := range unseen {
		what := u.Kind
		if u.Scope != "" {
			what += " " + u.Scope
		}
		s.print("%s\n", s.warn(fmt.Sprintf("not visible: %s (%s). Unknown: %s", what, u.Why, u.Unknown)))
	}
}

// Formats of the flag -o.
const (
	asTable = "table"
	asJSON  = "json"
	asYAML  = "yaml"
)

// printAs prints the value as JSON or YAML, or calls the function that prints it for people.
func printAs(out io.Writer, format string, value any, people func(*screen)) error {
	var data []byte
	var err error
	switch format {
	case asTable:
		people(newScreen(out))
		return nil
	case asJSON:
		data, err = json.MarshalIndent(value, "", "  ")
		data = append(data, '\n')
	case asYAML:
		data, err = yaml.Marshal(value)
	}
	if err == nil {
		_, err = out.Write(data)
	}
	if err != nil {
		return fmt.Errorf("print as %s: %w", format, err)
	}
	return nil
}
