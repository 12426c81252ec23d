// Package browse is a box that lists every recorded series, finds one by typing, and charts it: also those that no dialect
// and no panel knows.
//
// In go a reader, the moment that the screen shows, and keys; out come a picture and the PromQL of what it draws. It asks
// only for the rows that can be seen, in the background, and never for more than it shows. It interprets nothing: what it
// charts is the series itself, the rate of a counter, or how a histogram's buckets fill, and it says which.
package browse

import (
	"time"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"pitwall/sessions"
	"pitwall/ui/figure"
	"pitwall/ui/screen"
)

// Chart is what may be added to a page: one expression and how it is meant.
type Chart struct {
	Title, Unit, Expr string
	// Draw is "line", "area" or "heat".
	Draw string
	// Legend is a template of the labels that tell the lines apart, "{{gpu}}"; empty for one line.
	Legend string
}

// Options make a Browser.
type Options struct {
	Reader sessions.Reader
	// At gives the moment that the screen shows, and whether that is now; nil means the reader's last tick.
	At func() (at time.Time, live bool)
	// Window is how much time charts show at first; zero is five minutes.
	Window time.Duration
	// W and H are the screen's size till a screen.Size comes.
	W, H int
	// Add puts a chart on a page; nil leaves its key disabled, for the reason in CannotAdd.
	Add       func(Chart) tea.Cmd
	CannotAdd string
}

// windows are the lengths of time that [ and ] choose from.
var windows = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}

// Browser is the box. It is a screen.Overlay that also hears ticks and answers.
type Browser struct {
	o      Options
	w, h   int
	window time.Duration

	all    catalogue
	loaded bool
	seen   uint64 // the reader's version when the list was read

	input  textinput.Model
	typing bool
	order  order
	open   map[string]bool // families whose series are listed
	rows   []row
	// meanings are those of the rows of families, which take a look at all of their series to find.
	meanings map[*family]meaning
	chosen   int

	// gen counts what was asked, so that answers to an older question are dropped.
	gen     uint64
	asking  bool
	asked   time.Time // the moment that values are for
	values  map[string]value
	note    string
	charted *chart // what fills the box, nil for the list
}

// New makes the box; Init reads the list.
func New(o Options) *Browser {
	in := textinput.New()
	in.Prompt, in.CharLimit, in.Placeholder = "", 200, "words of name, help or labels · label=value · -not"
	in.SetVirtualCursor(false)
	in.Focus()
	b := &Browser{o: o, w: max(o.W, 60), h: max(o.H, 15), window: o.Window, input: in, typing: true, open: map[string]bool{}, meanings: map[*family]meaning{}, values: map[string]value{}}
	if b.window <= 0 {
		b.window = 5 * time.Minute
	}
	return b
}

// moment is what the box shows.
func (b *Browser) moment() (time.Time, bool) {
	if b.o.At != nil {
		return b.o.At()
	}
	_, last := b.o.Reader.Bounds()
	return last, true
}

// Init reads the list of series in the background.
func (b *Browser) Init() tea.Cmd {
	reader := b.o.Reader
	return func() tea.Msg { return listed{reader.Version(), newCatalogue(reader.Series(""))} }
}

// listed brings the list.
type listed struct {
	version uint64
	all     catalogue
}

// relist is the least time between two readings of the list: new series are rare.
const relist = 15 * time.Second

// Update takes ticks, sizes and answers.
func (b *Browser) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case screen.Size:
		b.w, b.h = msg.W, msg.H
		return b.ask()
	case screen.Tick:
		var again tea.Cmd
		if v := b.o.Reader.Version(); b.loaded && v != b.seen && b.all.size() != 0 && msg.Now.Sub(b.all.read) > relist {
			b.all.read = msg.Now
			again = b.Init()
		}
		return tea.Batch(again, b.ask())
	case listed:
		b.loaded, b.seen = true, msg.version
		at := b.all.read
		b.all = msg.all
		b.all.read = at
		b.refilter()
		return b.ask()
	case valued:
		return b.takeValues(msg)
	case drawn:
		if b.charted != nil && msg.gen == b.gen {
			b.asking = false
			b.charted.take(msg)
		}
	}
	return nil
}

// Size implements screen.Overlay.
func (b *Browser) Size(w, h int) (int, int) { return max(w, 10), max(h-2, 3) }

// Hint implements screen.Overlay.
func (b *Browser) Hint() [][2]string {
	switch {
	case b.charted != nil:
		return [][2]string{{"[ ]", "window " + figure.Ago(b.window)}, {"a", "add to a page"}, {"y", "copy"}, {"esc", "back"}}
	case b.typing:
		return [][2]string{{"type", "to filter"}, {"enter", "to the list"}, {"esc", "back"}}
	}
	return [][2]string{{"j k", "move"}, {"enter", "open"}, {"space", "chart"}, {"a", "add to a page"}, {"s", "sort: " + b.order.String()}, {"/", "filter"}, {"esc", "back"}}
}

var _ screen.Overlay = (*Browser)(nil)
