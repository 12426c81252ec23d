package sim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// outcome sends a request with a fault of its own and says in a few words what the client saw.
func outcome(t testing.TB, s *Server, body, fault string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/v1/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if fault != "" {
		req.Header.Set(faultHeader, fault)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "no answer: " + err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	out := fmt.Sprint(res.StatusCode)
	if n := bytes.Count(b, []byte(`"token_ids":[`)); n > 0 {
		out += fmt.Sprintf(" %d tokens", n)
	}
	if bytes.Contains(b, []byte(`{"error":`)) {
		out += " error"
	}
	if bytes.HasSuffix(b, []byte(doneLine)) {
		out += " [DONE]"
	}
	if err != nil {
		out += " cut"
		if !bytes.HasSuffix(b, []byte("\n")) {
			out += " in mid-line"
		}
	}
	return out
}

const stream = `{"prompt": "x", "max_tokens": 12, "ignore_eos": true, "stream": true, "return_token_ids": true, "stream_interval": 1`

// realEnd is how the streams of a real 0.32.0 ended when its EngineCore was killed, and when it was told to stop.
const realEnd = `data: {"error": {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", "type": "InternalServerError", "param": null, "code": 500}}` + "\n\ndata: [DONE]\n\n"

func TestARequestGetsTheFaultThatItAsksFor(t *testing.T) {
	s := serve(t, func(o *Options) { o.Speed = 2 })
	whole := strings.Replace(stream, `"stream": true, `, "", 1)
	for _, c := range []struct{ name, body, fault, want string }{
		{"nothing", stream + "}", "", "200 12 tokens [DONE]"},
		{"a 500", stream + "}", "error-5xx", "500 error"},
		{"a 503", whole + "}", "error-5xx; status=503", "503 error"},
		{"an error inside of a 200, after five tokens", stream + "}", "error-in-stream", "200 5 tokens error [DONE]"},
		{"an error before the first token", stream + "}", "error-in-stream; after=0", "200 error [DONE]"},
		{"an error for who wants no stream", whole + "}", "error-in-stream", "500 error"},
		{"a connection that breaks", stream + "}", "cut-stream; after=3", "200 3 tokens cut in mid-line"},
		{"a connection that breaks in a body", whole + "}", "cut-stream", "200 cut in mid-line"},
		{"a stall, after which it goes on", stream + "}", "stalled-stream; for=100ms", "200 12 tokens [DONE]"},
		{"by the body", stream + `, "vllm_xargs": {"pitwall_fault": "error-in-stream; after=2"}}`, "", "200 2 tokens error [DONE]"},
		{"a fault that only a schedule can have", stream + "}", "ecc", "400 error"},
		{"a fault that there is not", stream + "}", "gremlins", "400 error"},
		{"a strike after the answer's end comes at its end", stream + "}", "error-in-stream; after=500", "200 12 tokens error [DONE]"},
	} {
		// Several tokens may come in one event where the machine is busy: then there are fewer events.
		got := outcome(t, s, c.body, c.fault)
		if strip(got) != strip(c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	lines, err := s.Truth()
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 10 {
		t.Fatalf("%d lines of truth: %+v", len(lines), lines)
	}
	for _, l := range lines {
		if l.Phase != Hit || !l.ByRequest || !strings.HasPrefix(l.Request, "cmpl-") || l.Time.After(time.Now()) {
			t.Errorf("%+v", l)
		}
	}
	f := scrape(t, s)
	if n := total(t, f, "vllm:num_requests_running"); n != 0 {
		t.Errorf("%g still run", n)
	}
}

// strip leaves the number of events out.
func strip(outcome string) string {
	fields := strings.Fields(outcome)
	for i, f := range fields {
		if f == "tokens" {
			fields[i-1] = "some"
		}
	}
	return strings.Join(fields, " ")
}

func TestAStalledStreamStandsStillWhileTheEngineGoesOn(t *testing.T) {
	s := serve(t, func(o *Options) { o.Speed = 1 })
	start := time.Now()
	if got := outcome(t, s, stream+"}", "stalled-stream; after=2; for=700ms"); strip(got) != "200 some tokens [DONE]" {
		t.Error(got)
	}
	if took := time.Since(start); took < 700*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	// The engine finished after some 120 ms: the stall is the front end's.
	if e2e := total(t, scrape(t, s), "vllm:e2e_request_latency_seconds"); e2e > 0.5 {
		t.Errorf("the engine says %g s", e2e)
	}
}

func TestASlowRequestSlowsWhoeverSharesItsSteps(t *testing.T) {
	s := serve(t, func(o *Options) { o.Speed = 20 })
	outcome(t, s, stream+"}", "slow-steps; factor=10")
	f := scrape(t, s)
	if gaps := total(t, f, "vllm:inter_token_latency_seconds"); gaps < 11*0.09 || gaps > 11*0.12 {
		t.Errorf("11 gaps of %g s in all, want some 0.1 s each", gaps)
	}
}

func TestASchedulesFaultsMeetRequests(t *testing.T) {
	for _, c := range []struct{ fault, want string }{
		{"- {fault: error-5xx, for: 1h, status: 502}", "502 error"},
		{"- {fault: error-in-stream, for: 1h, after: 1}", "200 some tokens error [DONE]"},
		{"- {fault: cut-stream, for: 1h, after: 1}", "200 some tokens cut in mid-line"},
	} {
		s := serve(t, func(o *Options) { o.Faults, o.Speed = schedule(t, c.fault), 5 })
		if got := strip(outcome(t, s, stream+"}", "")); got != c.want {
			t.Errorf("%s: %s, want %s", c.fault, got, c.want)
		}
		lines, _ := s.Truth()
		if len(lines) != 2 || lines[0].Phase != Began || lines[1].Phase != Hit || lines[1].ByRequest {
			t.Errorf("%s: %+v", c.fault, lines)
		}
	}
	share := serve(t, func(o *Options) { o.Faults = schedule(t, "- {fault: error-5xx, for: 1h, share: 0.3}") })
	refused := 0
	for range 200 {
		if strings.HasPrefix(outcome(t, share, `{"prompt": "x", "max_tokens": 1}`, ""), "500") {
			refused++
		}
	}
	if refused < 35 || refused > 90 {
		t.Errorf("%d of 200 were refused, want about 60", refused)
	}
}

func TestThePagesFaults(t *testing.T) {
	s := serve(t, func(o *Options) { o.Speed = 1 })
	size := func() int { _, _, b := do(t, s, http.MethodGet, "/metrics", nil); return len(b) }
	before := size()
	inject := func(text string) {
		t.Helper()
		if status, _, b := do(t, s, http.MethodPost, "/pitwall/faults", []byte(text)); status != http.StatusNoContent {
			t.Fatalf("%d %s", status, b)
		}
	}
	inject("- {fault: huge-metrics, for: 1h, series: 20000}")
	if after := size(); after < before+500_000 {
		t.Errorf("a huge page has %d bytes, before %d", after, before)
	}
	if families := scrape(t, s); len(families["vllm:simulated_huge_19"].GetMetric()) != 1000 {
		t.Error("the huge page does not parse")
	}
	inject("- {fault: slow-metrics, for: 1h, delay: 300ms}")
	start := time.Now()
	size()
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("a slow page took %v", took)
	}
	if status, _, b := do(t, s, http.MethodPost, "/pitwall/faults", []byte("- {fault: hang, engine: 1}")); status != http.StatusBadRequest ||
		!strings.Contains(string(b), "this is engine 0") {
		t.Errorf("a fault of another engine: %d %s", status, b)
	}
	if status, _, _ := do(t, s, http.MethodPost, "/pitwall/faults", []byte("- {fault: xid, gpu: 3}")); status != http.StatusBadRequest {
		t.Errorf("a fault of a card that is not there: %d", status)
	}
}

func TestStaleGaugesStandStillAndCountersGoOn(t *testing.T) {
	s := serve(t, func(o *Options) { o.Quiet, o.Speed, o.Config = false, 50, Config{} })
	if err := s.Inject(schedule(t, "- {fault: stale-gauges, for: 1h}")...); err != nil {
		t.Fatal(err)
	}
	first := scrape(t, s)
	tokens := total(t, first, "vllm:generation_tokens_total")
	gauges := func() string {
		f := scrape(t, s)
		return fmt.Sprint(total(t, f, "vllm:num_requests_running"), total(t, f, "vllm:num_requests_waiting"), total(t, f, "vllm:kv_cache_usage_perc"))
	}
	want := gauges()
	for deadline := time.Now().Add(10 * time.Second); total(t, scrape(t, s), "vllm:generation_tokens_total") < tokens+10000; {
		if got := gauges(); got != want {
			t.Fatalf("the gauges moved from %s to %s", want, got)
		}
		if time.Now().After(deadline) {
			t.Fatal("the counters stand still")
		}
	}
}

func TestACrashedServerRefusesAndComesBackAsANewOne(t *testing.T) {
	s := serve(t, func(o *Options) { o.Speed = 4 })
	began := func() float64 { return total(t, scrape(t, s), "process_start_time_seconds") }
	outcome(t, s, stream+"}", "")
	first := began()

	res, err := http.Post(s.URL()+"/v1/completions", "application/json",
		strings.NewReader(`{"prompt": "x", "max_tokens": 2000, "ignore_eos": true, "stream": true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	if _, err := in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	if err := s.Inject(schedule(t, "- {fault: crash, for: 4s}")...); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(in)
	if err != nil || !bytes.HasSuffix(rest, []byte(realEnd)) {
		t.Errorf("the stream ended with %v, %q", err, rest[max(0, len(rest)-200):])
	}
	refused := func() bool {
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}
	// Bounded by the fault's length of a second and the door's own time.
	for !refused() {
		if time.Since(at) > 900*time.Millisecond {
			t.Fatal("it was never refused")
		}
	}
	for refused() {
		if time.Since(at) > 5*time.Second {
			t.Fatal("it does not come back")
		}
	}
	if took := time.Since(at); took < 900*time.Millisecond {
		t.Errorf("it was back after %v, ordered was 1 s", took)
	}
	if second := began(); second < first+0.5 {
		t.Errorf("the start time was %f and is %f", first, second)
	}
	f := scrape(t, s)
	for _, name := range []string{"vllm:generation_tokens_total", "http_requests_total", "vllm:request_success_total"} {
		if fam := f[name]; fam != nil && total(t, f, name) != 0 {
			t.Errorf("%s is %g after the restart", name, total(t, f, name))
		}
	}
	if got := strip(outcome(t, s, stream+"}", "")); got != "200 some tokens [DONE]" {
		t.Errorf("after the restart: %s", got)
	}
	lines, _ := s.Truth()
	if len(lines) != 2 || math.Abs(lines[1].Seconds-lines[0].Seconds-4) > 1e-6 || lines[1].Time.Sub(lines[0].Time) != time.Second {
		t.Errorf("%+v", lines)
	}
}

func TestACrashIsNotWaitedForWhenTheSimulationStops(t *testing.T) {
	s := serve(t, func(o *Options) { o.Faults = schedule(t, "- {fault: crash, for: 100h}") })
	start := time.Now()
	_ = s.Close()
	if took := time.Since(start); took > time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestARequestCanKillAndHangTheEngine(t *testing.T) {
	s := serve(t, func(o *Options) { o.Speed = 50 })
	if got := strip(outcome(t, s, stream+"}", "hang; for=10s")); got != "200 some tokens [DONE]" {
		t.Errorf("a hang: %s", got)
	}
	if sum := total(t, scrape(t, s), "vllm:time_to_first_token_seconds"); sum < 10 {
		t.Errorf("time to first token %g s, want the hang's 10 s", sum)
	}
	got := outcome(t, s, stream+"}", "crash; for=100h")
	if got != "500 error" && got != "200 error [DONE]" {
		t.Errorf("a crash: %s", got)
	}
}

func TestTheTruthIsWrittenDownAsItHappens(t *testing.T) {
	var b bytes.Buffer
	s := serve(t, func(o *Options) {
		o.Truth, o.Speed, o.GPUs = &b, 100, 2
		o.Faults = schedule(t, "- {at: 1s, fault: hang, for: 2s}\n- {at: 2s, fault: ecc, gpu: 1, count: 4}\n- {at: 20h, fault: oom}")
	})
	var lines []Truth
	for deadline := time.Now().Add(10 * time.Second); len(lines) < 3 && time.Now().Before(deadline); {
		lines, _ = s.Truth()
	}
	_ = s.Close()
	want := []string{"hang began 1", "ecc hit 2", "hang ended 3"}
	if len(lines) != len(want) {
		t.Fatalf("%+v", lines)
	}
	for i, l := range lines {
		if got := fmt.Sprint(l.Fault, " ", l.Phase, " ", l.Seconds); got != want[i] {
			t.Errorf("%s, want %s", got, want[i])
		}
	}
	dec := json.NewDecoder(&b)
	for range want {
		var l Truth
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
	}
	if err := dec.Decode(new(Truth)); !errors.Is(err, io.EOF) {
		t.Errorf("more than the truth: %v", err)
	}
}

// past gives the trace of a server's own traffic up to a simulated time.
func past(t testing.TB, speed float64, until time.Duration) []Happening {
	t.Helper()
	s, err := Start(t.Context(), Options{Seed: 5, Speed: speed, Warm: 20 * time.Second, Faults: schedule(t, `
- {at: 200ms, fault: hang, for: 300ms}
- {at: 700ms, fault: slow-steps, for: 500ms, factor: 3}
- {at: 1500ms, fault: crash, for: 400ms}
- {at: 2s, fault: foreign-traffic, for: 1s, rate: 20}
`)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for deadline := time.Now().Add(30 * time.Second); ; {
		var out []Happening
		res, err := http.Get(s.URL() + "/pitwall/trace")
		if err != nil { // the crash
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			continue
		}
		dec := json.NewDecoder(res.Body)
		for {
			var h Happening
			if err := dec.Decode(&h); err != nil {
				break
			}
			if h.At <= until {
				out = append(out, h)
			} else {
				_ = res.Body.Close()
				return out
			}
		}
		_ = res.Body.Close()
		if time.Now().After(deadline) {
			t.Fatalf("the trace ends at %v", out[len(out)-1].At)
		}
	}
}

func TestAHundredTimesFasterTheSameHappensOverHTTP(t *testing.T) {
	const until = 24 * time.Second
	real, fast := past(t, 1, until), past(t, 100, until)
	if len(real) < 100 || len(fast) < 100 {
		t.Fatalf("%d and %d happenings", len(real), len(fast))
	}
	// The fast one has gone on for long when it is asked, and remembers only the latest.
	offset := int(fast[0].N) - int(real[0].N)
	if offset < 0 || offset >= len(real) {
		t.Fatalf("the traces do not overlap: from %d and from %d", real[0].N, fast[0].N)
	}
	real = real[offset:]
	if len(real) != len(fast) {
		t.Errorf("%d happenings at real speed, %d at a hundred times", len(real), len(fast))
	}
	for i := range min(len(real), len(fast)) {
		if real[i] != fast[i] {
			t.Fatalf("at real speed %+v\nat a hundred %+v", real[i], fast[i])
		}
	}
}

func TestTheContextOfARequestEndsItsStall(t *testing.T) {
	s := serve(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/v1/completions", strings.NewReader(stream+"}"))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(faultHeader, "stalled-stream; for=100h")
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	for deadline := time.Now().Add(5 * time.Second); s.inFlight.Load() > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the handler does not end")
		}
	}
}

func TestOfSeveralEnginesEachHasTheFaultsThatNameIt(t *testing.T) {
	faults := schedule(t, "- {at: 1s, for: 1s, fault: hang}\n- {at: 2s, for: 1s, fault: stale-gauges, engine: 1}\n- {at: 0s, fault: xid, gpu: 3, engine: 2}")
	for i, want := range []Kind{Hang, StaleGauges} {
		s := serve(t, func(o *Options) { o.Faults, o.Engine = faults, i })
		for deadline := time.Now().Add(10 * time.Second); ; {
			lines, _ := s.Truth()
			if len(lines) == 2 {
				if lines[0].Fault != want || lines[1].Fault != want || lines[0].Engine != i || lines[1].Phase != Ended {
					t.Errorf("engine %d: %+v", i, lines)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("engine %d: %+v", i, lines)
			}
		}
	}
	if _, err := Start(t.Context(), Options{Quiet: true, Faults: faults, Engine: 2}); err == nil || !strings.Contains(err.Error(), "GPU 3, there are 1") {
		t.Errorf("a GPU that engine 2 has not: %v", err)
	}
}

func TestTheTrafficsErrorsAndAResetShowOnThePage(t *testing.T) {
	s := serve(t, func(o *Options) { o.Quiet, o.Speed, o.Warm = false, 50, time.Minute })
	read := func() (errored, http, cpu, tokens float64) {
		f := scrape(t, s)
		for _, m := range f["vllm:request_success_total"].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == "error" {
					errored = m.GetCounter().GetValue()
				}
			}
		}
		return errored, total(t, f, "http_requests_total"), total(t, f, "process_cpu_seconds_total"), total(t, f, "vllm:generation_tokens_total")
	}
	_, http, cpu, tokens := read()
	if err := s.Inject(schedule(t, "- {fault: counter-reset}\n- {fault: error-in-stream, for: 1h}")...); err != nil {
		t.Fatal(err)
	}
	errored, http2, cpu2, tokens2 := read()
	if http == 0 || http2 < http || cpu2 < cpu || tokens2 >= tokens {
		t.Errorf("%g requests, then %g; %g s of CPU, then %g; %g tokens, then %g: only the engine's counters are reset", http, http2, cpu, cpu2, tokens, tokens2)
	}
	for deadline := time.Now().Add(20 * time.Second); errored == 0; errored, _, _, _ = read() {
		if time.Now().After(deadline) {
			t.Fatal("no request of the traffic ended in an error")
		}
	}
}
