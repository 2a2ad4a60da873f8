// Package loopback finds ports for the programs that tests start.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports lie below the range from which the usual systems take the source
// ports of outgoing connections (32768 and up) and below node ports: a program
// that is stopped and started again finds its port free.
const (
	firstPort = 20000
	lastPort  = 29999
)

// FreePorts returns n ports that nothing listens on. Another process may take
// one before it is used.
func FreePorts(n int) ([]int, error) {
	const attempts = 1000
	var listeners []net.Listener
	// All stay open until all are found, or the same port could come twice.
	defer func() {
		for _, listener := range listeners {
			listener.Close()
		}
	}()
	var ports []int
	for range attempts {
		if len(ports) == n {
			return ports, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		// All addresses, not just loopback: some programs have no flag for the address.
		listener, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		listeners = append(listeners, listener)
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("no %d free ports between %d and %d", n, firstPort, lastPort)
}

// Address is the loopback address of a port, as host:port.
func Address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
