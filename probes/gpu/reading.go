package gpu

import (
	"errors"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// reading is what one call gave, once. It is filled by one goroutine and not changed after it was stored.
type reading struct {
	g        *gpu
	base     []*dto.LabelPair
	instance bool

	points []point
	facts  map[string]string
	users  []user
	// missing holds what the call could not give although it went well, by Absent's key without the gpu label.
	missing []miss
	// mask is that of the clock reasons, cut whether MIG is on, instances which ones there are; nil where the call doesn't
	// tell.
	mask      *uint64
	cut       *bool
	instances *[]Instance
	// at is when the call ended, took how long it was.
	at   time.Time
	took time.Duration
	done bool
}

type miss struct {
	name, reason string
	labels       []string
}

// answered says that the driver has answered, when what follows in the read isn't its time any more.
func (r *reading) answered() {
	if !r.done {
		r.took, r.done = time.Since(r.at), true
	}
}

func (r *reading) put(name string, v float64, extra ...string) {
	labels := r.base
	if len(extra) > 0 {
		labels = r.g.extended(r.base, r.instance, extra)
	}
	r.points = append(r.points, point{r.g.c.index[name], labels, v})
}

// maybe puts the value unless there is an error, which it passes on.
func (r *reading) maybe(name string, v float64, err error) error {
	if err == nil {
		r.put(name, v)
	}
	return err
}

// fact is maybe for a value that is a fact too.
func (r *reading) fact(key, name string, v float64, err error) error {
	if err == nil {
		r.put(name, v)
		r.facts[key] = formatFact(v)
	}
	return err
}

func (r *reading) miss(name, reason string, labels ...string) {
	r.missing = append(r.missing, miss{name, reason, labels})
}

// putProcess gives the memory of a process; it has few labels, because the title makes it long and the GPU is known.
func (r *reading) putProcess(u user) {
	labels := []string{"gpu", strconv.Itoa(r.g.index), "pid", strconv.Itoa(u.pid), "role", u.role, "title", u.title,
		"engine", u.engine}
	for _, l := range r.base {
		if strings.HasPrefix(l.GetName(), "GPU_I_") {
			labels = append(labels, l.GetName(), l.GetValue())
		}
	}
	r.points = append(r.points, point{r.g.c.index["pitwall_gpu_process_memory_bytes"], with(nil, labels...),
		float64(u.memory)})
}

// plain gives the reason in an error in the words of Absent: without the call, where the kind alone says it.
func plain(err error) string {
	for _, kind := range []error{ErrNotSupported, ErrNoPermission} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return err.Error()
}
