package management

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// componentsDir finds the folder with the component modules: relative to this
// source file, or, if the paths in the binary are trimmed, by asking the go
// command where this module is.
func componentsDir(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if dir := filepath.Join(filepath.Dir(file), "..", "components"); exists(dir) {
			return dir, nil
		}
	}
	out, err := goCommand(ctx, ".", "list", "-m", "-f", "{{.Dir}}", "github.com/gorizond/capi-vip-allocator/test")
	if err != nil {
		return "", fmt.Errorf("find the component modules: %w", err)
	}
	return filepath.Join(strings.TrimSpace(out), "components"), nil
}

// key identifies the result of a build: the component's sources and module
// versions, how it is compiled, and the Go version and platform.
func (p program) key(ctx context.Context, source string) (string, error) {
	toolchain, err := goCommand(ctx, source, "env", "GOVERSION", "GOOS", "GOARCH")
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%s%+v%s", toolchain, p, p.ldflags("v1.2.3"))
	files, err := filepath.Glob(filepath.Join(source, "*"))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	for _, file := range files {
		if name := filepath.Base(file); name != "go.mod" && name != "go.sum" && filepath.Ext(name) != ".go" {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n%s", filepath.Base(file), len(content), content)
	}
	return fmt.Sprintf("%x", hash.Sum(nil)[:8]), nil
}

// lock takes an exclusive lock on a file between processes, calling waiting
// once if another one has it. The system drops the lock of a process that dies.
func lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			file.Close()
			return nil, context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
