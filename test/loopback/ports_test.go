package loopback

import (
	"net"
	"testing"
)

func TestFreePortsAreDistinct(t *testing.T) {
	ports, err := FreePorts(50)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Release(ports...) })
	seen := map[int]bool{}
	for _, port := range ports {
		if seen[port] {
			t.Errorf("port %d twice", port)
		}
		seen[port] = true
	}
}

// As another process would see it: what is kept belongs to nobody's map there.
func TestPortsAreKeptUntilReleased(t *testing.T) {
	ports, err := FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Release(ports...) })
	if keep(ports[0]) {
		t.Error("somebody else got the port")
	}
	listener, err := net.Listen("tcp", Address(ports[0]))
	if err != nil {
		t.Fatalf("its owner cannot use it: %v", err)
	}
	listener.Close()
	Release(ports...)
	if !keep(ports[0]) {
		t.Error("nobody gets the port that was released")
	}
}
