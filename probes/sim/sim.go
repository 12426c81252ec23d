// Package sim is an engine and a GPU that do not exist: enough of vLLM 0.32 over real HTTP, and of an A100's sensors, that
// everything else can be tried, taught and tested without either.
//
// In go a seed and sizes. Out come a server on a loopback port that speaks vLLM's protocol (chat and completions with
// server-sent events, /metrics, /health, /version, /v1/models, /tokenize), and a gpu.Library whose cards' power, clocks and
// temperature follow that server's work. Behind them is a continuous-batching scheduler with a paged KV cache, prefix cache,
// chunked prefill, preemption and limits of its queue, whose steps take as long as published figures say that Llama-3-8B
// takes on an A100. It brings its own varying load; requests from outside join the same queue.
//
// Things go wrong in it when they are told to, by a schedule or by a request: the engine crashes, hangs or slows down,
// streams break, sensors report trouble. What really happened, and when, it writes down as the truth. Everything happens on
// a simulated clock, which may run faster than the wall's without changing what happens.
//
// It does not run a model: answers are common words in a row, and log-probabilities are drawn by lot. It never says that it
// is real: its page has pitwall_simulated 1. What it cannot do (n above 1, several prompts) it refuses instead of
// pretending. It never listens beyond loopback.
package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"pitwall/probes/gpu"
)

// Version is the version of vLLM whose protocol and page the server has.
const Version = "0.32.0"

// Options say what to simulate. The zero value is Llama-3-8B on one A100-SXM4-80GB with its own traffic, at real speed.
type Options struct {
	// Addr is the loopback address to listen on; "127.0.0.1:0" if empty, which takes a free port.
	Addr string
	// Model is the name under which the model is served; "meta-llama/Meta-Llama-3-8B-Instruct" if empty.
	Model string
	// Config holds the engine's sizes. Its Traffic is made by Start.
	Config Config
	// Faults is what goes wrong, and when: ParseFaults and RandomFaults make it. Truth, if set, gets a line of JSON for each
	// beginning and end of a fault and each request over HTTP that one met (see Truth).
	Faults []Fault
	Truth  io.Writer
	// Engine is the number of this one where several simulations run beside each other: of Faults those happen that name it.
	Engine int
	// DevMode serves the routes of vLLM's development mode (/sleep, /wake_up, /pause, /resume, /reset_prefix_cache …);
	// SleepMode does so too and makes /sleep work, as --enable-sleep-mode does.
	DevMode, SleepMode bool
	// RequestMetrics adds times to each answer, as --enable-per-request-metrics does; TokenDetails the cached tokens, as
	// --enable-prompt-tokens-details.
	RequestMetrics, TokenDetails bool
	// LoadTracking makes /load count the requests over HTTP, as --enable-server-load-tracking does; without it that is 0.
	LoadTracking bool
	// FlipRate is the probability that a token of a greedy answer comes out differently because others were in the same
	// step, 0 to 1. Real engines have such a rate where the order of floating-point sums depends on the batch.
	FlipRate float64
	// Seed chooses the traffic and the answers: the same seed gives the same hour. Not seeded by the clock: 0 is a seed.
	Seed uint64
	// Speed is how many simulated seconds pass in a second; 1 if zero.
	Speed float64
	// Quiet leaves the engine's own traffic out: only requests over HTTP are served. Neighbours leaves it to the engines of the
	// other cards.
	Quiet, Neighbours bool
	// GPUs is how many cards there are, 1 if zero. The engine runs on the first; each of the others runs an engine of its
	// own that cannot be reached and gives the card something to do.
	GPUs int
	// Warm is how long the engine has been running when Start returns, in simulated time; 2 minutes if zero, none if
	// negative or with Quiet. With traffic it is busy by then.
	Warm time.Duration
}

const defaultWarm = 2 * time.Minute

// traceLength is how many happenings of the scheduler are remembered: some minutes of a busy engine.
const traceLength = 1 << 14

// Server is a running simulation.
type Server struct {
	options     Options
	config      Config
	driver      *driver
	tokens      *tokenizer
	handled     *handled
	fingerprint string
	serial      atomic.Uint64
	inFlight    atomic.Int64

	addr    string
	gone    chan bool // whether the engine's process is gone, the latest word
	door    sync.Mutex
	http    *http.Server  // guarded by door; each life of the engine has its own
	stopped chan struct{} // closed when the server begins to stop
	ended   chan struct{} // closed when all of it has stopped

	sleep    sleeping
	exporter exporter
	stopOnce sync.Once
}

// Start makes a simulation and serves it until Close, or until ctx ends.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Model == "" {
		o.Model = "meta-llama/Meta-Llama-3-8B-Instruct"
	}
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.GPUs == 0 {
		o.GPUs = 1
	}
	if o.Warm == 0 {
		o.Warm = defaultWarm
	}
	if o.Warm < 0 || o.Quiet {
		o.Warm = 0
	}
	if o.Speed < 0 || o.GPUs < 0 || o.GPUs > 16 {
		return nil, fmt.Errorf("simulated engine: speed %g, %d GPUs: must be positive, at most 16 GPUs", o.Speed, o.GPUs)
	}
	for _, f := range o.Faults {
		if f.Engine == o.Engine && f.GPU >= o.GPUs {
			return nil, fmt.Errorf("simulated engine: the fault %s happens to GPU %d, there are %d", f.Kind, f.GPU, o.GPUs)
		}
	}
	if !(o.FlipRate >= 0 && o.FlipRate <= 1) {
		return nil, fmt.Errorf("simulated engine: a flip rate of %g: must be from 0 to 1", o.FlipRate)
	}
	engines, err := makeEngines(o)
	if err != nil {
		return nil, err
	}
	d, err := newDriver(ctx, engines, o)
	if err != nil {
		return nil, err
	}
	listener, err := listenLoopback(ctx, o.Addr)
	if err != nil {
		return nil, err
	}
	s := &Server{
		options: o, config: engines[0].cfg, driver: d, tokens: newTokenizer(),
		handled: newHandled(o.Speed), addr: listener.Addr().String(), gone: make(chan bool, 1), stopped: make(chan struct{}), ended: make(chan struct{}),
	}
	s.driver.truth.out = o.Truth
	s.sleep = newSleeping()
	s.fingerprint = fmt.Sprintf("vllm-%s-%08x", Version, uint32(mix(uint64(s.config.Blocks), uint64(s.config.MaxModelLen))))
	s.serve(ctx, listener)
	return s, nil
}

func makeEngines(o Options) ([]*Engine, error) {
	engines := make([]*Engine, o.GPUs)
	for i := range engines {
		cfg := o.Config.withDefaults()
		cfg.Trace = traceLength
		if !o.Quiet || o.Neighbours && i > 0 {
			seed := o.Seed
			if i > 0 {
				seed = mix(o.Seed, uint64(i))
			}
			cfg.Traffic = NewTraffic(seed, o.Warm, cfg.MaxModelLen)
		}
		e, err := NewEngine(cfg)
		if err != nil {
			return nil, err
		}
		e.gpu = newBoard(i)
		engines[i] = e
	}
	return engines, nil
}

// GPU is the management library of the simulated cards.
func (s *Server) GPU() gpu.Library { return &library{s: s} }

// routes are those of a default vLLM server as far as they are simulated.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	get := func(route string, h http.HandlerFunc) { s.route(mux, http.MethodGet, route, h) }
	post := func(route string, h http.HandlerFunc) { s.route(mux, http.MethodPost, route, h) }
	get("/health", s.health)
	get("/ping", s.health)
	get("/version", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"version": Version})
	})
	get("/load", func(w http.ResponseWriter, _ *http.Request) {
		load := int64(0)
		if s.options.LoadTracking {
			load = s.inFlight.Load()
		}
		reply(w, http.StatusOK, map[string]int64{"server_load": load})
	})
	get("/metrics", s.metricsPage)
	get("/v1/models", s.models)
	post("/v1/chat/completions", s.chatCompletions)
	post("/v1/completions", s.completions)
	post("/tokenize", s.tokenize)
	post("/detokenize", s.detokenize)
	if s.options.DevMode || s.options.SleepMode {
		s.devRoutes(get, post)
	}
	s.controlRoutes(mux)
	mux.HandleFunc("/", s.handled.wrap("none", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusNotFound, map[string]string{"detail": "Not Found"})
	}))
	return mux
}

// route serves one method and refuses the others as FastAPI does.
func (s *Server) route(mux *http.ServeMux, method, route string, h http.HandlerFunc) {
	mux.HandleFunc(route, s.handled.wrap(route, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", method)
			reply(w, http.StatusMethodNotAllowed, map[string]string{"detail": "Method Not Allowed"})
			return
		}
		h(w, r)
	}))
}

func reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, status, b)
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // who has gone does not read an error either
}
