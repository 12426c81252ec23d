// Package live is the screen of one moment: queue, latency, throughput, KV cache, GPU and host on one time axis. Live is only
// "the cursor is at now"; frozen at a moment of the past, or played from there, it is the same screen.
//
// In go ticks, keys and a sessions.Reader; out comes a picture. Every question is PromQL, asked in the background at the
// moment of the cursor, and its answer carries the generation it was asked for, so that the numbers of another engine or
// session never appear. What is drawn is always of one moment, the one that was answered last. Update does no I/O, drawing
// changes nothing. The screen computes what charts need (columns, buckets) and nothing that a reader can answer.
//
//	cursor.go    the moment, and the ways to move it      update.go   messages: ticks, answers
//	fetch.go     the numbers of a moment                  history.go  the charts of a span
//	episodes.go  what happened, and n and N               marks.go    two times, and the change between them
//	bindings.go, timekeys.go, mouse.go  what keys and clicks do
//	loadbar.go, runs.go, client.go  the load: its bar, its runs on the charts, its numbers beside the server's
//	view.go, place.go, line.go          drawing: panels, where the cursor is, its line through the charts
package live

import (
	"cmp"
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/probes"
	"pitwall/probes/load/shape"
	"pitwall/sessions"
	"pitwall/sessions/events"
	"pitwall/ui/figure"
	"pitwall/ui/load"
	form "pitwall/ui/panel"
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

// Replay says where a replay begins and how fast it plays.
type Replay struct {
	// At is the moment to begin with; zero is the session's first tick.
	At time.Time
	// Speed is how many seconds of the session pass in one second; 0 is 1.
	Speed float64
	// Frozen begins with the cursor held at At.
	Frozen bool
}

// Options make a Model.
type Options struct {
	Reader  sessions.Reader
	Actions Actions
	// Engine is the instance to show at first; "" the first one found.
	Engine string
	// Window is how much time the charts show at first, taken up to the next window there is; of a replay just this. Zero is
	// a minute while the session is young, then five.
	Window time.Duration
	// Replay, where it is set, shows a session that is only read: space plays it.
	Replay *Replay
	// Tried says where an engine was looked for, for the screen that has none.
	Tried []string
	// Version is pitwall's own, for the help.
	Version string
	// Load steers load on the engine; nil where a session is only read. Presets are loads of one's own.
	Load    load.Desk
	Presets []shape.Preset
	// Book holds the pages of panels; nil is the built-in ones. Page is the name of the one to begin with, "" the first.
	Book *form.Book
	Page string
	// Notice is said at the beginning, "" for nothing.
	Notice string
	// Now is the time of the first frame.
	Now time.Time
}

// Model is the live screen.
type Model struct {
	reader  sessions.Reader
	actions Actions
	tried   []string
	version string

	bar         *load.Bar
	notice      string
	book        *form.Book
	bookVersion uint64
	pages       []form.Page
	onPage      int
	panels      []panel // of the page that is shown
	behind      []panel // what the top lines read of panels that the page doesn't show

	w, h   int
	now    time.Time
	cursor cursor
	window int
	// young is true until somebody chooses a window, or the session fills half of the next one: five minutes of charts
	// with one minute in them are mostly empty.
	young   bool
	every   time.Duration // between two questions
	asked   time.Time     // when the last question was put
	stood   time.Time     // when it was last asked how the recording stands
	looking bool

	gen      uint64
	fetching bool
	wanted   string // engine
	snap     *snapshot

	// What the charts are made of. until is the right end of the span that it holds, unless the screen is live: then it
	// grows with every tick.
	history  map[string]*ring
	length   time.Duration
	slot     time.Duration
	until    time.Time
	stale    bool // the history must be asked for again
	filling  bool
	waiting  []*snapshot // ticks that came while it was asked for
	pastErrs map[string]string
	custom   time.Duration // a span that is none of windows, 0 if it is one

	events  []probes.Event            // all of the session's, up to known
	known   time.Time                 // events after it were not asked for yet
	readAll time.Time                 // when all events were asked for last
	reasons map[string]string         // engine subject: reason of its last state event up to the moment
	deaths  map[string]events.Episode // engine subject: its death, while it is dead at the moment
	// episodes are the events as they were known at the moment that is shown, happened as they are known now.
	episodes, happened []events.Episode
	folded             time.Time // the moment of episodes
	// later are those of episodes that had begun at the moment but were seen only after it.
	later map[chosenEpisode]bool

	gpu int // row of snap.gpus
	// marks are the times that were marked to be compared, at most two; totals is by how much counters rose between them.
	marks   []marked
	totals  map[string]figure.Value
	markGen uint64

	// replay says that space plays rather than goes back to LIVE; speed is how fast.
	replay bool
	speed  float64

	focus  int // panel, -1 none
	zoom   int // panel, -1 none
	scroll int

	dragging bool // the mouse's button went down in a chart

	busy string // the action that is under way
}

// New makes the live screen.
func New(o Options) *Model {
	m := &Model{reader: o.Reader, actions: o.Actions, tried: o.Tried, version: o.Version, wanted: o.Engine, book: o.Book, notice: o.Notice, now: o.Now,
		window: windowFor(o.Window), young: o.Window == 0, every: time.Second, focus: -1, zoom: -1, stale: true, reasons: make(map[string]string), slot: time.Second}
	if r := o.Replay; r != nil {
		m.replay, m.speed = true, cmp.Or(r.Speed, 1)
		m.cursor = cursor{mode: playing, at: r.At, exact: r.At, speed: m.speed}
		if r.Frozen {
			m.cursor = cursor{mode: frozen, at: r.At}
		}
		m.young = false
		if o.Window > 0 && o.Window < WholeSession && windows[m.window].length != o.Window {
			m.custom = max(o.Window, shortest)
		}
	}
	m.bar = load.NewBar(load.Options{Desk: o.Load, Presets: o.Presets})
	m.length = cmp.Or(m.custom, windows[m.window].length, time.Minute)
	if m.book == nil {
		m.book, _ = form.NewBook("")
	}
	m.usePages(o.Page)
	return m
}

// Init asks the first questions.
func (m *Model) Init() tea.Cmd {
	if m.notice == "" {
		return m.ask()
	}
	text := m.notice
	return tea.Batch(m.ask(), func() tea.Msg { return screen.Say{Text: text, Bad: true} })
}

// Title is the terminal's window title.
func (m *Model) Title() string {
	e, ok := m.snap.chosen()
	if !ok {
		return "pitwall"
	}
	return "pitwall " + m.condition(e).word + " " + e.instance
}

// ask puts the questions about the cursor's moment unless the last ones are still out: then their answer asks again.
func (m *Model) ask() tea.Cmd {
	if m.fetching || m.reader == nil {
		return nil
	}
	m.fetching = true
	m.asked = m.now
	r := request{gen: m.gen, reader: m.reader, engine: m.wanted, detail: m.h >= 40, zoom: m.zoomed(), at: m.cursor.at}
	r.eventsFrom = m.eventsFrom()
	r.length = m.spanLength()
	if m.snap != nil {
		r.bounds = m.snap.bounds
	}
	return fetch(r, m.questions())
}

// zoomed is the id of the panel that fills the screen, "" if none does.
func (m *Model) zoomed() string {
	if m.zoom < 0 {
		return ""
	}
	return m.panels[m.zoom].id
}

// restart forgets what was asked and asks anew: another engine, window or reader.
func (m *Model) restart() tea.Cmd {
	m.gen++
	m.fetching, m.filling, m.waiting = false, false, nil
	m.stale = true
	return tea.Batch(m.ask(), m.compare())
}

var _ screen.Screen = (*Model)(nil)
