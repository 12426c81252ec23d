package live

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pitwall/probes/engine/dialect"
	"pitwall/sessions"
	"pitwall/ui/internal/staged"
	"pitwall/ui/screen"
)

// record makes a real recording of so many seconds, on disk, and a reader of it.
func record(t testing.TB, seconds ...int) (*staged.Recording, sessions.Reader) {
	t.Helper()
	r, err := staged.Record(t.TempDir(), clock.Add(-16*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range seconds {
		if i%2 == 1 {
			r.Skip(n)
			continue
		}
		if err := r.Run(n); err != nil {
			t.Fatal(err)
		}
	}
	path := r.Info().Path
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	saved, err := sessions.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = saved.Close() })
	return r, saved
}

// replayed makes a replay of a reader, frozen at a moment.
func replayed(t testing.TB, r sessions.Reader, at time.Time, w, h int) *Model {
	t.Helper()
	m := New(Options{Reader: r, Now: clock, Window: 5 * time.Minute, Replay: &Replay{At: at, Frozen: true}})
	m.Update(screen.Size{W: w, H: h})
	run(m, m.Init())
	return m
}

// TestEveryNumberAtTheCursorIsWhatPromQLGivesThere asks every panel's queries at the moments that the cursor goes to, and
// looks for the answers on the screen.
func TestEveryNumberAtTheCursorIsWhatPromQLGivesThere(t *testing.T) {
	_, r := record(t, 600)
	first, last := r.Bounds()
	d, _ := dialect.Named("vllm")
	engineOnly := sessions.Scope{Dialect: d, Sel: `job="vllm",instance="127.0.0.1:8000"`}
	for _, at := range []time.Time{first.Add(15 * time.Second), first.Add(199 * time.Second), first.Add(207 * time.Second), first.Add(333 * time.Second), last} {
		m := replayed(t, r, at, 200, 60)
		pic := picture(m, 200, 60)
		mustShow(t, pic, " FROZEN  "+at.Local().Format("15:04:05"), into(at.Sub(first))+" in")
		compared := 0
		for _, p := range m.panels {
			v := m.viewNow(screen.Frame{Now: m.now})
			for _, row := range p.rows(v) {
				if row.query == "" || row.format == nil {
					continue
				}
				q := p.query(row.query)
				if q.expr == "" || q.by != "" || q.name != "" {
					continue
				}
				sc := engineOnly
				if q.scope != engineScope {
					sc = sessions.Scope{}
				}
				res, err := r.Query(context.Background(), q.expr, at, sc)
				if err != nil {
					t.Fatal(err)
				}
				want := "—"
				if vec := res.Vector(); len(vec) > 0 && vec[0].F == vec[0].F {
					if q.id == "kv_mean" {
						continue // shown as blocks and tokens, which another test holds
					}
					if row.label == "from cache" {
						continue // a ratio of two answers
					}
					want = row.format(vec[0].F)
				}
				found := false
				for _, l := range strings.Split(pic, "\n") {
					if i := strings.Index(l, row.label+" "); i >= 0 && strings.HasPrefix(strings.TrimLeft(l[i+len(row.label):], " "), want) {
						found = true
					}
				}
				if !found {
					t.Errorf("at %s: %s reads %q, PromQL gives %s", at.Format("15:04:05"), row.label, row.text(), want)
				}
				compared++
			}
		}
		if compared < 8 {
			t.Errorf("only %d numbers were compared", compared)
		}
	}
}

func TestAMomentInAGapSaysThatNothingWasRecorded(t *testing.T) {
	_, r := record(t, 120, 40, 120)
	first, _ := r.Bounds()
	m := replayed(t, r, first.Add(140*time.Second), 160, 45)
	pic := picture(m, 160, 45)
	mustShow(t, pic, " NO DATA ", "not recorded: gap of 41s")
	mustNotShow(t, pic, "running           1")
	m = replayed(t, r, first.Add(100*time.Second), 160, 45)
	mustNotShow(t, picture(m, 160, 45), "not recorded")
}

func TestAGapTooShortToBeEmptyShowsHeldValuesAsSuch(t *testing.T) {
	_, r := record(t, 120, 4, 120)
	first, _ := r.Bounds()
	for _, tc := range []struct {
		name string
		into time.Duration
		want string
	}{
		{"before it nothing is held", 119 * time.Second, ""},
		{"within it values are held, and say since when", 122 * time.Second, " held 3s "},
		{"after it nothing is held", 125 * time.Second, ""},
	} {
		m := replayed(t, r, first.Add(tc.into), 160, 45)
		v := m.viewNow(screen.Frame{Now: m.now})
		for _, sc := range []scope{engineScope, gpuScope, hostScope} {
			if got := v.age(sc); got != tc.want {
				t.Errorf("%s: the age of scope %v is %q, want %q", tc.name, sc, got, tc.want)
			}
		}
		if pic := picture(m, 160, 45); strings.Contains(pic, "held 3s") != (tc.want != "") {
			t.Errorf("%s:\n%s", tc.name, pic)
		}
	}
}

func TestTheFirstReadingSaysWhyThereIsNoRate(t *testing.T) {
	_, r := record(t, 60)
	first, _ := r.Bounds()
	pic := picture(replayed(t, r, first, 160, 45), 160, 45)
	mustShow(t, pic, firstReading)
	mustNotShow(t, pic, "no prompts in")
	mustNotShow(t, picture(replayed(t, r, first.Add(30*time.Second), 160, 45), 160, 45), firstReading)
}

func TestAStallIsFoundByJumpingFromEventToEvent(t *testing.T) {
	_, r := record(t, 400)
	first, _ := r.Bounds()
	m := replayed(t, r, first, 160, 45)
	press(t, m, "n")
	if want := first.Add(200 * time.Second); !m.snap.at.Equal(want) {
		t.Fatalf("n goes to %v, want %v", m.snap.at, want)
	}
	mustShow(t, picture(m, 160, 45), "✗ STALLED", "14 running, no token counter moved", "ongoing")
	press(t, m, "n")
	mustShow(t, picture(m, 160, 45), "● READY", "lasted 14s")
	press(t, m, "N")
	mustShow(t, picture(m, 160, 45), "✗ STALLED")
}

func TestTwoMarkedTimesShowWhatCountersRoseBy(t *testing.T) {
	_, r := record(t, 400)
	first, _ := r.Bounds()
	m := replayed(t, r, first.Add(60*time.Second), 160, 45)
	press(t, m, "x")
	run(m, m.jump(first.Add(120*time.Second)))
	press(t, m, "x")
	pic := picture(m, 160, 45)
	// 240 tokens a second, one preemption in 40 s: at 80 and 120.
	mustShow(t, pic, "A 00:01:45 → B 00:02:45", "1m00s", "14,400 in all", "5 → 9  Δ +4", "2 in all", "A → B")
	press(t, m, "X")
	mustNotShow(t, picture(m, 160, 45), "in all", "A → B")
}

func TestReplayPlaysAndStopsAtTheEnd(t *testing.T) {
	_, r := record(t, 60)
	first, last := r.Bounds()
	m := New(Options{Reader: r, Now: clock, Replay: &Replay{At: first, Speed: 10}})
	m.Update(screen.Size{W: 160, H: 45})
	run(m, m.Init())
	mustShow(t, picture(m, 160, 45), " REPLAY ×10 ")
	for i := 1; i <= 3; i++ {
		run(m, m.Update(screen.Tick{Now: clock.Add(time.Duration(i) * time.Second)}))
	}
	if want := first.Add(30 * time.Second); !m.snap.at.Equal(want) {
		t.Errorf("after 3 s at ten times the screen is at %v, want %v", m.snap.at, want)
	}
	for i := 4; i <= 8; i++ {
		run(m, m.Update(screen.Tick{Now: clock.Add(time.Duration(i) * time.Second)}))
	}
	mustShow(t, picture(m, 160, 45), " FROZEN ", "00:00:59 in of 00:00:59")
	if !m.snap.at.Equal(last) {
		t.Errorf("it stops at %v, want %v", m.snap.at, last)
	}
}

func TestAReplayBeginsWithTheCursorInItsCharts(t *testing.T) {
	_, r := record(t, 900)
	first, last := r.Bounds()
	for name, tc := range map[string]struct{ at, span time.Time }{
		"at the beginning they begin with it": {first, first.Add(5 * time.Minute)},
		"in the middle it is in theirs":       {first.Add(450 * time.Second), first.Add(600 * time.Second)},
		"at the end they end with it":         {last, last},
	} {
		m := replayed(t, r, tc.at, 160, 45)
		if !m.snap.at.Equal(tc.at) || !m.until.Equal(tc.span) {
			t.Errorf("%s: the cursor is at %v, the charts end at %v; want %v, %v", name, m.snap.at, m.until, tc.at, tc.span)
		}
	}
}

func TestAReplayBeginsWithJustTheWindowThatIsAskedFor(t *testing.T) {
	_, r := record(t, 78)
	first, last := r.Bounds()
	m := New(Options{Reader: r, Now: clock, Window: 80 * time.Second, Replay: &Replay{At: last, Frozen: true}})
	m.Update(screen.Size{W: 160, H: 45})
	run(m, m.Init())
	if m.length != 80*time.Second || m.until.Sub(first) > 80*time.Second {
		t.Errorf("the charts show %v up to %v", m.length, m.until)
	}
	mustShow(t, picture(m, 160, 45), "window 1m20s")
	press(t, m, "[")
	mustShow(t, picture(m, 160, 45), "window 1m ")
	press(t, m, "]")
	press(t, m, "]")
	mustShow(t, picture(m, 160, 45), "window 15m")
}

func TestAReadingThatIsMissingForLongerThanItTakesIsAGap(t *testing.T) {
	for _, tc := range []struct {
		name  string
		every []time.Duration
		want  time.Duration
	}{
		{"of sources each second, after three", []time.Duration{5 * time.Second, time.Second}, 3 * time.Second},
		{"of a lone engine, after its interval and two", []time.Duration{4 * time.Second}, 6 * time.Second},
		{"of a slow one, after six", []time.Duration{time.Minute}, 6 * time.Second},
		{"of none, after six", nil, 6 * time.Second},
	} {
		var targets []sessions.Target
		for _, e := range tc.every {
			targets = append(targets, sessions.Target{Every: e})
		}
		if got := gapFrom(targets); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestEdgesOfASession walks through sessions that are hardly there.
func TestEdgesOfASession(t *testing.T) {
	for _, seconds := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("%d s", seconds), func(t *testing.T) {
			_, r := record(t, seconds)
			first, last := r.Bounds()
			m := replayed(t, r, first.Add(-time.Hour), 80, 24)
			for _, k := range []string{"left", "right", "pgup", "pgdown", "home", "n", "N", "[", "]", "w", "w", "w", "w", "w", "w", "x", "right", "x", "end", "space", "space"} {
				press(t, m, k)
				if m.snap.at.Before(first) || m.snap.at.After(last) {
					t.Fatalf("%s leads to %v, outside of %v … %v", k, m.snap.at, first, last)
				}
				picture(m, 80, 24)
			}
		})
	}
}

// BenchmarkScrub measures one step of the cursor over a recorded day until its numbers are there (budget: 100 ms), and one
// that moves the charts. PITWALL_BENCH_HOURS makes the day shorter.
func BenchmarkScrub(b *testing.B) {
	hours := 24
	if s := os.Getenv("PITWALL_BENCH_HOURS"); s != "" {
		if _, err := fmt.Sscan(s, &hours); err != nil {
			b.Fatal(err)
		}
	}
	_, r := record(b, hours*3600)
	first, last := r.Bounds()
	for _, bc := range []struct {
		name, window, key string
	}{{"step in five minutes", "5m", "left"}, {"page in five minutes", "5m", "pgup"}, {"step in the whole day", "session", "left"}} {
		b.Run(bc.name, func(b *testing.B) {
			m := replayed(b, r, first.Add(last.Sub(first)/2), 200, 50)
			for i, w := range windows {
				if w.name == bc.window {
					m.window = i
				}
			}
			start := time.Now()
			run(m, m.restart())
			whole := time.Since(start)
			b.ResetTimer()
			var worst time.Duration
			for b.Loop() {
				start := time.Now()
				if bc.key == "left" {
					run(m, m.step(-1))
				} else {
					run(m, m.half(-1))
				}
				worst = max(worst, time.Since(start))
			}
			b.ReportMetric(float64(worst.Milliseconds()), "ms/worst")
			b.ReportMetric(float64(whole.Milliseconds()), "ms/window")
		})
	}
}
