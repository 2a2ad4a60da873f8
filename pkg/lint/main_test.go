package lint_test

import (
	"os"
	"testing"

	"github.com/gorizond/capi-vip-allocator/pkg/sandbox"
)

// The templates of classes run in a child process of the test.
func TestMain(m *testing.M) { os.Exit(sandbox.Main(os.Args, m.Run)) }
