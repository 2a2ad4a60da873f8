package cli

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// answers is a transport that answers with these codes, one after the other; 0 is no answer.
type answers struct {
	codes []int
	asked int
}

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	code := a.codes[a.asked]
	a.asked++
	if code == 0 {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader(""))}, nil
}

func TestPulse(t *testing.T) {
	const list, watch = "https://api/apis/x/v1/clusters", "https://api/apis/x/v1/clusters?watch=true"
	for name, test := range map[string]struct {
		ask   []string
		codes []int
		want  string // part of what is told in the end; empty if all is well
		told  int
	}{
		"well":                    {[]string{list, watch}, []int{200, 200}, "", 0},
		"away and back":           {[]string{list}, []int{0, 200}, "", 2},
		"forbidden":               {[]string{list}, []int{403}, "list clusters: Forbidden", 1},
		"allowed again":           {[]string{list, list}, []int{403, 200}, "", 2},
		"watches alone forbidden": {[]string{watch, list}, []int{403, 200}, "watch clusters: Forbidden", 1},
		"a watch tells of a list": {[]string{list, watch}, []int{401, 200}, "", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := 0
			transport := &answers{codes: test.codes}
			p := &pulse{changed: func() { told++ }, refused: map[string]string{}}
			client := p.wrap(transport)
			for _, url := range test.ask {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				response, err := client.RoundTrip(request)
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
			}
			if got := p.trouble(); (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("it tells %q", got)
			}
			if told != test.told || transport.asked != len(test.codes) {
				t.Errorf("it told %d times and asked %d times", told, transport.asked)
			}
		})
	}
}

func TestPulseGivesUpWithItsCaller(t *testing.T) {
	p := &pulse{refused: map[string]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	p.changed = cancel
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := p.wrap(&answers{codes: []int{0}}).RoundTrip(request); err == nil {
		response.Body.Close()
		t.Error("there is an answer")
	}
	if !strings.Contains(p.trouble(), "has not answered since") {
		t.Errorf("it tells %q", p.trouble())
	}
}
