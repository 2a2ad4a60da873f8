package monitoring

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// buildTags leave out the service discoveries: promtool links them all, and nothing
// here discovers anything.
const buildTags = "-tags=remove_all_sd"

// promtool is the program that go.mod pins. Go keeps it in its build cache.
var promtool = sync.OnceValues(func() (string, error) {
	command := exec.Command("go", "tool", "-n", "promtool")
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" "+buildTags))
	command.Stderr = os.Stderr
	path, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("build promtool: %w", err)
	}
	return strings.TrimSpace(string(path)), nil
})

func runPromtool(ctx context.Context, dir string, args ...string) error {
	path, err := promtool()
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, path, args...)
	command.Dir = dir
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("promtool %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return nil
}

// needsPromtool skips what takes minutes to build the first time.
func needsPromtool(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs promtool")
	}
}
