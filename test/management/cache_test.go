package management

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

func TestLockExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := lock(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("second lock: %v", err)
	}
	unlock()
	unlock, err = lock(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// A change of a component's files is another cache entry, its place is not.
func TestKey(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	wanted, err := programs("")
	if err != nil {
		t.Fatal(err)
	}
	p := wanted[0]
	key := func(dir, content string) string {
		t.Helper()
		if err := writeFiles(map[string][]byte{filepath.Join(dir, "main.go"): []byte(content)}); err != nil {
			t.Fatal(err)
		}
		key, err := p.key(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	if key(dir, "a") != key(other, "a") {
		t.Error("the key depends on the folder")
	}
	if key(dir, "a") == key(dir, "b") {
		t.Error("the key does not depend on the content")
	}
}
