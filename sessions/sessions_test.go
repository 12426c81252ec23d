package sessions

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
)

// page is a source whose reading at a tick is a function of how many ticks have gone by.
type page struct {
	job, instance string
	every         time.Duration
	n             int
	read          func(n int) probes.Reading
}

func (p *page) Target() (string, string) { return p.job, p.instance }

func (p *page) Every() time.Duration { return max(p.every, Tick) }

func (p *page) Read(context.Context) probes.Reading { p.n++; return p.read(p.n - 1) }

func sample(v float64, kv ...string) probes.Sample {
	return probes.Sample{Labels: labels.FromStrings(kv...), Value: v}
}

// t0 lies in the middle of a block, so that tests cross block borders at odd places.
var t0 = time.UnixMilli(1_800_000_000_000 + 41_000)

func drive(t testing.TB, r *Recorder, from, ticks int) {
	t.Helper()
	for i := from; i < from+ticks; i++ {
		if err := r.Tick(context.Background(), t0.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
}

func newTestRecorder(t testing.TB, o Options) *Recorder {
	t.Helper()
	r, err := NewRecorder(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func one(t testing.TB, r Reader, expr string, at time.Time) float64 {
	t.Helper()
	res, err := r.Query(context.Background(), expr, at, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	v := res.Vector()
	if len(v) != 1 {
		t.Fatalf("%s at %s: %d series, want 1: %v", expr, at, len(v), v)
	}
	return v[0].F
}

func none(t testing.TB, r Reader, expr string, at time.Time) {
	t.Helper()
	res, err := r.Query(context.Background(), expr, at, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	if v := res.Vector(); len(v) != 0 {
		t.Fatalf("%s at %s: %v, want nothing", expr, at, v)
	}
}

func at(i int) time.Time { return t0.Add(time.Duration(i) * time.Second) }

// engine counts 7 tokens a second, restarts at tick 100, and holds a gauge that is the tick.
func engine() *page {
	return &page{job: "vllm", instance: "e:1", read: func(n int) probes.Reading {
		c := float64(7 * n)
		if n >= 100 {
			c = float64(7 * (n - 100))
		}
		h := &histogram.FloatHistogram{Schema: 3, Count: float64(n), Sum: float64(n), ZeroThreshold: 1e-9,
			PositiveSpans: []histogram.Span{{Offset: 2, Length: 1}}, PositiveBuckets: []float64{float64(n)}}
		return probes.Reading{
			Samples: []probes.Sample{
				sample(c, "__name__", "tokens_total", "engine", "0"),
				sample(float64(n), "__name__", "now"),
				{Labels: labels.FromStrings("__name__", "lat"), Hist: h},
			},
			Meta:  map[string]probes.Meta{"tokens": {Type: model.MetricTypeCounter, Help: "Tokens."}},
			Facts: map[string]string{"engine/e:1/version": map[bool]string{false: "0.31.0", true: "0.32.0"}[n >= 100]},
		}
	}}
}

// A session answers the same while it is recorded, to a reader that follows its file, and after it was closed.
func TestEveryReaderGivesTheSameAnswers(t *testing.T) {
	dir := t.TempDir()
	src := engine()
	r := newTestRecorder(t, Options{Dir: dir, Host: "box", Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 50)
	follower, err := open(r.path)
	if err != nil {
		t.Fatal(err)
	}
	const ticks = 2000 // more than memory keeps
	for i := 50; i < ticks; i += 50 {
		drive(t, r, i, 50)
		if err := follower.read(); err != nil {
			t.Fatal(err)
		}
	}
	check := func(name string, rd Reader) {
		t.Helper()
		for _, i := range []int{3, 99, 100, 119, 120, 700, 1250, 1700, ticks - 1} {
			if got := one(t, rd, "now", at(i)); got != float64(i) {
				t.Errorf("%s: now at tick %d = %v", name, i, got)
			}
			if got := one(t, rd, `lat`, at(i)); i > 0 && got != 0 {
				t.Errorf("%s: a native histogram reads as the float %v", name, got)
			}
			if got := one(t, rd, `histogram_count(lat)`, at(i)); got != float64(i) {
				t.Errorf("%s: histogram_count at tick %d = %v", name, i, got)
			}
		}
		if got := one(t, rd, "rate(tokens_total[1m])", at(1900)); math.Abs(got-7) > 1e-9 {
			t.Errorf("%s: rate = %v, want 7", name, got)
		}
		if got := one(t, rd, "increase(tokens_total[1500s] anchored)", at(1600)); got != 7*1500 {
			t.Errorf("%s: increase anchored = %v, want %d", name, got, 7*1500)
		}
		// The counter restarted at tick 100: what came after the last sample before it is lost, nothing else.
		if got := one(t, rd, "increase(tokens_total[50s] anchored)", at(120)); got != 7*29+7*20 {
			t.Errorf("%s: increase over the restart = %v, want %d", name, got, 7*29+7*20)
		}
		res, err := rd.QueryRange(context.Background(), "now", at(0), at(ticks-1), time.Second, Scope{})
		if err != nil {
			t.Fatal(err)
		}
		if m := res.Matrix(); len(m) != 1 || len(m[0].Floats) != ticks {
			t.Errorf("%s: the whole range has %d series", name, len(m))
		} else {
			for i, p := range m[0].Floats {
				if p.F != float64(i) {
					t.Fatalf("%s: point %d of the whole range is %v", name, i, p.F)
				}
			}
		}
		if got := rd.Facts(at(99))["engine/e:1/version"]; got != "0.31.0" {
			t.Errorf("%s: version before the restart: %q", name, got)
		}
		if got := rd.Facts(at(100))["engine/e:1/version"]; got != "0.32.0" {
			t.Errorf("%s: version after the restart: %q", name, got)
		}
		first, last := rd.Bounds()
		if !first.Equal(at(0)) || !last.Equal(at(ticks-1)) {
			t.Errorf("%s: bounds %s … %s", name, first, last)
		}
		tg := rd.Targets(at(ticks - 1))
		if len(tg) != 2 || tg[1].Job != "vllm" || !tg[1].Up || tg[1].Samples != 3 || tg[1].Every != time.Second {
			t.Errorf("%s: targets %+v", name, tg)
		}
		if s := rd.Series("tokens_total"); len(s) != 1 || s[0].Type != "counter" || s[0].Labels["job"] != "vllm" || s[0].Help != "Tokens." {
			t.Errorf("%s: series %+v", name, s)
		}
	}
	check("recorder", r)
	check("follower", follower)
	if got := follower.Info().Recording; got != RecordingElsewhere {
		t.Errorf("the follower says %s", got)
	}
	path := r.path
	follower.Close()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 1 || left[0] != path {
		t.Errorf("a clean end leaves %v, want one file", left)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	check("saved", s)
	if i := s.Info(); i.Recording != Saved || i.Host != "box" || !i.Ended.Equal(at(ticks-1)) || i.Simulated {
		t.Errorf("saved session says %+v", i)
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
		t.Errorf("file mode %v", st.Mode())
	}
}

func TestMissingIsNotZero(t *testing.T) {
	src := &page{job: "j", instance: "i", read: func(n int) probes.Reading {
		switch {
		case n == 5:
			return probes.Reading{Err: errors.New("scrape http://user:pw@e:1/metrics: connection refused")}
		case n >= 10:
			return probes.Reading{Samples: []probes.Sample{sample(1, "__name__", "b")}}
		}
		return probes.Reading{Samples: []probes.Sample{sample(1, "__name__", "a"), sample(2, "__name__", "b")}}
	}}
	sources := []probes.Source{src}
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return sources }})
	defer r.Close()
	drive(t, r, 0, 20)
	one(t, r, "a", at(4))
	none(t, r, "a", at(5)) // at once, not after the lookback
	if got := one(t, r, `up{job="j"}`, at(5)); got != 0 {
		t.Errorf("up = %v", got)
	}
	for _, tg := range r.Targets(at(5)) {
		if tg.Job == "j" && (tg.Up || tg.Err != "scrape http://e:1/metrics: connection refused" || !tg.LastOK.Equal(at(4))) {
			t.Errorf("target %+v", tg)
		}
	}
	one(t, r, "a", at(6))
	none(t, r, "a", at(10)) // the page no longer has it
	one(t, r, "b", at(10))
	sources = nil
	drive(t, r, 20, 5)
	none(t, r, "b", at(20)) // the source is gone
	for _, tg := range r.Targets(at(60)) {
		if tg.Job == "j" {
			t.Errorf("a source that is gone is still a target: %+v", tg)
		}
	}
}

func TestASlowSourceDelaysNobodyAndKeepsItsTick(t *testing.T) {
	gate := make(chan struct{})
	slow := &page{job: "slow", instance: "i", read: func(n int) probes.Reading {
		if n == 1 {
			<-gate
		}
		return probes.Reading{Samples: []probes.Sample{sample(float64(n), "__name__", "s")}}
	}}
	fast := &page{job: "fast", instance: "i", read: func(n int) probes.Reading {
		return probes.Reading{Samples: []probes.Sample{sample(float64(n), "__name__", "f")}}
	}}
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{slow, fast} }})
	defer r.Close()
	ctx := context.Background()
	step := func(i, want int) { // a tick that doesn't wait for everything, as run does
		r.begin(ctx, msOf(at(i)))
		for range want {
			r.take(<-r.results)
		}
		r.flush()
	}
	step(0, 3)
	step(1, 1) // fast only: slow hangs, pitwall's own is not due
	step(2, 2)
	if got := one(t, r, "f", at(2)); got != 2 {
		t.Errorf("f = %v", got)
	}
	close(gate)
	r.take(<-r.results)
	r.flush()
	if got := one(t, r, "timestamp(s)", at(2)); got != float64(at(1).Unix()) {
		t.Errorf("the late reading is stamped %v, want the tick it was asked at", got)
	}
	if slow.n != 2 {
		t.Errorf("a source was asked %d times, want 2: never while it is being asked", slow.n)
	}
}

func TestSamplesThatAreNotNewerAreRefusedAndCounted(t *testing.T) {
	src := &page{job: "j", instance: "i", read: func(int) probes.Reading {
		return probes.Reading{Samples: []probes.Sample{sample(1, "__name__", "a"), sample(2, "__name__", "a")}}
	}}
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	defer r.Close()
	drive(t, r, 0, 3)
	if got := one(t, r, "a", at(2)); got != 1 {
		t.Errorf("a = %v", got)
	}
	if got := r.Info().Dropped; got != 3 {
		t.Errorf("dropped %d, want 3", got)
	}
}

func TestDetachAndResume(t *testing.T) {
	dir := t.TempDir()
	src := engine()
	opt := Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{src} }}
	r := newTestRecorder(t, opt)
	drive(t, r, 0, 130)
	if _, err := Resume(context.Background(), r.path, opt); !errors.Is(err, ErrRecording) {
		t.Fatalf("a second recorder was let in: %v", err)
	}
	if err := r.Mark("before the hand-over"); err != nil {
		t.Fatal(err)
	}
	if err := r.Detach(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(r.path)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Info().Recording; got != RecorderDied {
		t.Errorf("after Detach the session is %s", got)
	}
	if got := one(t, s, "now", at(129)); got != 129 {
		t.Errorf("now = %v", got)
	}
	s.Close()
	again, err := Resume(context.Background(), r.path, opt)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, last := again.Bounds(); return last.After(at(131)) })
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open(r.path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 130 {
		if got := one(t, s, "now", at(i)); got != float64(i) {
			t.Fatalf("now at tick %d = %v after the hand-over", i, got)
		}
	}
	_, last := s.Bounds()
	if got := one(t, s, "now", last); got < 130 {
		t.Errorf("the second recorder's reading is %v", got)
	}
	var titles []string
	for _, e := range s.Events(time.Time{}, last.Add(time.Hour)) {
		if e.Kind != "recorder.clock" { // the ticks above are not of today
			titles = append(titles, e.Kind+": "+e.Title)
		}
	}
	if len(titles) != 2 || titles[0] != "mark: before the hand-over" || !strings.HasPrefix(titles[1], "recorder.gap: not recorded for ") {
		t.Errorf("events %q", titles)
	}
	if _, err := Resume(context.Background(), r.path, opt); err == nil || !strings.Contains(err.Error(), "was ended at") {
		t.Errorf("an ended session was resumed: %v", err)
	}
}

// waitFor polls a condition that other goroutines bring about.
func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 20 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestMemoryDoesNotGrowWithTheSession(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	defer r.Close()
	chunks := func() (n int) {
		for _, s := range r.head.series {
			n += len(s.done)
		}
		return n
	}
	drive(t, r, 0, 1500)
	before := chunks()
	drive(t, r, 1500, 3000)
	if after := chunks(); after > before {
		t.Errorf("%d chunks in memory after 25 minutes, %d after 75", before, after)
	}
}

func TestReadOnlyDirectoryIsShownAndTheScreenLivesOn(t *testing.T) {
	if os.Getuid() == 0 {
		// root writes anywhere: a file in the place of the directory refuses everybody.
		t.Log("running as root: a file stands where the directory should be")
	}
	dir := filepath.Join(t.TempDir(), "sessions")
	if err := os.WriteFile(dir, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	src := engine()
	r, err := Record(context.Background(), Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{src} }})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { _, last := r.Bounds(); return !last.IsZero() })
	i := r.Info()
	if i.Recording != NotStored || !strings.Contains(i.Trouble, "not a directory") || i.Path != "" {
		t.Errorf("info %+v", i)
	}
	_, last := r.Bounds()
	one(t, r, "now", last)
	if err := r.Close(); err != nil {
		t.Errorf("closing what was never stored: %v", err)
	}
}

func TestDiskThatFillsUpLosesNothingWhenItRecovers(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 10)
	if _, err := r.w.db.Exec("PRAGMA max_page_count=1"); err != nil { // SQLite's own way to be full
		t.Fatal(err)
	}
	for i := 10; i < 400; i++ {
		r.Tick(context.Background(), at(i)) //nolint:errcheck // it says "disk full" sooner or later
	}
	if i := r.Info(); i.Recording != NotStored || !strings.HasPrefix(i.Trouble, "disk full") {
		t.Fatalf("info %+v", i)
	}
	one(t, r, "now", at(399))
	if _, err := r.w.db.Exec("PRAGMA max_page_count=1000000"); err != nil {
		t.Fatal(err)
	}
	drive(t, r, 400, 5)
	path := r.path
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 405 {
		if got := one(t, s, "now", at(i)); got != float64(i) {
			t.Fatalf("now at tick %d = %v", i, got)
		}
	}
}

func TestDamageIsLeftOutAndTold(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 600)
	path := r.path
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := openWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	block := blockOf(msOf(at(200)))
	var data []byte
	key := blockKey(r.head.byName["now"].id, block)
	if err := w.db.QueryRow("SELECT data FROM blocks WHERE key=?", key).Scan(&data); err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if _, err := w.db.Exec("UPDATE blocks SET data=? WHERE key=?", data, key); err != nil {
		t.Fatal(err)
	}
	w.close(true)
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	res, err := s.QueryRange(context.Background(), "now", at(0), at(599), time.Second, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "damaged block left out") {
		t.Errorf("warnings %q", res.Warnings)
	}
	for _, p := range res.Matrix()[0].Floats {
		if want := math.Round(float64(p.T-msOf(t0)) / 1000); p.F > want || p.F < want-10 { // the lookback bridges a few seconds
			t.Fatalf("at %d the damaged session says %v, want %v or nothing", p.T, p.F, want)
		}
	}
}

func TestScopeIsPutIntoTheExpression(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Sources: func() []probes.Source { return []probes.Source{src} }})
	defer r.Close()
	drive(t, r, 0, 60)
	for _, tt := range []struct{ expr, want string }{
		{"sum(rate(tokens_total{$sel}[$w]))", `sum(rate(tokens_total{job="vllm"}[30s]))`},
		{`sum(rate(tokens_total{$sel,engine="0"}[$__rate_interval]))`, `sum(rate(tokens_total{job="vllm",engine="0"}[30s]))`},
		{"avg_over_time(now[$__range:$__interval])", "avg_over_time(now[30s:1s])"},
	} {
		res, err := r.Query(context.Background(), tt.expr, at(59), Scope{Sel: `job="vllm"`, Window: 30 * time.Second})
		if err != nil || res.Expr != tt.want {
			t.Errorf("%s became %s, %v", tt.expr, res.Expr, err)
		}
	}
	res, err := r.Query(context.Background(), `sum(rate(tokens_total{$sel,engine="0"}[$w]))`, at(59), Scope{})
	if err != nil || res.Window != 10*time.Second || len(res.Vector()) != 1 {
		t.Errorf("without a scope: %+v, %v", res, err)
	}
	if _, err := r.Query(context.Background(), "sum(", at(59), Scope{}); err == nil || !strings.Contains(err.Error(), "query sum(") {
		t.Errorf("a broken expression says %v", err)
	}
	if _, err := r.Query(context.Background(), "max_over_time(now[1m:])", at(59), Scope{}); err != nil {
		t.Errorf("a subquery without a step: %v", err)
	}
	res, err = r.QueryRange(context.Background(), "rate(tokens_total[$w])", at(0), at(59), 20*time.Second, Scope{})
	if err != nil || res.Window != 20*time.Second {
		t.Errorf("the window of a range query is at least its step: %s, %v", res.Window, err)
	}
}
