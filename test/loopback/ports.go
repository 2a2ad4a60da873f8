// Package loopback finds ports for the programs that tests start.
package loopback

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The ports lie below the range from which the usual systems take the source
// ports of outgoing connections (32768 and up) and below node ports: a program
// that is stopped and started again finds its port free.
const (
	firstPort = 20000
	lastPort  = 29999
)

// A port that was given out is kept by a UDP listener of the same number, which no
// program here has another use for: tests run side by side in many processes, and what
// restarts needs its old port. The listener ends with this process, however that ends.
var (
	mutex sync.Mutex
	kept  = map[int]io.Closer{}
)

// FreePorts returns n ports that nothing listens on, and that no other caller gets, in
// whatever process, before Release or the end of this process. A stranger may take one
// before it is used.
func FreePorts(n int) ([]int, error) {
	const attempts = 1000
	var ports []int
	for range attempts {
		if len(ports) == n {
			return ports, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if keep(port) {
			ports = append(ports, port)
		}
	}
	Release(ports...)
	return nil, fmt.Errorf("no %d free ports between %d and %d", n, firstPort, lastPort)
}

func keep(port int) bool {
	keeper, err := net.ListenPacket("udp", Address(port))
	if err != nil {
		return false
	}
	// All addresses, not just loopback: some programs have no flag for the address.
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		keeper.Close()
		return false
	}
	listener.Close()
	mutex.Lock()
	defer mutex.Unlock()
	kept[port] = keeper
	return true
}

// Release lets others have ports of FreePorts.
func Release(ports ...int) {
	mutex.Lock()
	defer mutex.Unlock()
	for _, port := range ports {
		if keeper, ok := kept[port]; ok {
			keeper.Close()
			delete(kept, port)
		}
	}
}

// Address is the loopback address of a port, as host:port.
func Address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
