package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pitwall/probes/gpu"
)

// controlRoutes are the simulation's own, which no engine has. They are not counted as the engine's requests.
//
//	GET  /pitwall/truth     the truth so far, as lines of JSON
//	GET  /pitwall/trace     the scheduler's latest happenings, as lines of JSON; ?since=N gives those after the N-th
//	GET  /pitwall/gpu/metrics  the simulated GPUs, under dcgm-exporter's names: what pitwall's own probe reads of them
//	POST /pitwall/faults    a schedule as in a file; "at" counts from now, and may be left out
func (s *Server) controlRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /pitwall/truth", func(w http.ResponseWriter, _ *http.Request) {
		lines, err := s.Truth()
		if err != nil {
			http.Error(w, "writing the truth: "+err.Error(), http.StatusInternalServerError)
			return
		}
		writeLines(w, lines)
	})
	mux.HandleFunc("GET /pitwall/trace", func(w http.ResponseWriter, r *http.Request) {
		since := uint64(0)
		if text := r.URL.Query().Get("since"); text != "" {
			var err error
			if since, err = strconv.ParseUint(text, 10, 64); err != nil {
				http.Error(w, fmt.Sprintf("since: %q is not a number", text), http.StatusBadRequest)
				return
			}
		}
		writeLines(w, s.Trace(since))
	})
	mux.HandleFunc("GET /pitwall/gpu/metrics", func(w http.ResponseWriter, r *http.Request) { s.gpuPage().ServeHTTP(w, r) })
	mux.HandleFunc("POST /pitwall/faults", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		var faults []Fault
		if err == nil {
			faults, err = ParseFaults(body)
		}
		if err == nil {
			err = s.Inject(faults...)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// exporter is the page of the GPUs, made when it is first asked for.
type exporter struct {
	once sync.Once
	http.Handler
}

func (s *Server) gpuPage() http.Handler {
	s.exporter.once.Do(func() {
		c := gpu.New(s.GPU(), gpu.Options{Hostname: "simulated", Process: s.Process})
		go func() {
			<-s.stopped
			_ = c.Close() // only a driver that hangs fails here
		}()
		reg := prometheus.NewRegistry()
		reg.MustRegister(c) // the only one: nothing can collide
		s.exporter.Handler = promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	})
	return s.exporter.Handler
}

// Inject makes faults happen; their At counts from now.
func (s *Server) Inject(faults ...Fault) error {
	for _, f := range faults {
		if f.Engine != 0 && f.Engine != s.options.Engine {
			return fmt.Errorf("simulated engine: the fault %s names engine %d, this is engine %d: leave \"engine\" out here", f.Kind, f.Engine, s.options.Engine)
		}
		if _, ok := entryOf(f.Kind); !ok {
			return fmt.Errorf("simulated engine: %q is no fault", f.Kind)
		}
		if f.GPU < 0 || f.GPU >= s.options.GPUs || f.At < 0 || f.For < 0 {
			return fmt.Errorf("simulated engine: the fault %s at %v for %v on GPU %d cannot be: there are %d GPUs", f.Kind, f.At, f.For, f.GPU, s.options.GPUs)
		}
	}
	s.driver.inject(faults...)
	return nil
}

// Trace gives the served engine's happenings after the n-th, as far as they are remembered.
func (s *Server) Trace(n uint64) []Happening {
	d := s.driver
	d.mu.Lock()
	defer d.mu.Unlock()
	d.catchUp()
	return d.engines[0].trace.since(n)
}

func writeLines[T any](w http.ResponseWriter, lines []T) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, l := range lines {
		if err := enc.Encode(l); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "application/jsonl; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // who has gone does not read an error either
}
