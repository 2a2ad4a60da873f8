package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// screen is where the demo tells what happens: on a terminal a table that is
// drawn anew in place, elsewhere one line per news and the table at the end.
type screen struct {
	out  *os.File
	live bool

	mutex  sync.Mutex
	drawn  int             // lines of the table on the terminal, to draw over
	footer string          // below the live table
	told   map[string]bool // lines printed already
	begin  time.Time       // of the first of them
}

func newScreen(out *os.File) *screen {
	live := term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb"
	if !live || os.Getenv("NO_COLOR") != "" {
		text.DisableColors()
	}
	return &screen{out: out, live: live, told: map[string]bool{}}
}

// Write takes the progress of building and booting.
func (s *screen) Write(p []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.out.Write(p)
}

// say prints a line below everything else.
func (s *screen) say(format string, values ...any) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.drawn = 0
	fmt.Fprintf(s.out, format+"\n", values...)
}

// show brings the screen up to date.
func (s *screen) show(rows []row) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.live {
		s.draw(rows)
		return
	}
	for _, r := range rows {
		for _, line := range r.news() {
			if !s.told[line] {
				s.told[line] = true
				s.news(line)
			}
		}
	}
}

// news prints a line with the seconds since the first one.
func (s *screen) news(line string) {
	if s.begin.IsZero() {
		s.begin = time.Now()
	}
	fmt.Fprintf(s.out, "%7.2fs  %s\n", time.Since(s.begin).Seconds(), line)
}

// finish leaves the table on the screen for good.
func (s *screen) finish(rows []row) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.live {
		fmt.Fprintln(s.out)
	}
	s.draw(rows)
}

// draw replaces the table drawn last. The caller holds the mutex.
func (s *screen) draw(rows []row) {
	width := 0
	if s.live {
		width, _, _ = term.GetSize(int(s.out.Fd())) // 0, no limit, if the terminal does not say
	}
	picture := "\n" + render(rows, width) + "\n" + s.footer
	if s.drawn > 0 {
		fmt.Fprint(s.out, text.CursorUp.Sprintn(s.drawn), "\r\x1b[J") // J: clear what is below
	}
	_, _ = s.out.WriteString(picture) // a screen that is gone is no reason to stop
	s.drawn = strings.Count(picture, "\n")
}
