package calibrate

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pitwall/probes/request"
	"pitwall/probes/truth"
)

const asServer = "PITWALL_CALIBRATE_SERVER"

// TestMain makes the test binary the truth server's process too.
func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		if err := truth.Run(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func server() (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), asServer+"=1")
	return cmd, nil
}

// TestAMeasurementEndToEnd measures this machine as it is now. How good it is now is not the test's matter: it may be busy.
func TestAMeasurementEndToEnd(t *testing.T) {
	var told []Step
	c, err := Run(t.Context(), Options{Server: server, Version: "test", Streams: 8, For: 3 * time.Second, Each: func(s Step) { told = append(told, s) }})
	if err != nil {
		t.Fatal(err)
	}
	host, _ := os.Hostname()
	if c.Host != host || c.Cores != runtime.GOMAXPROCS(0) || c.Version != "test" || time.Since(c.At) > time.Minute || c.Asked != 8 || c.Rate != 50 || c.Bounds != DefaultBounds() {
		t.Errorf("%+v", c)
	}
	if len(c.Steps) == 0 || c.Steps[0].Streams != 8 || cmp.Diff(c.Steps, told) != "" {
		t.Fatalf("steps %+v, told %+v", c.Steps, told)
	}
	if c.Stamped != (runtime.GOOS == "linux") {
		t.Errorf("stamped %v on %s", c.Stamped, runtime.GOOS)
	}
	for _, s := range c.Steps {
		t.Logf("%+v", s)
		if s.Requests < 1 || s.TTFT.Count != s.Requests || s.Gap.Count < s.Requests || s.Tokens <= 0 || s.Tokens > 55*float64(s.Streams) {
			t.Errorf("%+v", s)
		}
		if s.TTFT.P50 > s.TTFT.P99 || s.TTFT.P99 > s.TTFT.Max {
			t.Errorf("percentiles out of order: %+v", s.TTFT)
		}
		if s.Holds != (s.Why == "") || s.Holds && s.TTFT.P99 > c.Bounds.TTFT {
			t.Errorf("holds %v: %q", s.Holds, s.Why)
		}
	}
	// A client that took the role chunk for a token would be off by the whole 50 ms at every request.
	if p50 := c.Steps[0].TTFT.P50; p50 > 25*time.Millisecond {
		t.Errorf("TTFT is off by %v in the middle", p50)
	}
}

func TestNothingIsMeasured(t *testing.T) {
	dead := func() (*exec.Cmd, error) { return exec.Command(os.DevNull), nil }
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{"without a server", Options{}, "no truth server"},
		{"with a server that does not start", Options{Server: dead}, "truth server"},
		{"with one that can't be named", Options{Server: func() (*exec.Cmd, error) { return nil, errors.New("gone") }}, "gone"},
		{"with more streams than any host has", Options{Server: server, Streams: 1 << 20}, "1048576 streams: between 1 and 4096"},
		{"with fewer than one", Options{Server: server, Streams: -1}, "-1 streams"},
		{"with an impossible rate", Options{Server: server, Rate: 5000}, "5000 tokens a second in a stream: between 1 and 1000"},
		{"in no time", Options{Server: server, For: time.Millisecond}, "a calibration of 1ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Run(t.Context(), tt.o)
			if c != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	t.Run("after it was given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		o := Options{Server: server, Streams: 2, For: 3 * time.Second, Each: func(Step) { cancel() }}
		if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

const ms = request.Time(time.Millisecond)

// answered is a request and its truth: sent at 1 s, first token 50 ms later, then a token each 20 ms.
func answered(prompt uint32, id string, tokens int) (*request.Record, truth.Answer) {
	r := &request.Record{Run: 1, Prompt: prompt, Class: request.OK, Streamed: true, Stamped: true, OutputTokens: int32(tokens),
		Scheduled: 1000 * ms, Sent: 1000 * ms, FirstToken: 1050 * ms, LastToken: 1050*ms + request.Time(tokens-1)*20*ms}
	a := truth.Answer{ID: id, Arrived: 5000 * ms, Received: 5000 * ms, Tokens: tokens}
	for i := range tokens {
		gap := 20 * time.Millisecond
		if i == 0 {
			gap = 50 * time.Millisecond
		}
		r.Chunks = append(r.Chunks, request.Chunk{Gap: gap, Tokens: 1})
		a.Chunks = append(a.Chunks, truth.Chunk{At: 5050*ms + request.Time(i)*20*ms, Tokens: 1})
	}
	return r, a
}

func TestErrorsAreWhatTheClientIsOffBy(t *testing.T) {
	m := measured{run: 1, streams: 1, bounds: DefaultBounds(), lasts: 200 * time.Millisecond, ramp: 50 * time.Millisecond}
	for _, tt := range []struct {
		name string
		edit func(*request.Record, *truth.Answer)
		bad  func(*measured)
		want Step
		err  string
	}{
		{name: "a perfect client is off by nothing, on whatever clock the server is", want: Step{}},
		{name: "a first token stamped 3 ms late", edit: func(r *request.Record, _ *truth.Answer) { r.FirstToken += 3 * ms },
			want: Step{TTFT: Error{P50: 3e6, P99: 3e6, Max: 3e6}, Why: "TTFT is off by 3.0 ms at p99, above 2ms"}},
		{name: "too early is as wrong as too late", edit: func(r *request.Record, _ *truth.Answer) { r.FirstToken -= 3 * ms },
			want: Step{TTFT: Error{P50: 3e6, P99: 3e6, Max: 3e6}, Why: "TTFT is off by 3.0 ms at p99, above 2ms"}},
		{name: "a request that left the client 1 ms after it says so", edit: func(_ *request.Record, a *truth.Answer) { a.Arrived += ms },
			want: Step{TTFT: Error{P50: 1e6, P99: 1e6, Max: 1e6}}},
		{name: "a piece stamped late makes one gap too long and one too short", edit: func(r *request.Record, _ *truth.Answer) {
			r.Chunks[2].Gap += 5 * time.Millisecond
			r.Chunks[3].Gap -= 5 * time.Millisecond
			r.Chunks[3].Merged = true
		}, want: Step{Gap: Error{P99: 5e6, Max: 5e6}, Merged: 1.0 / 7, Why: "gaps are off by 5.0 ms at p99, above 2ms"}},
		{name: "a late sender is told, and judged by the client's own watch", edit: func(r *request.Record, _ *truth.Answer) { r.Scheduled -= 30 * ms },
			want: Step{Lag: Error{P50: 3e7, P99: 3e7, Max: 3e7}}},
		{name: "a client that says itself that it can't keep up", bad: func(m *measured) { m.bound = "client-bound: no core" }, want: Step{Why: "client-bound: no core"}},
		{name: "a piece too few", edit: func(r *request.Record, _ *truth.Answer) { r.Chunks = r.Chunks[1:] }, err: "request 7: 8 tokens in 8 pieces were sent, and 8 in 7 were read"},
		{name: "a token too many", edit: func(r *request.Record, _ *truth.Answer) { r.OutputTokens++ }, err: "request 7: 8 tokens in 8 pieces were sent, and 9 in 8 were read"},
		{name: "an answer that nobody sent", edit: func(r *request.Record, _ *truth.Answer) { r.Prompt = 8 }, err: "request 8 has an answer that the truth server knows nothing of"},
		{name: "an answer of another run", edit: func(_ *request.Record, a *truth.Answer) { a.ID = "pitwall-x-2-7" }, err: "request 7 has an answer that the truth server knows nothing of"},
		{name: "a failure", edit: func(r *request.Record, _ *truth.Answer) { r.Class, r.Message = request.Reset, "reset by peer" }, err: "a request ended as reset: reset by peer"},
		{name: "nothing but what was given up", edit: func(r *request.Record, _ *truth.Answer) { r.Class = request.Cancelled }, err: "no answer came to its end in the time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, a := answered(7, "pitwall-x-1-7", 8)
			if tt.edit != nil {
				tt.edit(r, &a)
			}
			m := m
			if tt.bad != nil {
				tt.bad(&m)
			}
			s, err := measure([]*request.Record{r}, []truth.Answer{a, {ID: "else"}}, m)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("%v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want
			want.Streams, want.Requests, want.Stamped, want.Holds = 1, 1, true, want.Why == ""
			want.TTFT.Count, want.Gap.Count, want.Lag.Count = 1, 7, 1
			want.Tokens = 53 // 8 tokens from 50 ms on in the 150 ms after the ramp
			if d := cmp.Diff(want, s); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestWhichLoadIsTriedNext(t *testing.T) {
	yes, no := func(n int) Step { return Step{Streams: n, Holds: true} }, func(n int) Step { return Step{Streams: n} }
	for _, tt := range []struct {
		name string
		done []Step
		want int
	}{
		{"more while it holds", []Step{yes(64)}, 256},
		{"and more", []Step{yes(64), yes(256)}, 1024},
		{"less when it doesn't", []Step{no(64)}, 32},
		{"and less", []Step{no(64), no(32)}, 16},
		{"to one and no further", []Step{no(1)}, 0},
		{"between the two once the edge is passed", []Step{yes(64), no(256)}, 160},
		{"from the other side too", []Step{no(64), yes(32)}, 48},
		{"until the two are near", []Step{yes(64), no(256), yes(160), yes(208)}, 0},
		{"never beyond what hosts have", []Step{yes(2000)}, 4096},
		{"and then no more", []Step{yes(4096)}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := (&rig{}).next(tt.done); got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

func certificate() *Certificate {
	return &Certificate{Host: "box", Cores: 8, Version: "v1", At: time.Unix(1795597278, 0).UTC(), Stamped: true, Asked: 64, Rate: 50, Bounds: DefaultBounds(),
		Steps: []Step{{Streams: 64, Tokens: 3000, Requests: 10, Stamped: true, Holds: true}, {Streams: 256, Tokens: 12000, Why: "TTFT is off"}}, Streams: 64, Tokens: 3000}
}

func TestWhatACertificateCovers(t *testing.T) {
	c := certificate()
	nowhere := &Certificate{Steps: []Step{{Streams: 64, Why: "late"}, {Streams: 32, Why: "late too"}}}
	for _, tt := range []struct {
		name string
		c    *Certificate
		l    Load
		want string
	}{
		{"less than was measured", c, Load{Streams: 16, Tokens: 800}, ""},
		{"exactly that", c, Load{Streams: 64, Tokens: 3000}, ""},
		{"a hair more, as loads are", c, Load{Streams: 66, Tokens: 3100}, ""},
		{"what nobody knows", c, Load{}, ""},
		{"more streams", c, Load{Streams: 128, Tokens: 800}, "128 streams at a time, and this client was found good up to 64: pitwall calibrate --streams 128 measures it there"},
		{"more tokens", c, Load{Streams: 50, Tokens: 5000}, "5000 tokens/s, and this client was found good up to 3000: pitwall calibrate --streams 50 --rate 100 measures it there"},
		{"anything, where nothing was good", nowhere, Load{Streams: 1}, "this client was out of bounds at every load that was measured, down to 32 streams (late too)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ok, why := tt.c.Covers(tt.l)
			if ok != (tt.want == "") || why != tt.want {
				t.Errorf("%v %q, want %q", ok, why, tt.want)
			}
		})
	}
}

func TestACertificateIsOfOneHostAndVersion(t *testing.T) {
	c := certificate()
	for _, tt := range []struct {
		host    string
		cores   int
		version string
		want    string
	}{
		{"box", 8, "v1", ""},
		{"other", 8, "v1", `the calibration is of "box", and this is "other"`},
		{"box", 4, "v1", "the calibration is of 8 cores, and pitwall may use 4 now"},
		{"box", 8, "v2", "the calibration is of pitwall v1, and this is v2"},
	} {
		if ok, why := c.of(tt.host, tt.cores, tt.version); why != tt.want || ok != (tt.want == "") {
			t.Errorf("%v %q, want %q", ok, why, tt.want)
		}
	}
	if ok, _ := c.Here("v1"); ok {
		t.Error("this host is not called box with 8 cores by chance")
	}
}

func TestKeeping(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "calibration.json")
	if _, err := Read(path); !errors.Is(err, ErrNone) {
		t.Errorf("none: %v", err)
	}
	c := certificate()
	for range 2 { // the second over the first
		if err := c.Write(path); err != nil {
			t.Fatal(err)
		}
	}
	back, err := Read(path)
	if d := cmp.Diff(c, back); err != nil || d != "" {
		t.Error(err, d)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(left) != 1 {
		t.Errorf("left behind: %q", left)
	}
	for _, text := range []string{"", "{", "{}", "[1]", `{"at": "2026-01-01T00:00:00Z"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "pitwall calibrate makes a new one") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Read(filepath.Dir(path)); err == nil {
		t.Error("a directory is no certificate")
	}
	if err := c.Write(filepath.Join(path, "below", "a", "file")); err == nil {
		t.Error("written below a file")
	}
}

func TestTheJSONSaysWhatItIs(t *testing.T) {
	b, err := json.Marshal(certificate())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"host":"box"`, `"kernel_stamps":true`, `"streams":64`, `"tokens_per_second":3000`, `"ttft_error":{"p50":0`, `"bounds":{"ttft":2000000`} {
		if !strings.Contains(string(b), key) {
			t.Errorf("no %s in %s", key, b)
		}
	}
}

func TestIDsOfRequests(t *testing.T) {
	for id, want := range map[string][2]uint32{"pitwall-abc-3-17": {3, 17}, "a-b-c-0-4294967295": {0, 4294967295}} {
		if run, prompt, ok := numbers(id); !ok || run != want[0] || prompt != want[1] {
			t.Errorf("%s: %d %d %v", id, run, prompt, ok)
		}
	}
	for _, id := range []string{"", "-", "1-2", "x-1-", "x-1-4294967296", "x-y-1", "pitwall-a-1-2.1", "x--1"} {
		if _, _, ok := numbers(id); ok {
			t.Errorf("%q is read", id)
		}
	}
}
