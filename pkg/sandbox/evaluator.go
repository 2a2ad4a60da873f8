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
	// long is the CPU time of an evaluation after which its namespace has no turn for
	// restFactor times as long: whoever asks such questions again and again gets a quarter of one CPU.
	long       = 50 * time.Millisecond
	restFactor = 3
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
	answers  *cache.LRUExpireCache // of remembrances

	// added tells the worker of another question.
	added chan struct{}

	mu      sync.Mutex
	queue   *queue
	running bool
	child   *process
	idle    *time.Timer
}

// remembrance is an answer that is known. If there was none it is known until it expires.
type remembrance struct {
	answer  result
	failed  bool
	expires time.Time
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
	if name, set := class.Annotations[vip.PortVariableAnnotation]; set {
		asked.Annotations[vip.PortVariableAnnotation] = name
	}
	text, err := json.Marshal(asked)
	if err != nil {
		text = []byte(err.Error())
	}
	hash := sha256.Sum256(text)
	view := kube.Class(class)
	findings, known = map[vip.Role]gate.Finding{}, true
	for _, role := range vip.Roles() {
		answer, answered := e.ask(question{
			subject: "class " + class.Namespace + "/" + class.Name + " " + string(role), namespace: class.Namespace,
			key: string(role) + string(hash[:]), request: &request{Ask: askInspect, Role: role, Class: asked}, then: then,
		})
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
func (e *Evaluator) Consumes(patches *gate.Patches, cluster *vip.Cluster, then func()) (consumes, known bool) {
	if consumes, sure := patches.Consumes(); sure {
		return consumes, true
	}
	answer, known := e.ask(ofCluster(askConsumes, patches.Question(cluster), cluster, then))
	return answer.Consumed || answer.Unclear != "", known
}

// NeededBy names the first patch that would fail, or render nonsense, without the value
// at the path; it is empty if none would. If it cannot be found out, unclear says why,
// and patch, if it is known, of which patch. known and then are those of Inspect.
func (e *Evaluator) NeededBy(patches *gate.Patches, cluster *vip.Cluster, then func()) (patch, unclear string, known bool) {
	if patch, sure := patches.NeededBy(); sure {
		return patch, "", true
	}
	answer, known := e.ask(ofCluster(askNeededBy, patches.Question(cluster), cluster, then))
	if answer.Unclear != "" {
		return answer.Patch, answer.Unclear, known
	}
	return answer.NeededBy, "", known
}

// question is what is asked, by whom, and what is called once it can be answered.
type question struct {
	subject, namespace, key string
	request                 *request
	then                    func()
}

func ofCluster(what ask, q *gate.Question, cluster *vip.Cluster, then func()) question {
	subject := string(what) + " " + cluster.Namespace + "/" + cluster.Name + " " + q.Path
	if then == nil {
		subject += " by who asks again" // and must not take the place of who is to be woken
	}
	return question{
		subject: subject, namespace: cluster.Namespace,
		// Not shared with other namespaces, for whose turns one would have to wait.
		key: string(what) + cluster.Namespace + " " + q.Key(), request: &request{Ask: what, Question: q}, then: then,
	}
}

// ask returns the answer if it is known. A patient Evaluator always waits for it.
func (e *Evaluator) ask(q question) (answer result, known bool) {
	if e.patient {
		came := make(chan struct{})
		q.then = func() { close(came) }
		if answer, known := e.submit(q); known {
			return answer, true
		}
		<-came
		q.then = nil
		return e.submit(q)
	}
	return e.submit(q)
}

// submit returns the answer if it is known, and otherwise has the question answered.
func (e *Evaluator) submit(q question) (answer result, known bool) {
	if found, ok := e.answers.Get(q.key); ok {
		known := found.(remembrance)
		if known.failed && q.then != nil && !e.patient {
			time.AfterFunc(time.Until(known.expires), q.then)
		}
		return known.answer, true
	}
	var done func(failed bool)
	if then := q.then; then != nil {
		done = func(failed bool) {
			then()
			if failed && !e.patient {
				time.AfterFunc(failedFor, then)
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue.ask(q.subject, q.namespace, q.key, q.request, done)
	select {
	case e.added <- struct{}{}:
	default:
	}
	if !e.running {
		e.running = true
		e.idle.Stop()
		go e.work()
	}
	return result{}, false
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
		e.answer(j)
	}
}

// answer answers the question and says so to all who asked it.
func (e *Evaluator) answer(j *job) {
	j.request.Limit = MaxTime
	if e.patient && e.overruns >= maxOverruns {
		j.request.Limit = MaxTime / 10
	}
	answer, used, err := e.evaluate(j.request)
	if answer.Unclear != "" {
		e.overruns++
	}
	known := remembrance{answer: answer, failed: err != nil}
	lasts := rememberedFor
	if err != nil {
		logrus.WithError(err).WithField("namespace", j.namespace).Warn("Cannot evaluate the templates of a ClusterClass; trying again")
		lasts, known.answer = failedFor, result{Unclear: err.Error()}
	}
	known.expires = time.Now().Add(lasts)
	e.answers.Add(j.key, known, lasts)
	e.mu.Lock()
	done := e.queue.finish(j)
	if used > long && !e.patient {
		e.queue.rest(j.namespace, time.Now(), restFactor*used)
	}
	e.mu.Unlock()
	for _, call := range done {
		call(err != nil)
	}
}

// evaluate is called by work alone. A child that has answered before is held to have
// brought something along if it reaches a bound: a fresh one decides.
func (e *Evaluator) evaluate(r *request) (answer result, used time.Duration, err error) {
	fresh := e.child == nil
	answer, used, err = e.evaluateOnce(r)
	if !fresh && (err != nil || answer.Unclear != "") {
		return e.evaluateOnce(r)
	}
	return answer, used, err
}

func (e *Evaluator) evaluateOnce(r *request) (answer result, used time.Duration, err error) {
	if e.child == nil {
		if e.child, err = startProcess(); err != nil {
			return result{}, 0, err
		}
	}
	answer, used, alive, err := e.child.ask(r)
	if !alive {
		e.child.end()
		e.child = nil
	}
	return answer, used, err
}
