package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	hooksv1 "sigs.k8s.io/cluster-api/api/runtime/hooks/v1alpha1"

	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const (
	// soonest is when Cluster API asks again, in seconds. Its newer releases remember the
	// answer until then, whatever happens to the Cluster, so this is also how late they
	// learn of a VIP.
	soonest = 1
	// latest is when it asks again while many Clusters wait, in seconds: each question
	// is a pass over the Cluster, and hundreds of them a second starve the IPAM provider
	// and with it all who wait.
	latest = 4
	// perSecond is how often Cluster API is to ask before answers come later than soonest.
	perSecond = 50
	// callTimeout is how long Cluster API waits for an answer, in seconds. It asks one
	// extension after the other, so a long one would delay all Clusters.
	callTimeout = 5
)

// discover answers what we serve. It needs nothing but the process.
func (s *Server) discover([]byte) hooksv1.ResponseObject {
	policy, timeout := hooksv1.FailurePolicyFail, int32(callTimeout)
	return &hooksv1.DiscoveryResponse{
		TypeMeta:       typeMeta("DiscoveryResponse"),
		CommonResponse: hooksv1.CommonResponse{Status: hooksv1.ResponseStatusSuccess},
		Handlers: []hooksv1.ExtensionHandler{{
			Name:           s.options.Name,
			RequestHook:    hooksv1.GroupVersionHook{APIVersion: s.beforeCreate.GroupVersion().String(), Hook: s.beforeCreate.Hook},
			TimeoutSeconds: &timeout, FailurePolicy: &policy,
		}},
	}
}

// beforeClusterCreate answers whether the Cluster in the request may be built.
func (s *Server) beforeClusterCreate(body []byte) hooksv1.ResponseObject {
	// The payload is v1beta1 or v1beta2, as Cluster API's own version has it.
	var request struct {
		metav1.TypeMeta `json:",inline"`
		Cluster         json.RawMessage `json:"cluster"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return failure(fmt.Errorf("read request: %w", err))
	}
	if len(request.Cluster) == 0 {
		return failure(errors.New("read request: field cluster is missing"))
	}
	cluster, err := kube.DecodeCluster(request.Cluster)
	if err != nil {
		return failure(fmt.Errorf("read request: field cluster: %w", err))
	}
	if cluster.Namespace == "" || cluster.Name == "" {
		return failure(errors.New("read request: field cluster has no namespace or no name"))
	}
	key := cluster.Namespace + "/" + cluster.Name
	if stranger(cluster, s.options.Settings) {
		return s.answer(key, "")
	}
	observer := s.observer.Load()
	if observer == nil {
		return s.answer(key, waitSync)
	}
	snapshot, err := (*observer).Observe(cluster)
	if err != nil {
		logrus.WithError(err).WithField("cluster", key).Debug("The hook cannot observe a Cluster")
		return s.answer(key, waitBehind)
	}
	return s.answer(key, verdict(snapshot))
}

func (s *Server) answer(cluster, message string) *hooksv1.BeforeClusterCreateResponse {
	response := &hooksv1.BeforeClusterCreateResponse{TypeMeta: typeMeta("BeforeClusterCreateResponse")}
	response.Status = hooksv1.ResponseStatusSuccess
	if message != "" {
		response.RetryAfterSeconds, response.Message = s.retryAfter(time.Now()), message
	}
	logrus.WithField("cluster", cluster).WithField("waits", message).Trace("Answered BeforeClusterCreate")
	return response
}

// retryAfter is when Cluster API is to ask about a Cluster again, in seconds from now.
// Each that waits takes a turn, of which there are perSecond.
func (s *Server) retryAfter(now time.Time) int32 {
	turn := s.turns.ReserveN(now, 1)
	wait := int32(turn.DelayFrom(now) / time.Second)
	if wait > latest-soonest {
		// It is asked about before its turn, so that the queue must not grow with it.
		turn.CancelAt(now)
	}
	return min(soonest+wait, latest)
}

// failure is a refusal that no failure policy turns into a yes, unlike an error of HTTP.
func failure(err error) *hooksv1.BeforeClusterCreateResponse {
	logrus.WithError(err).Debug("The hook was asked something that it does not understand")
	response := &hooksv1.BeforeClusterCreateResponse{TypeMeta: typeMeta("BeforeClusterCreateResponse")}
	response.Status, response.Message = hooksv1.ResponseStatusFailure, vip.Short(err.Error())
	return response
}

// result says for the Meter how a call was answered; nil is a call that its caller
// gave up.
func result(answer hooksv1.ResponseObject) string {
	if answer == nil || answer.GetStatus() != hooksv1.ResponseStatusSuccess {
		return "error"
	}
	if retry, ok := answer.(hooksv1.RetryResponseObject); ok && retry.GetRetryAfterSeconds() > 0 {
		return "wait"
	}
	return "proceed"
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: hooksv1.GroupVersion.String(), Kind: kind}
}
