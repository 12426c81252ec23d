package load

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/probes/load/shape"
	"pitwall/sessions/steer"
	"pitwall/ui/screen"
)

// Bar is the load on the live screen: what it is, what it gives, and the keys that change it. It is shown while it is open,
// and always while load is on.
type Bar struct {
	desk    Desk
	presets []shape.Preset

	open   bool
	status steer.Status
	// draft is what a start would do. While load is on it is what was asked for last.
	draft shape.Point
	// touched says that draft was chosen here: until then the desk's point is taken for it.
	touched bool
	// instance is the engine that is shown: what is started goes there.
	instance string
	// replay says that nothing can be started, because nothing is recorded.
	replay bool
	busy   string
	// starting is whether a start is out. Keys come faster than it is answered: what was asked for last is queued till then, so
	// that no step is lost and none overtakes another; after is what to do instead where load was to end meanwhile.
	starting bool
	queued   *shape.Point
	after    func()
	// refused is why what was asked for last was not done, until the next key of the bar; typed is the line that asked for it,
	// empty if none did, and again such a line that was refused: it is offered once more.
	refused, typed, again string
}

// Options make a Bar.
type Options struct {
	// Desk steers; nil where nothing can be started because a session is only read.
	Desk Desk
	// Presets are one's own; they stand before the built-in ones.
	Presets []shape.Preset
}

// NewBar makes a bar. Without presets of one's own it begins with the first built-in one.
func NewBar(o Options) *Bar {
	b := &Bar{desk: o.Desk, presets: Presets(o.Presets), replay: o.Desk == nil}
	b.draft = shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: 1}, Prompt: shape.Prompt{Length: shape.Tokens(512)}, Output: shape.Output{Length: shape.Tokens(128)}}
	if len(b.presets) > 0 {
		b.draft = b.presets[0].Point
	}
	b.take()
	return b
}

// Shown tells whether the bar has to be drawn.
func (b *Bar) Shown() bool { return b.open || b.active() }

// Active tells whether load is on, or still under way.
func (b *Bar) active() bool {
	return b.status.Phase != "" && b.status.Phase != steer.Idle
}

// Status is how the load stood at the last tick.
func (b *Bar) Status() steer.Status { return b.status }

// On tells the bar which engine is shown.
func (b *Bar) On(instance string) { b.instance = instance }

// take asks the desk how it stands. That never waits.
func (b *Bar) take() {
	if b.desk == nil {
		return
	}
	b.status = b.desk.Status()
	switch {
	case b.starting:
	case b.status.Pending != nil:
		b.draft = *b.status.Pending
	case b.active() && b.status.Phase != steer.Draining, !b.touched && b.status.Run.ID != 0:
		b.draft = b.status.Point
	}
}

// started is the end of a start or a change.
type started struct {
	point shape.Point
	err   error
}

// looked brings what a first start on an engine would do.
type looked struct {
	on      string
	point   shape.Point
	warning steer.Warning
	err     error
}

// patience bounds what a key asks for: a server that doesn't answer must not hold the bar.
const patience = 60 * time.Second

// Update takes a message; used is false for what is not the bar's.
func (b *Bar) Update(msg tea.Msg) (cmd tea.Cmd, used bool) {
	switch msg := msg.(type) {
	case screen.Tick:
		b.take()
		return nil, false
	case looked:
		b.busy = ""
		if msg.err != nil {
			b.take()
			return b.refuse(msg.err), true
		}
		if msg.warning.Needed {
			return open(newWarn(msg.warning, msg.point, func() tea.Cmd { return b.start(msg.on, msg.point) })), true
		}
		return b.start(msg.on, msg.point), true
	case started:
		b.starting, b.busy = false, ""
		queued, after := b.queued, b.after
		b.queued, b.after = nil, nil
		switch {
		case after != nil:
			after()
		case queued != nil:
			return b.start(b.target(), *queued), true
		}
		b.take()
		if msg.err != nil {
			return b.refuse(msg.err), true
		}
		b.typed, b.again = "", ""
		return nil, true
	}
	return nil, false
}

// refuse says why something was not done, and keeps it: what is said goes away after some seconds.
func (b *Bar) refuse(err error) tea.Cmd {
	b.refused, b.again, b.typed = err.Error(), b.typed, ""
	return say("load: "+b.refused, true)
}

func say(text string, bad bool) tea.Cmd {
	return func() tea.Msg { return screen.Say{Text: text, Bad: bad} }
}

func open(o screen.Overlay) tea.Cmd { return func() tea.Msg { return screen.Open{Overlay: o} } }

// begin starts a point: the server is asked about first.
func (b *Bar) begin(p shape.Point) tea.Cmd {
	b.draft, b.touched, b.open, b.busy = p, true, true, "looking at "+b.instance
	desk, instance := b.desk, b.instance
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		w, err := desk.Look(ctx, instance, p)
		return looked{instance, p, w, err}
	}
}

// start starts a point on an engine without asking, or changes to it.
func (b *Bar) start(instance string, p shape.Point) tea.Cmd {
	if b.starting {
		b.queued = &p
		return nil
	}
	b.starting, b.busy = true, "starting"
	desk := b.desk
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return started{p, desk.Start(ctx, instance, p)}
	}
}

// end does what ends the load: at once, and again when a start that is out has been answered, so that it isn't overtaken.
func (b *Bar) end(how func()) {
	b.queued = nil
	if b.starting {
		b.after = how
	}
	how()
	b.take()
}

// target is the engine that a change goes to: the one under load, whichever is shown.
func (b *Bar) target() string {
	if b.active() && b.status.Instance != "" {
		return b.status.Instance
	}
	return b.instance
}

// change makes p what the load is to be: at once while it is on, else with the next start.
func (b *Bar) change(p shape.Point) tea.Cmd {
	if p.Label == b.draft.Label {
		p.Label = "" // it named what the load was
	}
	b.draft, b.touched, b.open, b.typed = p, true, true, ""
	if !b.sending() {
		return nil
	}
	return b.start(b.target(), p)
}

// sending tells whether a point is in force, so that a change is one of the load and not of what would be started.
func (b *Bar) sending() bool {
	switch b.status.Phase {
	case steer.Preparing, steer.Settling, steer.Running:
		return true
	}
	return b.starting
}
