package sandbox

import (
	"crypto/sha256"
	"encoding/json"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/gorizond/capi-vip-allocator/pkg/gate"
	"github.com/gorizond/capi-vip-allocator/pkg/kube"
	"github.com/gorizond/capi-vip-allocator/pkg/vip"
)

const (
	// remembered is the number of answers that are kept, and rememberedFor how long. An
	// answer is small; the question that it belongs to is kept as a hash.
	remembered    = 10_000
	rememberedFor = 24 * time.Hour
	// failedFor is how long it counts that there was no answer, for a reason that is not
	// the question's.
	failedFor = 10 * time.Second
	// idle is how long the child lives on without a question. It holds some 30 MiB.
	idle = 10 * time.Second
	// restAfterOverrun is how long a namespace has no turn after a question that took too
	// much: whoever asks such questions again and again gets a quarter of one CPU.
	restAfterOverrun = 3 * MaxTime
	// queued is how many questions of one namespace wait at most if nobody is to be woken
	// by their answers.
	queued = 100
	// maxOverruns is how many questions that take too much one user waits for as long, which
	// is a few seconds. Later ones are given a tenth of the time.
	maxOverruns = 10
)

// Evaluator answers questions about the patches of ClusterClasses. It is safe for
// concurrent use.
type Evaluator struct {
	// patient says that questions are waited for; overruns counts those that took too much.
	patient  bool
	overruns int
	answers  *cache.LRUExpireCache

	// added tells the worker of another question.
	added chan struct{}

	mu      sync.Mutex
	queue   *queue
	running bool
	child   *process
	idle    *time.Timer
}

// New returns an Evaluator that serves many who do not trust each other. Its child
// process is started when it is needed, and ends when it is not.
func New() *Evaluator {
	e := &Evaluator{answers: cache.NewLRUExpireCache(remembered), queue: newQueue(), added: make(chan struct{}, 1)}
	e.idle = time.AfterFunc(idle, e.Close)
	return e
}

// NewForOne returns an Evaluator for one user, who waits for each answer, so that known is
// always true; but not for ever: after maxOverruns questions that took too much the others
// are given less time.
func NewForOne() *Evaluator {
	e := New()
	e.patient = true
	return e
}

// Close ends the child process. It is started again if there is another question.
func (e *Evaluator) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.running && e.child != nil {
		e.child.end()
		e.child = nil
	}
}

// Inspect finds out, for each role, what Cluster API does for a new Cluster of the class
// whose VIP is not known yet. known is false while that is being found out, for which it
// does not wait; then, unless it is nil, is called once more of it is known.
func (e *Evaluator) Inspect(class *clusterv1.ClusterClass, then func()) (findings map[vip.Role]gate.Finding, known bool) {
	// Only what says something about templates: a status that is written again and again
	// asks nothing new.
	asked := &clusterv1.ClusterClass{
		ObjectMeta: metav1.ObjectMeta{Namespace: class.Namespace, Name: class.Name, Annotations: map[string]string{}}, Spec: class.Spec,
		Status: clusterv1.ClusterClassStatus{Variables: class.Status.Variables},
	}
	for _, role := range vip.Roles() {
		if name, set := class.Annotations[role.VariableAnnotation()]; set {
			asked.Annotations[role.VariableAnnotation()] = name
		}
	}
	view := kube.Class(class)
	findings, known = map[vip.Role]gate.Finding{}, true
	for _, role := range vip.Roles() {
		answer, answered := e.ask(class.Namespace, &request{Ask: askInspect, Role: role, Class: asked}, then)
		if findings[role] = answer.Finding; answer.Unclear != "" {
			findings[role] = gate.NotEvaluated(class, &view, role, answer.Patch, answer.Unclear)
		}
		known = known && answered
	}
	return findings, known
}

// Consumes tells whether a patch of the class, enabled once the VIP stands at the path,
// works with the variable there. If that cannot be found out the answer is yes. known and
// then are those of Inspect.
func (e *Evaluator) Consumes(patches []clusterv1.ClusterClassPatch, cluster *vip.Cluster, path string, then func()) (consumes, known bool) {
	if consumes, sure := gate.ConsumesByText(patches, path); sure {
		return consumes, true
	}
	answer, known := e.ask(cluster.Namespace, &request{Ask: askConsumes, Question: gate.NewQuestion(patches, cluster, path)}, then)
	return answer.Consumed || answer.Unclear != "", known
}

// NeededBy names the first patch that would fail, or render nonsense, without the value
// at the path; it is empty if none would. If it cannot be found out, unclear says why,
// and patch, if it is known, of which patch. known and then are those of Inspect.
func (e *Evaluator) NeededBy(patches []clusterv1.ClusterClassPatch, cluster *vip.Cluster, path string, then func()) (patch, unclear string, known bool) {
	if patch, sure := gate.NeededByText(patches, path); sure {
		return patch, "", true
	}
	answer, known := e.ask(cluster.Namespace, &request{Ask: askNeededBy, Question: gate.NewQuestion(patches, cluster, path)}, then)
	if answer.Unclear != "" {
		return answer.Patch, answer.Unclear, known
	}
	return answer.NeededBy, "", known
}

// ask returns the answer if it is known. A patient Evaluator always waits for it.
func (e *Evaluator) ask(namespace string, r *request, then func()) (answer Answer, known bool) {
	if e.patient {
		came := make(chan Answer, 1)
		if answer, known := e.submit(namespace, r, func(a Answer, _ error) { came <- a }); known {
			return answer, true
		}
		return <-came, true
	}
	var done func(Answer, error)
	if then != nil {
		done = func(_ Answer, err error) {
			then()
			if err != nil {
				time.AfterFunc(failedFor, then)
			}
		}
	}
	return e.submit(namespace, r, done)
}

// submit returns the answer if it is known, and otherwise has the question answered.
func (e *Evaluator) submit(namespace string, r *request, done func(Answer, error)) (answer Answer, known bool) {
	text, err := json.Marshal(r)
	if err != nil {
		return Answer{Unclear: err.Error()}, true
	}
	hash := sha256.Sum256(text)
	key := string(hash[:])
	if known, ok := e.answers.Get(key); ok {
		return known.(Answer), true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.queue.jobs[key]
	if j == nil {
		if done == nil && len(e.queue.waiting[namespace]) >= queued {
			return Answer{}, false
		}
		j = &job{key: key, namespace: namespace, request: r}
		e.queue.add(j)
		select {
		case e.added <- struct{}{}:
		default:
		}
	}
	if done != nil {
		j.done = append(j.done, done)
	}
	if !e.running {
		e.running = true
		e.idle.Stop()
		go e.work()
	}
	return Answer{}, false
}

// work answers questions until there are none.
func (e *Evaluator) work() {
	for {
		e.mu.Lock()
		j, wait := e.queue.next(time.Now())
		if j == nil && wait == 0 {
			e.running = false
			e.idle.Reset(idle)
			e.mu.Unlock()
			return
		}
		e.mu.Unlock()
		if j == nil {
			select {
			case <-time.After(wait):
			case <-e.added: // by another namespace, maybe
			}
			continue
		}
		e.finish(j)
	}
}

// finish answers the question and says so to all who asked it.
func (e *Evaluator) finish(j *job) {
	j.request.Limit = MaxTime
	if e.patient && e.overruns >= maxOverruns {
		j.request.Limit = MaxTime / 10
	}
	answer, err := e.evaluate(j.request)
	lasts, overrun := rememberedFor, answer.Unclear != ""
	if err != nil {
		logrus.WithError(err).WithField("namespace", j.namespace).Warn("Cannot evaluate the templates of a ClusterClass; trying again")
		lasts, answer = failedFor, Answer{Unclear: err.Error()}
	}
	if overrun {
		e.overruns++
	}
	e.answers.Add(j.key, answer, lasts)
	e.mu.Lock()
	delete(e.queue.jobs, j.key)
	if overrun && !e.patient {
		e.queue.rest(j.namespace, time.Now(), restAfterOverrun)
	}
	done := j.done
	e.mu.Unlock()
	for _, tell := range done {
		tell(answer, err)
	}
}

// evaluate is called by work alone.
func (e *Evaluator) evaluate(r *request) (Answer, error) {
	if e.child == nil {
		child, err := startProcess()
		if err != nil {
			return Answer{}, err
		}
		e.child = child
	}
	answer, alive, err := e.child.ask(r)
	if !alive {
		e.child.end()
		e.child = nil
	}
	return answer, err
}
