package rancher

import (
	"strings"

	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

// reported is how many blocks are told of at once.
const reported = 3

// report tells of what has been blocked for a while, once.
func (p *propagator) report(cluster *clusterv1.Cluster, key types.NamespacedName, blocks []string) {
	lasting, again := p.memory.lasting(key, blocks)
	p.wakeIn(key, again)
	if cluster == nil || len(lasting) == 0 {
		return
	}
	if len(lasting) > reported {
		lasting = append(lasting[:reported:reported], "and more")
	}
	text := vip.Short(strings.Join(lasting, "; "))
	if !p.memory.news(key, text) {
		return
	}
	p.Recorder.Event(cluster, corev1.EventTypeWarning, string(vip.PropagationBlocked), text)
	logrus.WithFields(logrus.Fields{"cluster": key.String(), "reason": string(vip.PropagationBlocked)}).Warn(text)
}
