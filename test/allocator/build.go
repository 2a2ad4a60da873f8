// Package allocator builds the allocator from this checkout and runs it as a
// process of its own, as its users do.
package allocator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// BinaryVariable is the environment variable that names a binary to run instead
// of building one, to try or measure another version.
const BinaryVariable = "ALLOCATOR_BINARY"

const (
	rootModule = "github.com/gorizond/capi-vip-allocator"
	binaryName = "capi-vip-allocator"
)

var built struct {
	sync.Mutex
	path string
}

// Build compiles the allocator and returns the path of the binary. It does so
// once per process; a failure is not remembered. The Go build cache makes it
// cheap when nothing changed.
func Build(ctx context.Context) (string, error) {
	built.Lock()
	defer built.Unlock()
	if built.path != "" {
		return built.path, nil
	}
	if path := os.Getenv(BinaryVariable); path != "" {
		return path, nil
	}
	root, err := rootDir(ctx)
	if err != nil {
		return "", err
	}
	path, err := compile(ctx, root)
	if err != nil {
		return "", fmt.Errorf("build the allocator: %w", err)
	}
	built.path = path
	return path, nil
}

// compile builds into the user's cache folder, one entry per checkout. Several
// test processes do so at once and run the result meanwhile, so each writes a
// file of its own and renames it.
func compile(ctx context.Context, root string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	sum := sha256.Sum256([]byte(root))
	dir := filepath.Join(cache, binaryName, fmt.Sprintf("allocator-%x", sum[:8]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	temporary, err := os.MkdirTemp(dir, "building-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temporary)
	fresh := filepath.Join(temporary, binaryName)
	if _, err := goCommand(ctx, root, "build", "-o", fresh, "."); err != nil {
		return "", err
	}
	path := filepath.Join(dir, binaryName)
	return path, os.Rename(fresh, path)
}

// rootDir finds the root module: relative to this source file, or, if the paths
// in the binary are trimmed, by asking the go command where the test module is.
func rootDir(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		root := filepath.Join(filepath.Dir(file), "..", "..")
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return root, nil
		}
	}
	out, err := goCommand(ctx, ".", "list", "-m", "-f", "{{.Dir}}", rootModule+"/test")
	if err != nil {
		return "", fmt.Errorf("find the sources of the allocator: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(out)), nil
}

// Examples is the folder with the example manifests.
func Examples(ctx context.Context) (string, error) {
	root, err := rootDir(ctx)
	return filepath.Join(root, "examples"), err
}

// goCommand runs the go command in a folder and returns what it prints. A
// workspace is ignored: the modules stand alone.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), dir, err, stderr.String())
	}
	return stdout.String(), nil
}
