package sim

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// sleeping is what the routes of sleep mode count. Their families are on the page from the first use on, as in vLLM.
type sleeping struct {
	mu         sync.Mutex // guards all below
	used       bool
	durations  map[string]*histogram // by operation
	inFlight   map[string]int
	operations []string // in the order of their first use
}

func newSleeping() sleeping {
	return sleeping{durations: map[string]*histogram{}, inFlight: map[string]int{}}
}

// record counts an operation while it runs; now is the engine's clock.
func (m *sleeping) record(operation string, now func() time.Duration, do func()) {
	m.mu.Lock()
	m.used = true
	if m.durations[operation] == nil {
		h := newHistogram(sleepEdges)
		m.durations[operation] = &h
		m.operations = append(m.operations, operation)
	}
	m.inFlight[operation]++
	m.mu.Unlock()
	start := now()
	do()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inFlight[operation]--
	m.durations[operation].observe((now() - start).Seconds())
}

func (m *sleeping) write(p *page) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.used {
		return
	}
	var hs []labelled
	var flying []series
	for _, op := range m.operations {
		hs = append(hs, labelled{"", "operation=" + quote(op), m.durations[op]})
		flying = append(flying, series{"operation=" + quote(op), float64(m.inFlight[op])})
	}
	p.histogram("vllm:sleep_mode_operation_duration_seconds", "Duration of one sleep-mode operation.", hs...)
	p.gauge("vllm:sleep_mode_operations_in_flight", "Sleep-mode operations currently awaited.", flying...)
}

// pause waits for simulated time.
func (s *Server) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(time.Duration(float64(d) / s.options.Speed))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-s.stopped:
	}
}

// devRoutes are those of vLLM's development mode as far as they are simulated.
func (s *Server) devRoutes(get, post func(string, http.HandlerFunc)) {
	e := s.driver.engines[0]
	look := func(f func() bool) bool {
		s.driver.mu.Lock()
		defer s.driver.mu.Unlock()
		s.driver.catchUp()
		return f()
	}
	// How requests that run are dealt with: mode "keep" leaves them, "abort" (the default) and "wait" are simulated by ending them.
	mode := func(w http.ResponseWriter, r *http.Request) (keep, ok bool) {
		switch m := r.URL.Query().Get("mode"); m {
		case "", "abort":
			return false, true
		case "keep":
			return true, true
		case "wait":
			refuse(w, notSimulated("mode", "mode wait"))
		default:
			refuse(w, invalid("literal_error", "query.mode", "Input should be 'abort', 'wait' or 'keep'", "'input': '"+m+"'"))
		}
		return false, false
	}
	post("/sleep", func(w http.ResponseWriter, r *http.Request) {
		level := 1
		if text := r.URL.Query().Get("level"); text != "" {
			var err error
			if level, err = strconv.Atoi(text); err != nil || level < 0 || level > 2 {
				refuse(w, invalid("less_than_equal", "query.level", "Input should be from 0 to 2", "'input': '"+text+"'"))
				return
			}
		}
		keep, ok := mode(w, r)
		if !ok {
			return
		}
		// Without --enable-sleep-mode a real server answers as if it slept, and does nothing.
		s.sleep.record("sleep", s.driver.now, func() {
			if s.options.SleepMode {
				s.driver.order(func(e *Engine) { e.Sleep(level, keep) })
				if level == 1 {
					s.pause(r.Context(), e.sleepTime())
				}
			}
		})
		reply(w, http.StatusOK, struct {
			Status string `json:"status"`
			Level  int    `json:"level"`
		}{"sleeping", level})
	})
	post("/wake_up", func(w http.ResponseWriter, r *http.Request) {
		tags := r.URL.Query()["tags"]
		if slices.Contains(tags, "weights") != slices.Contains(tags, "kv_cache") {
			refuse(w, notSimulated("tags", "waking by parts"))
			return
		}
		s.sleep.record("wake", s.driver.now, func() {
			if s.options.SleepMode {
				level := 0
				look(func() bool { level = e.asleep; return true })
				if level > 0 {
					s.pause(r.Context(), e.sleepTime())
				}
				s.driver.order((*Engine).Wake)
			}
		})
		reply(w, http.StatusOK, struct {
			Status string   `json:"status"`
			Tags   []string `json:"tags"`
		}{"awake", tags})
	})
	get("/is_sleeping", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]bool{"is_sleeping": look(func() bool { return e.paused || e.asleep > 0 })})
	})
	post("/pause", func(w http.ResponseWriter, r *http.Request) {
		keep, ok := mode(w, r)
		if !ok {
			return
		}
		clearCache, ok := yesNo(w, r, "clear_cache", true)
		if !ok {
			return
		}
		s.driver.order(func(e *Engine) { e.Pause(keep, clearCache) })
		reply(w, http.StatusOK, map[string]string{"status": "paused"})
	})
	post("/resume", func(w http.ResponseWriter, _ *http.Request) {
		s.driver.order((*Engine).Resume)
		reply(w, http.StatusOK, map[string]string{"status": "resumed"})
	})
	get("/is_paused", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]bool{"is_paused": look(func() bool { return e.paused })})
	})
	post("/reset_prefix_cache", func(w http.ResponseWriter, r *http.Request) {
		preempt, ok := yesNo(w, r, "reset_running_requests", false)
		if !ok {
			return
		}
		done := false
		s.driver.order(func(e *Engine) { done = e.resetCache(preempt) })
		reply(w, http.StatusOK, map[string]bool{"success": done})
	})
}

// yesNo reads a yes or no out of a query; ok is false when it has refused what is neither.
func yesNo(w http.ResponseWriter, r *http.Request, name string, unasked bool) (is, ok bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return unasked, true
	}
	is, err := strconv.ParseBool(text)
	if err != nil {
		refuse(w, invalid("bool_parsing", "query."+name, "Input should be a valid boolean, unable to interpret input", "'input': '"+text+"'"))
	}
	return is, err == nil
}
