package sim

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func sleepState(t testing.TB, s *Server) string {
	t.Helper()
	var out []string
	for _, m := range scrape(t, s)["vllm:engine_sleep_state"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "sleep_state" && m.GetGauge().GetValue() == 1 {
				out = append(out, l.GetValue())
			}
		}
	}
	return strings.Join(out, " ")
}

func TestTheRoutesOfDevelopmentModeHaveTheShapesOfARealServer(t *testing.T) {
	s := serve(t, func(o *Options) { o.DevMode = true })
	raw, err := os.ReadFile("testdata/dev_endpoints.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []exchange
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	for _, e := range all { // in the order in which the real server was asked
		method, path, _ := strings.Cut(e.Request, " ")
		status, _, got := do(t, s, method, path, nil)
		if status != e.Status || string(got) != compact(t, e.Body) {
			t.Errorf("%s: %d %s, real %d %s", e.Name, status, got, e.Status, e.Body)
		}
	}
	if status, _, _ := do(t, serve(t, nil), http.MethodGet, "/is_sleeping", nil); status != 404 {
		t.Errorf("without development mode /is_sleeping gives %d", status)
	}
}

func compact(t testing.TB, raw json.RawMessage) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAnEngineThatSleepsServesNobodyUntilItIsAwake(t *testing.T) {
	s := serve(t, func(o *Options) { o.SleepMode, o.Speed = true, 20 })
	if got := sleepState(t, s); got != "awake" {
		t.Errorf("at first %q", got)
	}
	running := make(chan string, 1)
	go func() {
		running <- outcome(t, s, `{"prompt": "x", "max_tokens": 2000, "ignore_eos": true, "stream": true}`, "")
	}()
	for deadline := time.Now().Add(10 * time.Second); total(t, scrape(t, s), "vllm:num_requests_running") == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nothing runs")
		}
	}
	d, _ := s.GPU().Device(0)
	before, _ := d.Memory()
	if status, _, b := do(t, s, http.MethodPost, "/sleep?level=1", nil); status != 200 || string(b) != `{"status":"sleeping","level":1}` {
		t.Errorf("%d %s", status, b)
	}
	if got := <-running; got != "200 [DONE]" {
		t.Errorf("who ran is left with %s", got)
	}
	if got := sleepState(t, s); got != "weights_offloaded" {
		t.Errorf("asleep %q", got)
	}
	if after, _ := d.Memory(); after.Used > before.Used/10 {
		t.Errorf("asleep it still holds %d of %d bytes", after.Used, before.Used)
	}
	waiting := make(chan string, 1)
	go func() { waiting <- outcome(t, s, `{"prompt": "x", "max_tokens": 2}`, "") }()
	for deadline := time.Now().Add(10 * time.Second); s.inFlight.Load() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("it did not come in")
		}
	}
	select {
	case got := <-waiting:
		t.Errorf("asleep it answered %s", got)
	case <-time.After(50 * time.Millisecond): // a second of the engine's
	}
	if status, _, b := do(t, s, http.MethodPost, "/wake_up", nil); status != 200 || string(b) != `{"status":"awake","tags":null}` {
		t.Errorf("%d %s", status, b)
	}
	if got := <-waiting; got != "200" {
		t.Errorf("awake it answered %s", got)
	}
	f := scrape(t, s)
	if got := sleepState(t, s); got != "awake" {
		t.Errorf("awake %q", got)
	}
	if n := len(f["vllm:sleep_mode_operation_duration_seconds"].GetMetric()); n != 2 {
		t.Errorf("%d operations have a duration", n)
	}
	aborted := 0.0
	for _, m := range f["vllm:request_success_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetValue() == "abort" {
				aborted = m.GetCounter().GetValue()
			}
		}
	}
	if aborted != 1 {
		t.Errorf("%g requests count as aborted", aborted)
	}
}

func TestLevelTwoDropsTheWeights(t *testing.T) {
	s := serve(t, func(o *Options) { o.SleepMode, o.Speed = true, 100 })
	do(t, s, http.MethodPost, "/sleep?level=2", nil)
	if got := sleepState(t, s); got != "discard_all" {
		t.Errorf("%q", got)
	}
	for _, path := range []string{"/sleep?level=3", "/sleep?level=x", "/sleep?mode=soon", "/wake_up?tags=weights", "/pause?mode=wait"} {
		if status, _, _ := do(t, s, http.MethodPost, path, nil); status != 400 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestAPauseKeepsWhatRunsAndHealthStaysGreen(t *testing.T) {
	s := serve(t, func(o *Options) { o.DevMode, o.Speed = true, 20 })
	done := make(chan string, 1)
	go func() { done <- outcome(t, s, stream+"}", "") }()
	for deadline := time.Now().Add(10 * time.Second); total(t, scrape(t, s), "vllm:generation_tokens_total") == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nothing runs")
		}
	}
	do(t, s, http.MethodPost, "/pause?mode=keep", nil)
	if status, _, _ := do(t, s, http.MethodGet, "/health", nil); status != 200 {
		t.Errorf("health %d", status)
	}
	do(t, s, http.MethodPost, "/resume", nil)
	if got := strip(<-done); got != "200 some tokens [DONE]" {
		t.Errorf("after the pause: %s", got)
	}
}

func TestResettingThePrefixCacheForgetsIt(t *testing.T) {
	s := serve(t, func(o *Options) { o.DevMode = true })
	body := []byte(`{"max_tokens": 2, "prompt": "` + strings.Repeat(" word", 100) + `"}`)
	hits := func() float64 {
		before := total(t, scrape(t, s), "vllm:prefix_cache_hits_total")
		do(t, s, http.MethodPost, "/v1/completions", body)
		return total(t, scrape(t, s), "vllm:prefix_cache_hits_total") - before
	}
	hits()
	if hits() != 96 {
		t.Error("the second time it should hit")
	}
	do(t, s, http.MethodPost, "/reset_prefix_cache", nil)
	if n := hits(); n != 0 {
		t.Errorf("after the reset %g hits", n)
	}
}

func TestThePrefixCacheIsOnlyResetUnderThoseWhoRunWhenTheyMayBePreempted(t *testing.T) {
	e := engine(t, Config{})
	long := request(100, 60, 7)
	submit(t, e, long)
	e.Advance()
	if e.resetCache(false) || len(e.running) != 1 {
		t.Error("blocks are held: nothing may be reset")
	}
	if !e.resetCache(true) || len(e.running) != 0 || e.tally.preemptions != 1 || e.pool.free != e.pool.usable() {
		t.Errorf("%d run, %d preemptions, %d blocks are free", len(e.running), e.tally.preemptions, e.pool.free)
	}
	drain(t, e)
	if long.produced != 60 || e.tally.success[Length] != 1 {
		t.Errorf("it ended with %d tokens, %v", long.produced, e.tally.success)
	}
	s := serve(t, func(o *Options) { o.DevMode = true })
	unanswered(t, s, 1, "x")
	for path, want := range map[string]string{"/reset_prefix_cache": `{"success":true}`, "/reset_prefix_cache?reset_running_requests=perhaps": `bool_parsing`} {
		if _, _, b := do(t, s, http.MethodPost, path, nil); !strings.Contains(string(b), want) {
			t.Errorf("%s: %s", path, b)
		}
	}
}

func TestASleepThatKeepsWhatRunsLosesItsCache(t *testing.T) {
	e := engine(t, Config{})
	r := request(100, 60, 0)
	submit(t, e, r)
	e.Advance()
	e.Sleep(1, true)
	if e.pool.usage() != 0 || e.tally.preemptions != 1 || e.tally.running != 1 {
		t.Errorf("%g of the cache is held, %d preemptions; the gauges stand at %d running", e.pool.usage(), e.tally.preemptions, e.tally.running)
	}
	e.Wake()
	drain(t, e)
	if r.produced != 60 {
		t.Errorf("it ended with %d tokens", r.produced)
	}
}

func TestRequestsThatAPauseEndsAreCountedLikeAnyThatEnd(t *testing.T) {
	e := engine(t, Config{MaxNumSeqs: 1})
	submit(t, e, request(100, 60, 0), request(10, 5, 0))
	for range 3 {
		e.Advance()
	}
	e.Idle(e.Now() + time.Second)
	e.Pause(false, true)
	a := &e.tally
	if a.success[Aborted] != 2 || a.e2e.n != 2 || a.outputLen.n != 1 || a.outputLen.sum != 3 || a.ttft.n != 2 || a.itl.n != 3 || a.decode.sum < 1 || a.running+a.waiting != 0 {
		t.Errorf("%v aborted, e2e %d, output %d of sum %g, ttft %d, itl %d, decode %g s", a.success, a.e2e.n, a.outputLen.n, a.outputLen.sum, a.ttft.n, a.itl.n, a.decode.sum)
	}
}

func TestLoadCountsRequestsOnlyWhereItIsAskedTo(t *testing.T) {
	for tracking, want := range map[bool]string{false: `{"server_load":0}`, true: `{"server_load":1}`} {
		s := serve(t, func(o *Options) { o.LoadTracking = tracking })
		unanswered(t, s, 1, "x")
		if _, _, b := do(t, s, http.MethodGet, "/load", nil); string(b) != want {
			t.Errorf("tracking %v: %s", tracking, b)
		}
	}
}

func TestTimesOfHTTPAndOfSleepAreSimulatedOnes(t *testing.T) {
	s := serve(t, func(o *Options) { o.SleepMode, o.Speed = true, 100 })
	do(t, s, http.MethodPost, "/sleep?level=1", nil)
	f := scrape(t, s)
	// 16.06 GB at 20 GB/s.
	for _, name := range []string{"vllm:sleep_mode_operation_duration_seconds", "http_request_duration_highr_seconds"} {
		if took := total(t, f, name); took < 0.8 {
			t.Errorf("%s says %g s, the weights need 0.8", name, took)
		}
	}
}
