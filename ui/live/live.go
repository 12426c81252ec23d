// Package live is the screen of what happens now: queue, latency, throughput, KV cache, GPU and host on one time axis.
//
// In go ticks, keys and a sessions.Reader; out comes a picture. Every question is PromQL, asked in the background once a
// tick, and its answer carries the generation it was asked for, so that the numbers of another engine or session never
// appear. Update does no I/O, drawing changes nothing. The screen computes what charts need (columns, buckets) and nothing
// that a reader can answer.
package live

import (
	"cmp"
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/probes"
	"pitwall/sessions"
	"pitwall/ui/screen"
)

// Actions is what the screen may ask the program to do. Each may take time, so each runs in a tea.Cmd.
type Actions interface {
	// Mark records the operator's note as an event.
	Mark(ctx context.Context, note string) error
	// HandOver gives the recording to a background recorder; the screen goes on as its reader.
	HandOver(ctx context.Context) (sessions.Reader, error)
	// TakeOver goes on recording here after the recorder died.
	TakeOver(ctx context.Context) (sessions.Reader, error)
}

// Options make a Model.
type Options struct {
	Reader  sessions.Reader
	Actions Actions
	// Engine is the instance to show at first; "" the first one found.
	Engine string
	// Window is how much time the charts show at first, taken up to the next window there is. Zero is a minute while the
	// session is young, then five.
	Window time.Duration
	// Tried says where an engine was looked for, for the screen that has none.
	Tried []string
	// Version is pitwall's own, for the help.
	Version string
	// Now is the time of the first frame.
	Now time.Time
}

// Model is the live screen.
type Model struct {
	reader  sessions.Reader
	actions Actions
	tried   []string
	version string
	panels  []panel

	w, h   int
	now    time.Time
	window int
	// young is true until somebody chooses a window, or the session fills half of the next one: five minutes of charts
	// with one minute in them are mostly empty.
	young bool
	every time.Duration // between two questions
	asked time.Time     // when the last question was put

	gen      uint64
	fetching bool
	wanted   string // engine
	snap     *snapshot
	history  map[string]*ring
	length   time.Duration
	slot     time.Duration
	stale    bool // the history must be asked for again

	events  []probes.Event
	reasons map[string]string // engine subject: reason of its last state event

	gpu    int // row of snap.gpus
	focus  int // panel, -1 none
	zoom   int // panel, -1 none
	scroll int

	paused   bool
	pausedAt time.Time

	busy string // the action that is under way
}

// New makes the live screen.
func New(o Options) *Model {
	m := &Model{reader: o.Reader, actions: o.Actions, tried: o.Tried, version: o.Version, wanted: o.Engine, panels: panels(), now: o.Now,
		window: windowFor(o.Window), young: o.Window == 0, every: time.Second, focus: -1, zoom: -1, stale: true, reasons: make(map[string]string), slot: time.Second}
	m.length = cmp.Or(windows[m.window].length, time.Minute)
	return m
}

// Init asks the first questions.
func (m *Model) Init() tea.Cmd { return m.ask() }

// Title is the terminal's window title.
func (m *Model) Title() string {
	e, ok := m.snap.chosen()
	if !ok {
		return "pitwall"
	}
	return "pitwall " + stateOf(e.state).word + " " + e.instance
}

// ask puts this tick's questions unless the last ones are still out.
func (m *Model) ask() tea.Cmd {
	if m.fetching || m.reader == nil {
		return nil
	}
	m.fetching = true
	m.asked = m.now
	r := request{gen: m.gen, reader: m.reader, engine: m.wanted, length: windows[m.window].length, backfill: m.stale || m.history == nil, detail: m.h >= 40}
	if m.zoom >= 0 {
		r.zoom = m.panels[m.zoom].id
	}
	if n := len(m.events); n > 0 && m.snap != nil && !m.snap.eventsUntil.IsZero() {
		r.eventsFrom = m.snap.eventsUntil.Add(-10 * time.Second)
	}
	return fetch(r, m.panels)
}

// restart forgets what was asked and asks anew: another engine, window or reader.
func (m *Model) restart() tea.Cmd {
	m.gen++
	m.fetching = false
	m.stale = true
	return m.ask()
}

var _ screen.Screen = (*Model)(nil)
