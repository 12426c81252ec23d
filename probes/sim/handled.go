package sim

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// handled counts HTTP requests as prometheus-fastapi-instrumentator does in vLLM's API server: by route, without the routes
// that only watch.
type handled struct {
	mu     sync.Mutex // guards all below
	order  []string   // handlers in the order of their first request
	by     map[string]*handler
	counts map[[3]string]uint64 // handler, method, status class
	keys   [][3]string
	highr  histogram
	speed  float64 // how many simulated seconds pass in a second
}

type handler struct {
	method         string
	requests       uint64
	received, sent float64 // bytes, as far as a Content-Length said so
	duration       histogram
}

// unwatched routes are not counted.
var unwatched = map[string]bool{
	"/metrics": true, "/health": true, "/load": true, "/ping": true, "/version": true, "/server_info": true,
}

func newHandled(speed float64) *handled {
	return &handled{speed: speed, by: map[string]*handler{}, counts: map[[3]string]uint64{}, highr: newHistogram(highrEdges)}
}

// reset is what a restart does to the counters.
func (h *handled) reset() {
	fresh := newHandled(h.speed)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.order, h.by, h.counts, h.keys, h.highr = fresh.order, fresh.by, fresh.counts, fresh.keys, fresh.highr
}

// wrap counts what a handler answers. The duration is the time to the response's headers,
// in simulated seconds like all others on the page.
func (h *handled) wrap(route string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("server", "uvicorn")
		w.Header().Set("vary", "Origin")
		if unwatched[route] {
			next(w, r)
			return
		}
		watch := &watchedWriter{ResponseWriter: w, start: time.Now()}
		defer h.add(route, r, watch) // also when a fault breaks the connection by a panic
		next(watch, r)
	}
}

func (h *handled) add(route string, r *http.Request, w *watchedWriter) {
	w.seeHeader(http.StatusOK)
	h.mu.Lock()
	defer h.mu.Unlock()
	by := h.by[route]
	if by == nil {
		by = &handler{method: r.Method, duration: newHistogram(handlerEdges)}
		h.by[route] = by
		h.order = append(h.order, route)
	}
	key := [3]string{route, r.Method, strconv.Itoa(w.status/100) + "xx"}
	if h.counts[key] == 0 {
		h.keys = append(h.keys, key)
	}
	h.counts[key]++
	by.requests++
	by.received += float64(max(0, r.ContentLength))
	if n, err := strconv.Atoi(w.Header().Get("Content-Length")); err == nil {
		by.sent += float64(n)
	}
	took := w.took.Seconds() * h.speed
	by.duration.observe(took)
	h.highr.observe(took)
}

// watchedWriter notes status and time of the headers.
type watchedWriter struct {
	http.ResponseWriter
	start  time.Time
	status int
	took   time.Duration
}

func (w *watchedWriter) seeHeader(status int) {
	if w.status == 0 {
		w.status, w.took = status, time.Since(w.start)
	}
}

func (w *watchedWriter) WriteHeader(status int) {
	w.seeHeader(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *watchedWriter) Write(b []byte) (int, error) {
	w.seeHeader(http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController flush.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// trafficRoute is where the simulation's own traffic would have come in.
const trafficRoute = "/v1/chat/completions"

// write adds the families to a page. The traffic's own requests, which come by no HTTP, are counted as those that were
// answered and refused; they have no times and sizes here.
func (h *handled) write(p *page, answered, refused uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var total, received, sent, requests []series
	var durations []labelled
	own := map[[3]string]uint64{
		{trafficRoute, http.MethodPost, "2xx"}: answered, {trafficRoute, http.MethodPost, "5xx"}: refused,
	}
	for _, k := range h.keys {
		labels := "handler=" + quote(k[0]) + ",method=" + quote(k[1]) + ",status=" + quote(k[2])
		total = append(total, series{labels, float64(h.counts[k] + own[k])})
		delete(own, k)
	}
	for _, status := range []string{"2xx", "5xx"} {
		k := [3]string{trafficRoute, http.MethodPost, status}
		if n := own[k]; n > 0 {
			total = append(total, series{"handler=" + quote(k[0]) + ",method=" + quote(k[1]) + ",status=" + quote(k[2]), float64(n)})
		}
	}
	for _, route := range h.order {
		by, labels := h.by[route], "handler="+quote(route)
		requests = append(requests, series{labels, float64(by.requests)})
		received = append(received, series{labels, by.received})
		sent = append(sent, series{labels, by.sent})
		durations = append(durations, labelled{labels, "method=" + quote(by.method), &by.duration})
	}
	p.counter("http_requests", "Total number of requests by method, status and handler.", total...)
	p.summary("http_request_size_bytes", "Content length of incoming requests by handler. Only value of header is respected. "+
		"Otherwise ignored. No percentile calculated. ", requests, received)
	p.summary("http_response_size_bytes", "Content length of outgoing responses by handler. Only value of header is respected. "+
		"Otherwise ignored. No percentile calculated. ", requests, sent)
	p.histogram("http_request_duration_highr_seconds", "Latency with many buckets but no API specific labels. Made for more "+
		"accurate percentile calculations. ", labelled{"", "", &h.highr})
	p.histogram("http_request_duration_seconds", "Latency with only few buckets by handler. Made to be only used if aggregation "+
		"by handler is important. ", durations...)
}
