package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
)

var errNotUsable = errors.New("not a usable unicast address")

// ParseAddress reads one IP address that can serve as a virtual IP. It refuses
// zones, CIDR notation, leading zeros, and unspecified, loopback, link-local,
// multicast and broadcast addresses; the error quotes the text.
func ParseAddress(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%.80q is not one IP address: %w", text, errNotUsable)
	}
	if addr.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%.80q has a zone: %w", text, errNotUsable)
	}
	plain := addr.Unmap()
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	thisNetwork := plain.Is4() && plain.As4()[0] == 0 // what a pool of 0.0.0.0/0 begins with
	if thisNetwork || plain.IsUnspecified() || plain.IsLoopback() || plain.IsMulticast() || plain.IsLinkLocalUnicast() || plain == broadcast {
		return netip.Addr{}, fmt.Errorf("%.80q: %w", text, errNotUsable)
	}
	return addr, nil
}

// Key makes addresses comparable: its 16-byte form, in which 10.0.0.1 and
// ::ffff:10.0.0.1 are the same. ok is false if the text is no IP address
// (a host name, say), which is never compared.
func Key(text string) (key netip.Addr, ok bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16(addr.As16()), true
}

// sameHost tells whether two endpoint hosts mean the same place: equal
// addresses, or equal text where one of them is a host name.
func sameHost(a, b string) bool {
	keyA, okA := Key(a)
	keyB, okB := Key(b)
	if okA && okB {
		return keyA == keyB
	}
	return a == b
}

// hostName is a DNS name that cannot be mistaken for an address: its last label
// does not begin with a digit.
var hostName = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_]{0,61}[A-Za-z0-9])?\.)*[A-Za-z]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?\.?$`)

// PlausibleHost tells whether the text can be an endpoint's host at all.
func PlausibleHost(text string) bool {
	_, isAddress := Key(text)
	return isAddress || (len(text) <= 253 && hostName.MatchString(text))
}

var labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)

// LegalLabelValue tells whether Kubernetes takes the text as a label value. An
// IPv6 address is none, because of its colons.
func LegalLabelValue(text string) bool { return labelValue.MatchString(text) }
