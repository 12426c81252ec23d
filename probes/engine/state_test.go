package engine

import (
	"math"
	"strings"
	"testing"
	"time"
)

// sight is one observation, written short.
type sight struct {
	at   float64
	how  Outcome
	pid  int
	work Work
	dead bool
	err  string
	far  bool // another host's
	born float64
	took float64
}

func (s sight) observation() Observation {
	o := Observation{At: at(s.at), Outcome: s.how, PID: s.pid, Work: s.work, Dead: s.dead, Health: 503, Err: s.err, Local: !s.far, Port: "8000", Still: "no token counter moved"}
	o.Took = time.Duration(s.took * float64(time.Second))
	if s.pid != 0 {
		o.Started = at(s.born)
	}
	if s.how == Refused && s.err == "" {
		o.Err = "connection refused"
	}
	return o
}

func working() Work { return Work{Own: true, Running: 1, Waiting: 0, Moved: true} }

func idling() Work { return Work{Own: true} }

func still(s float64, step float64) Work {
	return Work{Own: true, Running: 3, Waiting: 2, Still: time.Duration(s * float64(time.Second)), Step: time.Duration(step * float64(time.Second))}
}

func started(s float64) Work { return Work{Own: true, Started: at(s)} }

func TestStatesFollowWhatIsSeen(t *testing.T) {
	cases := []struct {
		what   string
		in     []sight
		want   State
		since  float64
		reason string
		title  string // of the last change
	}{
		{"nothing listens and no process is there: no engine", []sight{{at: 1, how: Refused}}, NoEngine, 1, "nothing listens on port 8000, and no engine process is there", "no engine: nothing"},
		{"a process is there and its port is closed: starting, since the process began", []sight{{at: 50, how: Refused, pid: 7, born: 20}}, Starting, 20, "process 7 is there, port 8000 is not open yet", "starting: process 7"},
		{"it starts, then answers: ready after the time it took", []sight{{at: 2, how: Refused, pid: 7}, {at: 78, pid: 7, work: idling()}}, Ready, 78, "", "ready after 1m18s"},
		{"starting lasts ten minutes and stays starting", []sight{{at: 2, how: Refused, pid: 7}, {at: 300, how: Refused, pid: 7}, {at: 600, how: Refused, pid: 7}}, Starting, 0, "", "starting"},
		{"a start that fails: the process is gone before it was ready", []sight{{at: 2, how: Refused, pid: 7}, {at: 9, how: Refused}}, NoEngine, 9, "process 7 ended before it was ready", "start failed"},
		{"silence begins with the first question that was not answered", []sight{{at: 1, work: working()}, {at: 7, how: Failed, err: "no answer within 5s", took: 5}, {at: 13, how: Failed, err: "no answer within 5s", took: 5}}, NoAnswer, 2, "no answer within 5s", "no answer"},
		{"a start that opens its port and does not answer is silent from then on", []sight{{at: 2, how: Refused, pid: 7}, {at: 60, how: Refused, pid: 7}, {at: 70, how: Failed, pid: 7, err: "HTTP 500"}, {at: 80, how: Failed, pid: 7, err: "HTTP 500"}}, NoAnswer, 70, "HTTP 500", "no answer"},
		{"a second restart within the minute is one more", []sight{{at: 1, pid: 7, work: idling()}, {at: 2, pid: 8, work: idling()}, {at: 30, pid: 8, work: idling()}, {at: 40, pid: 9, work: idling()}}, Restarted, 40, "process 9 instead of 8", "restarted: process 9 instead of 8"},
		{"it answers from the first look on: ready", []sight{{at: 5, work: working()}}, Ready, 5, "", "ready"},
		{"a page without any of its own metrics is still an engine that answers", []sight{{at: 5, work: Work{Running: math.NaN(), Waiting: math.NaN()}}}, Ready, 5, "", "ready"},
		{"killed: the port closes and the process is gone", []sight{{at: 1, pid: 7, work: working()}, {at: 2, how: Refused}}, NoEngine, 2, "process 7 is gone", "engine is gone"},
		{"dying: the port is closed while the process is still there", []sight{{at: 1, pid: 7, work: working()}, {at: 2, how: Refused, pid: 7}}, NoAnswer, 2, "connection refused; process 7 is still there", "no answer"},
		{"dead: the server answers and says that its engine does not", []sight{{at: 1, pid: 7, work: working()}, {at: 2, dead: true, pid: 7}}, NoAnswer, 2, "its engine is dead", "no answer"},
		{"one timeout is a busy server, not a change", []sight{{at: 1, work: working()}, {at: 7, how: Failed, err: "no answer within 5s"}}, Ready, 1, "", ""},
		{"two timeouts in a row are no answer, with the error", []sight{{at: 1, work: working()}, {at: 7, how: Failed, err: "no answer within 5s"}, {at: 13, how: Failed, err: "no answer within 5s"}}, NoAnswer, 7, "no answer within 5s", "no answer: no answer within 5s"},
		{"a timeout between answers does not count towards the next", []sight{{at: 1, work: working()}, {at: 7, how: Failed}, {at: 8, work: working()}, {at: 14, how: Failed}}, Ready, 1, "", ""},
		{"a wrong answer at the first look is no answer at once", []sight{{at: 1, how: Failed, err: "HTTP 401 Unauthorized"}}, NoAnswer, 1, "HTTP 401", "no answer"},
		{"a closed port on another host is no answer: its processes are not seen", []sight{{at: 1, how: Refused, far: true}}, NoAnswer, 1, "connection refused", "no answer"},
		{"asleep by its own word", []sight{{at: 1, work: idling()}, {at: 2, work: Work{Own: true, Asleep: true, Level: "weights_offloaded"}}}, Sleeping, 2, "weights offloaded", "sleeping: weights offloaded"},
		{"awake again", []sight{{at: 1, work: Work{Own: true, Asleep: true}}, {at: 2, work: idling()}}, Ready, 2, "", "awake"},
		{"work that stands still for nine seconds is not stalled", []sight{{at: 1, work: working()}, {at: 10, work: still(9, 0)}}, Ready, 1, "", ""},
		{"work that stands still for ten seconds is stalled, since it stopped", []sight{{at: 1, work: working()}, {at: 11, work: still(10, 0)}}, Stalled, 1, "3 running, 2 waiting, and no token counter moved for 10s", "stalled: 3 running"},
		{"with steps of 5 s it must stand for 25", []sight{{at: 1, work: working()}, {at: 21, work: still(20, 5)}}, Ready, 1, "", ""},
		{"and then it is stalled, and says how long its steps are", []sight{{at: 1, work: working()}, {at: 26, work: still(25, 5)}}, Stalled, 1, "longest recent step at most 5s", "stalled"},
		{"a token ends the stall", []sight{{at: 1, work: working()}, {at: 31, work: still(30, 0)}, {at: 40, work: working()}}, Ready, 40, "", "works again after standing still for 39s"},
		{"another process answers: restarted", []sight{{at: 1, pid: 7, work: working()}, {at: 5, how: Refused}, {at: 9, how: Refused, pid: 8, born: 6}, {at: 90, pid: 8, born: 6, work: idling()}}, Restarted, 90, "process 8 instead of 7", "restarted, ready after 1m24s"},
		{"the new process starts while the old one is remembered", []sight{{at: 1, pid: 7, work: working()}, {at: 9, how: Refused, pid: 8, born: 6}}, Starting, 6, "process 8", "starting"},
		{"a server process that began later: restarted", []sight{{at: 1, work: started(-100)}, {at: 60, work: started(30)}}, Restarted, 60, "its process began at 2023-11-14", "restarted: its process"},
		{"its start wanders by a second: nothing", []sight{{at: 1, work: started(-100)}, {at: 60, work: started(-99)}}, Ready, 1, "", ""},
		{"counters that begin again: restarted", []sight{{at: 1, work: working()}, {at: 60, work: Work{Own: true, Fell: true}}}, Restarted, 60, "its counters began again", "restarted"},
		{"restarted is shown for a minute", []sight{{at: 1, work: working()}, {at: 60, work: Work{Own: true, Fell: true}}, {at: 119, work: working()}}, Restarted, 60, "its counters", ""},
		{"then it is ready", []sight{{at: 1, work: working()}, {at: 60, work: Work{Own: true, Fell: true}}, {at: 121, work: working()}}, Ready, 121, "", "ready"},
		{"a restart that stalls is stalled", []sight{{at: 1, work: working()}, {at: 60, work: Work{Own: true, Fell: true}}, {at: 80, work: still(15, 0)}}, Stalled, 65, "no token", "stalled"},
		{"a server that began earlier is another server: a load balancer, no restart", []sight{{at: 1, work: started(-50)}, {at: 2, work: started(-100)}, {at: 3, work: started(-50)}, {at: 4, work: started(-100)}}, Ready, 1, "several servers answer here in turn", ""},
		{"gone and there again as the same process: no restart", []sight{{at: 1, pid: 7, work: working()}, {at: 2, how: Failed}, {at: 8, how: Failed, err: "x"}, {at: 9, pid: 7, work: working()}}, Ready, 9, "", "ready"},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			var m machine
			var last change
			var changed bool
			for _, s := range c.in {
				ch, ok := m.observe(s.observation())
				if changed = ok; ok {
					last = ch
				}
			}
			if m.now.State != c.want {
				t.Fatalf("state %s (%s), want %s", m.now.State, m.now.Reason, c.want)
			}
			if want := at(c.since); !m.now.Since.Equal(want) {
				t.Errorf("since second %v, want %v", m.now.Since.Sub(at(0)).Seconds(), c.since)
			}
			if !strings.Contains(m.now.Reason, c.reason) || c.reason == "" && m.now.Reason != "" && c.want == Ready {
				t.Errorf("reason %q, want %q", m.now.Reason, c.reason)
			}
			if c.title != "" && !strings.HasPrefix(last.title(), c.title) {
				t.Errorf("title %q, want %q", last.title(), c.title)
			}
			if c.title == "" && changed {
				t.Errorf("changed at the end: %q", last.title())
			}
		})
	}
}

func TestAnEngineThatFailsNowAndThenDoesNotFlap(t *testing.T) {
	var m machine
	changes := 0
	for i := range 600 {
		s := sight{at: float64(i), work: working()}
		if i%3 == 2 {
			s = sight{at: float64(i), how: Failed, err: "no answer within 5s"}
		}
		if _, ok := m.observe(s.observation()); ok {
			changes++
		}
	}
	if changes != 1 {
		t.Errorf("%d changes in ten minutes, want the first only", changes)
	}
}

func TestEveryStateHasOneGauge(t *testing.T) {
	for _, is := range States() {
		sum := 0.0
		for _, s := range States() {
			sum += s.gauge(is)
		}
		if sum != 1 {
			t.Errorf("%s: the gauges add up to %v", is, sum)
		}
	}
}
