package load

import (
	"context"
	"testing"

	tea "charm.land/bubbletea/v2"

	"pitwall/probes/load/shape"
	"pitwall/sessions/steer"
	"pitwall/ui/keys"
	"pitwall/ui/screen"
)

// slow is a desk whose starts are answered when the test says so: each is a command that the test runs.
type slow struct {
	status  steer.Status
	started []shape.Point
	ends    []string
}

func (s *slow) Look(context.Context, string, shape.Point) (steer.Warning, error) {
	return steer.Warning{}, nil
}
func (s *slow) Start(_ context.Context, _ string, p shape.Point) error {
	s.started = append(s.started, p)
	s.status.Phase, s.status.Point, s.status.Instance = steer.Running, p, "a:1"
	return nil
}
func (s *slow) Stop()                { s.ends = append(s.ends, "stop"); s.status.Phase = steer.Draining }
func (s *slow) Cancel()              { s.ends = append(s.ends, "cancel"); s.status.Phase = steer.Idle }
func (s *slow) Status() steer.Status { return s.status }

func key(t *testing.T, b *Bar, k string) tea.Cmd {
	t.Helper()
	x, ok := keys.Find(b.Keys(), k)
	if !ok {
		t.Fatalf("no key %q", k)
	}
	if why := x.Reason(); why != "" {
		t.Fatalf("%q: %s", k, why)
	}
	return x.Run(k)
}

func running(clients int) (*Bar, *slow) {
	p := base()
	p.Arrival.Clients = clients
	d := &slow{status: steer.Status{Phase: steer.Running, Point: p, Instance: "a:1"}}
	b := NewBar(Options{Desk: d})
	b.On("a:1")
	return b, d
}

func TestNoStepIsLostWhileAStartIsOut(t *testing.T) {
	b, d := running(1)
	first := key(t, b, "u")
	for range 5 {
		if cmd := key(t, b, "u"); cmd != nil {
			t.Fatal("a second start went out beside the first")
		}
		b.Update(screen.Tick{}) // the desk still tells the point before
	}
	next, _ := b.Update(first())
	if next == nil {
		t.Fatal("what was asked for meanwhile was forgotten")
	}
	if again, _ := b.Update(next()); again != nil {
		t.Error("a third start went out")
	}
	if n := len(d.started); n != 2 || d.started[1].Arrival.Clients != 7 {
		t.Errorf("six steps from one client started %v", d.started)
	}
}

func TestAStopIsNotOvertakenByAStartThatIsOut(t *testing.T) {
	for _, tc := range []struct{ key, want string }{{"s", "stop"}, {"C", "cancel"}} {
		b, d := running(1)
		first := key(t, b, "U")
		key(t, b, "U")
		key(t, b, tc.key)
		next, _ := b.Update(first())
		if next != nil {
			t.Errorf("%s: a start that was queued went out after it", tc.key)
		}
		if n := len(d.ends); n == 0 || d.ends[n-1] != tc.want || d.status.Phase == steer.Running {
			t.Errorf("%s: the load is %s after %v", tc.key, d.status.Phase, d.ends)
		}
	}
}

func TestTheLabelOfAnotherLoadDoesNotStay(t *testing.T) {
	b, d := running(1)
	p := base()
	p.Label = "my load"
	d.status.Point = p
	b.Update(screen.Tick{})
	cmd := key(t, b, "u")
	b.Update(cmd())
	if got := d.started[0].Label; got != "" {
		t.Errorf("another load is called %q", got)
	}
	named, err := Change(b.draft, "label night", nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Update(b.change(named)())
	if got := d.started[1].Label; got != "night" {
		t.Errorf("a label that was typed became %q", got)
	}
}

func TestAFormTakesWhatHangsTogether(t *testing.T) {
	b, d := running(4)
	f := newForm(b)
	press := func(names ...string) (tea.Cmd, bool) {
		var cmd tea.Cmd
		var closed bool
		for _, n := range names {
			k := tea.KeyPressMsg{Code: []rune(n)[0], Text: n}
			switch n {
			case "enter":
				k = tea.KeyPressMsg{Code: tea.KeyEnter}
			case "tab":
				k = tea.KeyPressMsg{Code: tea.KeyTab}
			case "space":
				k = tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
			case "back":
				k = tea.KeyPressMsg{Code: tea.KeyBackspace}
			}
			cmd, closed = f.Key(k)
		}
		return cmd, closed
	}
	press("tab", "3", ".", "5") // from clients to the rate
	if cmd, closed := press("enter"); !closed || cmd == nil {
		t.Fatal("enter did not take it")
	} else {
		cmd()
	}
	if got := d.started[0].Filled().Arrival.String(); got != "poisson 3.5/s" {
		t.Errorf("a rate in the form made %q", got)
	}
	f = newForm(b)
	press("back", "x")
	if cmd, closed := press("enter"); closed || cmd != nil {
		t.Error("what is no number was taken")
	}
	if f.bad == "" {
		t.Error("and it was not said")
	}
}
