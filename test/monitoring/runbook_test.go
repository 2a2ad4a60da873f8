package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// placeholders are the words in capitals that a reader replaces; the heads of columns
// have a colon.
var placeholders = regexp.MustCompile(`\b(CLUSTER|CLASS|NAMESPACE|POOL)\b([^:]|$)`)

var replacements = map[string]string{"CLUSTER": "forlorn", "CLASS": "poolless", "NAMESPACE": "default", "POOL": "spare"}

// runbook runs every command of docs/alerts.md as it stands there.
func (s *scene) runbook(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	kubectl, err := s.management.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlock.FindAllSubmatch(content, -1)
	if len(blocks) == 0 {
		t.Fatal("it has no commands")
	}
	for _, block := range blocks {
		commands := placeholders.ReplaceAllStringFunc(string(block[1]), func(match string) string {
			word := placeholders.FindStringSubmatch(match)
			return replacements[word[1]] + word[2]
		})
		command := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail", "-c", commands)
		command.Env = append(os.Environ(), "KUBECONFIG="+s.management.Kubeconfig(), "PATH="+kubectl+":"+os.Getenv("PATH"))
		output, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("%s\n%v\n%s", commands, err, output)
			continue
		}
		t.Logf("%s\n%s", commands, output)
	}
}
