package main

import "fmt"

// invitation is what a newcomer may try next. Every line works as it stands: the
// long name is needed because Kubernetes has IPAddresses of its own.
const invitation = `
The cluster keeps running. Its pools, Clusters and classes, in a browser on this machine:

  %[2]s

In another terminal:

  export KUBECONFIG=%[1]s
  kubectl get clusters -L vip.capi.gorizond.io/control-plane-vip,vip.capi.gorizond.io/ingress-vip
  kubectl describe cluster plain
  kubectl get globalinclusterippools,ipaddressclaims,ipaddresses.ipam.cluster.x-k8s.io

Press Ctrl-C to stop.
`

// invite prints what to try next, below the table.
func (s *screen) invite(kubeconfig, page string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.footer = fmt.Sprintf(invitation, kubeconfig, page)
	fmt.Fprint(s.out, s.footer)
	// The table above is drawn anew together with these lines.
	for _, c := range s.footer {
		if c == '\n' {
			s.drawn++
		}
	}
}
