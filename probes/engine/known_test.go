package engine

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Who records goes, and another one goes on: what the state is then, since when, and whether that is an event.
func TestAStateGoesOnWithWhoRecordsItNext(t *testing.T) {
	known := func(state State, since, seen float64, pid int, born float64) Known {
		k := Known{Status: Status{State: state, Since: at(since), Reason: "its counters began again"}, Seen: at(seen), PID: pid}
		if born > 0 {
			k.Started = at(born)
		}
		return k
	}
	cases := []struct {
		what  string
		known Known
		first sight
		want  State
		since float64
		title string // of the event, empty if there is none
	}{
		{"the same process is ready as before: its age goes on", known(Ready, 100, 500, 7, 20), sight{at: 503, pid: 7, born: 20, work: idling()}, Ready, 100, ""},
		{"however long nobody looked", known(Ready, 100, 500, 7, 20), sight{at: 9000, pid: 7, born: 20, work: idling()}, Ready, 100, ""},
		{"its start is known to a second only", known(Ready, 100, 500, 7, 20), sight{at: 503, pid: 7, born: 20.9, work: idling()}, Ready, 100, ""},
		{"an engine elsewhere is the same if its page has the same start", known(Ready, 100, 500, 0, 20), sight{at: 503, far: true, work: started(20)}, Ready, 100, ""},
		{"an engine elsewhere that tells no start may be another", known(Ready, 100, 500, 0, 0), sight{at: 503, far: true, work: idling()}, Ready, 503, "ready"},
		{"another process a moment later is a restart", known(Ready, 100, 500, 7, 20), sight{at: 510, pid: 9, born: 505, work: idling()}, Restarted, 510, "restarted: process 9 instead of 7"},
		{"the same PID of a process that began later is another process", known(Ready, 100, 500, 7, 20), sight{at: 9000, pid: 7, born: 8000, work: idling()}, Ready, 9000, "ready"},
		{"another one after a long time is looked at anew", known(Ready, 100, 500, 7, 20), sight{at: 9000, pid: 9, born: 8000, work: idling()}, Ready, 9000, "ready"},
		{"an engine elsewhere with a new start is a restart", known(Ready, 100, 500, 0, 20), sight{at: 503, far: true, work: started(501)}, Restarted, 503, "restarted: its process began at"},
		{"it ended while nobody looked", known(Ready, 100, 500, 7, 20), sight{at: 503, how: Refused}, NoEngine, 503, "engine is gone: process 7 is gone"},
		{"that there is none goes on", known(NoEngine, 100, 500, 7, 20), sight{at: 503, how: Refused}, NoEngine, 100, ""},
		{"but not over a time in which it may have been there", known(NoEngine, 100, 500, 7, 20), sight{at: 9000, how: Refused}, NoEngine, 9000, "no engine"},
		{"one that came meanwhile is starting", known(NoEngine, 100, 500, 7, 20), sight{at: 503, how: Refused, pid: 9, born: 501}, Starting, 501, "starting"},
		{"a start goes on and ends as one", known(Starting, 100, 500, 7, 100), sight{at: 530, pid: 7, born: 100, work: idling()}, Ready, 530, "ready after 7m10s"},
		{"a stall goes on: one page says nothing else", known(Stalled, 100, 500, 7, 20), sight{at: 503, pid: 7, born: 20, work: Work{Own: true, Running: 3, Counts: true}}, Stalled, 100, ""},
		{"a stall whose work has gone is over", known(Stalled, 100, 500, 7, 20), sight{at: 503, pid: 7, born: 20, work: Work{Own: true, Counts: true}}, Ready, 503, "works again after standing still for 6m43s"},
		{"a stall of long ago is none of now", known(Stalled, 100, 500, 7, 20), sight{at: 9000, pid: 7, born: 20, work: Work{Own: true, Running: 3, Counts: true}}, Ready, 9000, "ready"},
		{"a restart is shown until its minute is over", known(Restarted, 470, 500, 7, 20), sight{at: 503, pid: 7, born: 20, work: idling()}, Restarted, 470, ""},
		{"and no longer", known(Restarted, 470, 500, 7, 20), sight{at: 531, pid: 7, born: 20, work: idling()}, Ready, 531, "ready"},
		{"a state that begins in the future is not believed: a clock was set", known(Ready, 600, 700, 7, 20), sight{at: 503, pid: 7, born: 20, work: idling()}, Ready, 503, "ready"},
		{"nothing known is nothing taken over", Known{}, sight{at: 503, pid: 7, born: 20, work: idling()}, Ready, 503, "ready"},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			s := scraper(t, "http://127.0.0.1:8000", Access{})
			s.known = &c.known
			o := c.first.observation()
			// As the tracker would be after this page.
			s.tracker.clock(o.At, &o.Work, 0)
			s.recall(&o)
			change, changed := s.machine.observe(o)
			st := s.machine.now
			if st.State != c.want || !st.Since.Equal(at(c.since)) {
				t.Errorf("%s since %v, want %s since %v", st.State, st.Since, c.want, at(c.since))
			}
			title := ""
			if changed {
				title = change.title()
			}
			if changed != (c.title != "") || !strings.HasPrefix(title, c.title) {
				t.Errorf("event %q, want %q", title, c.title)
			}
			if s.known != nil {
				t.Error("it would be recalled once more")
			}
		})
	}
}

// The way through a Watch: two of them, one after the other, on one engine that tells its own start.
func TestASecondWatchTakesTheStateOverFromTheFirst(t *testing.T) {
	f := newFake(t, "vllm-0.32-preempting.prom")
	u, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	first := watch(t, Options{URLs: []string{f.URL}}).Engines()[0]
	first.hold = time.Minute
	r := first.Read(context.Background())
	if len(r.Events) != 1 {
		t.Fatalf("the first says %+v", r.Events)
	}
	pid, started := ProcessOf(r.Facts, u.Host)
	since := first.Status().Since.Add(-time.Hour).Round(time.Millisecond)
	k := Known{Instance: u.Host, Status: Status{State: Ready, Since: since}, Seen: time.Now(), PID: pid, Started: started}
	if pid != 0 || started.IsZero() {
		t.Fatalf("process %d, started %v", pid, started)
	}
	given := []Known{{Instance: "127.0.0.1:1", Status: Status{State: Stalled, Since: since}}, k}
	second := watch(t, Options{URLs: []string{f.URL}, Known: given}).Engines()[0]
	second.hold = time.Minute
	r = second.Read(context.Background())
	if len(r.Events) != 0 || !second.Status().Since.Equal(since) {
		t.Errorf("events %+v, since %v, want %v", r.Events, second.Status().Since, since)
	}
	if v := value(t, r, "pitwall_engine_state_start_time_seconds"); v != float64(since.UnixMilli())/1000 {
		t.Errorf("recorded as %v", v)
	}
	if given[1].Instance != u.Host {
		t.Error("the list of who asked was changed")
	}
}
