package load

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pitwall/probes"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
)

// live are the client's series: what PromQL and panels see of the load while it runs. Latencies are native histograms, gaps and
// first tokens observed as they come, whole latencies when a request has ended.
type live struct {
	ttft, ttftSched, tpot, itl, chunkGap, e2e, lag prometheus.Histogram

	requests              [request.Classes]prometheus.Counter
	input, cached, tokens prometheus.Counter
	dropped, good         prometheus.Counter
	all                   []prometheus.Collector
}

// bucketFactor makes neighbouring bounds of the histograms differ by 2.2 %, the schema 5 of native histograms: a quantile is
// known to about 1 %.
const bucketFactor = 1.022

func newLive(model string) *live {
	l := &live{}
	labels := prometheus.Labels{"model": model}
	histogram := func(name, help string) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pitwall_client_" + name, Help: help, ConstLabels: labels, NativeHistogramBucketFactor: bucketFactor,
		})
		l.all = append(l.all, h)
		return h
	}
	counter := func(name, help string, extra ...string) prometheus.Counter {
		ls := prometheus.Labels{"model": model}
		for i := 0; i+1 < len(extra); i += 2 {
			ls[extra[i]] = extra[i+1]
		}
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "pitwall_client_" + name, Help: help, ConstLabels: ls})
		l.all = append(l.all, c)
		return c
	}
	l.ttft = histogram("time_to_first_token_seconds", "From the request's first byte sent to the chunk with its first token.")
	l.ttftSched = histogram("time_to_first_token_from_schedule_seconds", "From when the request was due to the chunk with its first token.")
	l.tpot = histogram("time_per_output_token_seconds", "A request's time per output token after those of its first chunk: (last - first) / (tokens - tokens of the first chunk).")
	l.itl = histogram("inter_token_latency_seconds", "The gap before a chunk divided by its tokens, once for each of them; the first chunk has none.")
	l.chunkGap = histogram("chunk_gap_seconds", "The gap between two chunks with tokens.")
	l.e2e = histogram("e2e_latency_seconds", "From the request's first byte sent to its last token; of an answer in one piece, to its end.")
	l.lag = histogram("send_lag_seconds", "How much later than due the request's first byte was sent.")
	for c := range request.Classes {
		l.requests[c] = counter("requests_total", "Requests that have ended, by how.", "class", c.String())
	}
	l.input = counter("tokens_total", tokensHelp, "kind", "input")
	l.cached = counter("tokens_total", tokensHelp, "kind", "cached")
	l.tokens = counter("tokens_total", tokensHelp, "kind", "output")
	l.dropped = counter("dropped_total", "Requests that were due and not sent because of the bound on requests in flight.")
	l.good = counter("good_total", "Requests that ended well and met the point's SLO.")
	return l
}

const tokensHelp = "Tokens: output as they come, input and cached as the server's usage has them."

// first takes a first token: its time from sending, and from when the request was due.
func (l *live) first(ttft, sched time.Duration) {
	l.ttft.Observe(ttft.Seconds())
	l.ttftSched.Observe(sched.Seconds())
}

// gap takes a later chunk of n tokens.
func (l *live) gap(d time.Duration, n int) {
	s := d.Seconds()
	l.chunkGap.Observe(s)
	s /= float64(n)
	for range min(n, 1<<10) {
		l.itl.Observe(s)
	}
}

func (l *live) output(n int) { l.tokens.Add(float64(n)) }

// ended takes a request that has ended, of whose output tokens counted are in the series already.
func (l *live) ended(r *request.Record, counted int, good bool) {
	l.requests[r.Class].Inc()
	if good {
		l.good.Inc()
	}
	if r.InputTokens > 0 {
		l.input.Add(float64(r.InputTokens))
	}
	if r.CachedTokens > 0 {
		l.cached.Add(float64(r.CachedTokens))
	}
	if more := r.Tokens() - counted; more > 0 { // what the chunks did not show
		l.tokens.Add(float64(more))
	}
	if d, ok := r.Lag(); ok {
		l.lag.Observe(max(0, d.Seconds()))
	}
	if r.Class.Failed() || r.Class == request.Cancelled {
		return
	}
	if d, ok := r.TPOT(); ok {
		l.tpot.Observe(d.Seconds())
	}
	if d, ok := r.E2E(); ok {
		l.e2e.Observe(d.Seconds())
	}
}

// series is the collector behind a Client's Source.
type series struct{ c *client }

// The gauges, and the counters of the process itself.
var (
	inFlightDesc = desc("in_flight", "Requests under way.")
	clientsDesc  = desc("clients", "Clients that a closed loop is to have now.")
	rateDesc     = desc("rate", "Requests a second that an open loop is to send now.")
	runDesc      = desc("run", "The run in force, 0 for none.")
	boundDesc    = desc("bound", "1 while the client and not the server decides the numbers.")
	cpuDesc      = desc("cpu_seconds_total", "CPU time of this process.")
	gcDesc       = desc("gc_cpu_seconds_total", "CPU time of this process's garbage collector.")
	schedDesc    = desc("schedule_latency_seconds", "How long goroutines of this process waited for a core: 99th percentile of the last 10 s.")
	filesDesc    = desc("open_files", "Files that this process has open.")
)

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("pitwall_client_"+name, help, []string{"model"}, nil)
}

func (s *series) Describe(out chan<- *prometheus.Desc) {
	for _, m := range s.c.live.all {
		m.Describe(out)
	}
	for _, d := range []*prometheus.Desc{inFlightDesc, clientsDesc, rateDesc, runDesc, boundDesc, cpuDesc, gcDesc, schedDesc, filesDesc} {
		out <- d
	}
}

func (s *series) Collect(out chan<- prometheus.Metric) {
	for _, m := range s.c.live.all {
		m.Collect(out)
	}
	st := s.c.state()
	tell := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
		out <- prometheus.MustNewConstMetric(d, kind, v, s.c.s.Model)
	}
	gauge := func(d *prometheus.Desc, v float64) { tell(d, prometheus.GaugeValue, v) }
	gauge(inFlightDesc, float64(st.InFlight))
	bound := 0.0
	if st.Bound != "" {
		bound = 1
	}
	gauge(boundDesc, bound)
	run := 0.0
	if st.Active {
		run = float64(st.Run)
		if st.Point.Arrival.Kind == shape.Closed {
			gauge(clientsDesc, float64(st.Clients))
		} else {
			gauge(rateDesc, st.Rate)
		}
	}
	gauge(runDesc, run)
	w := s.c.own.reading()
	tell(cpuDesc, prometheus.CounterValue, w.cpu.Seconds())
	tell(gcDesc, prometheus.CounterValue, w.gc.Seconds())
	if w.files > 0 {
		gauge(filesDesc, float64(w.files))
	}
	if p99, ok := s.c.own.schedule(); ok {
		gauge(schedDesc, p99.Seconds())
	}
}

func (c *client) source() probes.Source {
	src, err := probes.FromCollector("client", c.s.Instance, &series{c})
	if err != nil {
		panic(err) // two series of one name: a fault of this file
	}
	return src
}
