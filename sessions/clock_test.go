package sessions

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pitwall/probes"
)

// clocks are a host's clocks that a test sets; inside a synctest bubble they run without anybody waiting.
type clocks struct {
	mu                sync.Mutex
	start             time.Time
	set, slept, stood time.Duration // by how much: the wall clock was set, the machine slept, everything stood still
	ppm               int           // how wrong the wall clock runs
	zone              *time.Location
}

func (c *clocks) read() moment {
	c.mu.Lock()
	defer c.mu.Unlock()
	up := time.Since(c.start)
	drift := up * time.Duration(c.ppm) / 1_000_000
	return moment{wall: time.Now().Add(c.set + c.slept + c.stood + drift).In(c.zone), boot: up + c.slept + c.stood, awake: up + c.stood}
}

func (c *clocks) change(f func(*clocks)) { c.mu.Lock(); defer c.mu.Unlock(); f(c) }

// A gap in the middle of what only the journal holds ends the series there, and is no damage.
func TestWhatFollowsAGapIsReadBackWhoeverReadsIt(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 30)
	drive(t, r, 38, 20) // eight seconds late, in the same block
	check := func(who string, rd Reader) {
		t.Helper()
		for i, want := range map[int]float64{29: 29, 38: 30, 57: 49} { // the source counts its readings
			if got := one(t, rd, "now", at(i)); got != want {
				t.Errorf("%s: now at tick %d = %v", who, i, got)
			}
		}
		none(t, rd, "now", at(30)) // no line is drawn across
		none(t, rd, "now", at(37))
		if tr := rd.Info().Trouble; tr != "" {
			t.Errorf("%s: trouble %q", who, tr)
		}
	}
	check("its recorder", r)
	along, err := open(r.path)
	must(t, err)
	check("who reads along", along)
	along.Close()
	must(t, r.Detach()) // as a kill would leave it
	died, err := open(r.path)
	must(t, err)
	must(t, died.verify(context.Background(), func() {}))
	check("who reads what is left", died)
	died.Close()
	again, err := Resume(context.Background(), r.path, Options{})
	must(t, err)
	must(t, again.Close())
	s, err := Open(r.path)
	must(t, err)
	defer s.Close()
	check("who reads what was gone on with", s)
}

// What the host's clocks do to a recording of a minute: after 20 s something happens to them.
func TestTheHostsClocks(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*clocks)
		events []string      // kind and the beginning of the title
		length time.Duration // of the session
		offset time.Duration // host's clock minus the session's at the end
		gap    time.Duration // from the second 20 on nothing is there
	}{
		"that nobody sets leave no event": {change: func(*clocks) {}, length: 59 * time.Second},
		"set forward by an hour bend no tick and are told": {
			change: func(c *clocks) { c.set = time.Hour }, length: 59 * time.Second, offset: time.Hour,
			events: []string{"recorder.clock: the host's clock was set forward by 1h0m0s"},
		},
		"set back by an hour bend no tick and are told": {
			change: func(c *clocks) { c.set = -time.Hour }, length: 59 * time.Second, offset: -time.Hour,
			events: []string{"recorder.clock: the host's clock was set back by 1h0m0s"},
		},
		"corrected by NTP within half a second say nothing": {
			change: func(c *clocks) { c.set = 400 * time.Millisecond }, length: 59 * time.Second, offset: 400 * time.Millisecond,
		},
		"that summer time begins for say nothing": {
			change: func(c *clocks) { c.zone = time.FixedZone("CEST", 7200) }, length: 59 * time.Second,
		},
		"that run wrong are told as running wrong": {
			change: func(c *clocks) { c.ppm = 20_000 }, length: 59 * time.Second, offset: 1180 * time.Millisecond,
			events: []string{"recorder.clock: the host's clock is gaining: by 1s so far"},
		},
		"of a machine that was suspended leave a gap, with the right times behind it": {
			change: func(c *clocks) { c.slept = 2 * time.Hour }, length: 59*time.Second + 2*time.Hour, gap: 2 * time.Hour,
			events: []string{"recorder.gap: not recorded for 2h0m1s: the machine was suspended"},
		},
		"of a process that was stopped leave a gap": {
			change: func(c *clocks) { c.stood = 10 * time.Second }, length: 69 * time.Second, gap: 10 * time.Second,
			events: []string{"recorder.gap: not recorded for 11s: the recorder did not run"},
		},
		"of a process that was stopped for a moment leave none": {
			change: func(c *clocks) { c.stood = 3 * time.Second }, length: 62 * time.Second, gap: 0,
		},
		"of a suspended machine that woke up with a wrong clock are both told": {
			change: func(c *clocks) { c.slept, c.set = time.Hour, -time.Hour }, length: 59*time.Second + time.Hour, offset: -time.Hour, gap: time.Hour,
			events: []string{"recorder.clock: the host's clock was set back by 1h0m0s", "recorder.gap: not recorded for 1h0m1s: the machine was suspended"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				c := &clocks{start: time.Now(), zone: time.UTC}
				src := &page{job: "j", instance: "i", read: func(n int) probes.Reading {
					return probes.Reading{Samples: []probes.Sample{sample(float64(n), "__name__", "n"), sample(float64(n), "__name__", "c_total")}}
				}}
				began := time.Now()
				r, err := Record(t.Context(), Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{src} }, clocks: c.read})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(20*time.Second + 200*time.Millisecond)
				c.change(tt.change)
				time.Sleep(39 * time.Second)
				if got := time.Duration(r.offset.Load()) * time.Millisecond; (got - tt.offset).Abs() > 500*time.Millisecond {
					t.Errorf("the host's clock is told to be %s off, want %s", got, tt.offset)
				}
				path := r.path
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				s, err := Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				first, last := s.Bounds()
				if !first.Equal(began) || last.Sub(first) < tt.length-time.Second || last.Sub(first) > tt.length+time.Second {
					t.Errorf("the session goes from %s for %s, want %s", first, last.Sub(first), tt.length)
				}
				var told []string
				for _, e := range s.Events(time.Time{}, last.Add(time.Hour)) {
					told = append(told, e.Kind+": "+e.Title)
				}
				if len(told) != len(tt.events) {
					t.Fatalf("told %q, want %q", told, tt.events)
				}
				for i := range told {
					if !strings.HasPrefix(told[i], tt.events[i]) {
						t.Errorf("told %q, want %q", told[i], tt.events[i])
					}
				}
				if tt.gap == 0 {
					return
				}
				lastBefore := began.Add(20 * time.Second)
				one(t, s, "n", lastBefore)
				for _, d := range []time.Duration{time.Second, 2 * time.Second, tt.gap / 2, tt.gap - 2*time.Second} {
					none(t, s, "n", lastBefore.Add(d)) // not what the lookback still finds
				}
				one(t, s, "n", lastBefore.Add(tt.gap+2*time.Second))
				if got := s.Absent(lastBefore.Add(tt.gap / 2))["recorder"]; !strings.HasPrefix(got, "not recorded: ") {
					t.Errorf("absent in the gap: %q", got)
				}
				if got := s.Absent(last); len(got) != 0 {
					t.Errorf("absent behind the gap: %v", got)
				}
			})
		})
	}
}

// Within one boot a session's time goes on as it began, whatever the host's clock was set to while nobody recorded.
func TestARecorderThatGoesOnKeepsTheSessionsTime(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c := &clocks{start: time.Now(), zone: time.UTC}
		src := engine()
		opt := Options{Dir: dir, Sources: func() []probes.Source { return []probes.Source{src} }, clocks: c.read}
		r, err := Record(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		time.Sleep(10*time.Second + 100*time.Millisecond)
		if err := r.Detach(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		c.change(func(c *clocks) { c.set = -time.Hour })
		again, err := Resume(context.Background(), r.path, opt)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		_, last := again.Bounds()
		if got := last.Sub(began); got != 40*time.Second {
			t.Errorf("the session's time is %s after its beginning, want 40s", got)
		}
		none(t, again, "now", began.Add(11*time.Second))
		none(t, again, "now", began.Add(29*time.Second))
		one(t, again, "now", last)
		var told []string
		for _, e := range again.Events(time.Time{}, last.Add(time.Hour)) {
			told = append(told, e.Title)
		}
		slices.Sort(told)
		want := []string{"not recorded for 20s: nobody recorded", "the host's clock is 1h0m0s behind this session's: it was set while nobody recorded"}
		if len(told) != 2 || told[0] != want[0] || told[1] != want[1] {
			t.Errorf("told %q, want %q", told, want)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
