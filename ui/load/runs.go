package load

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/sessions"
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/overlay"
	"pitwall/ui/screen"
	"pitwall/ui/theme"
)

// Runs is the box with the runs of a session: a table, one run in full, two beside each other. It shows what it is given and
// asks nothing.
type Runs struct {
	o      RunsOptions
	chosen uint32
	picked []uint32 // at most two
	view   runsView
	scroll int
}

type runsView int

const (
	asTable runsView = iota
	inFull
	asDifference
	asFormulas
)

// RunsOptions make a box of runs.
type RunsOptions struct {
	// Runs gives the runs as they are known now, oldest first.
	Runs func() []sessions.Run
	// At is the moment that is shown under the box: the run at it is chosen at first.
	At time.Time
	// Go puts the cursor at a moment.
	Go func(at time.Time) tea.Cmd
}

// NewRuns makes the box.
func NewRuns(o RunsOptions) *Runs {
	r := &Runs{o: o}
	for _, x := range o.Runs() {
		if !x.Began.After(o.At) || r.chosen == 0 {
			r.chosen = x.ID
		}
	}
	return r
}

// list gives the runs, newest first.
func (r *Runs) list() []sessions.Run {
	out := slices.Clone(r.o.Runs())
	slices.Reverse(out)
	return out
}

func (r *Runs) index(list []sessions.Run) int {
	return max(slices.IndexFunc(list, func(x sessions.Run) bool { return x.ID == r.chosen }), 0)
}

func (r *Runs) run(id uint32) (sessions.Run, bool) {
	list := r.o.Runs()
	i := slices.IndexFunc(list, func(x sessions.Run) bool { return x.ID == id })
	if i < 0 {
		return sessions.Run{}, false
	}
	return list[i], true
}

// Size implements screen.Overlay.
func (r *Runs) Size(w, h int) (int, int) {
	if r.view == asTable {
		return w - 2, min(h-2, max(len(r.o.Runs())+11, 16))
	}
	return w - 2, h - 2
}

// Draw implements screen.Overlay.
func (r *Runs) Draw(p grid.Pane, f screen.Frame) {
	list := r.list()
	if len(list) == 0 {
		in := overlay.Box(p, "runs of this session")
		in.Text(2, 1, theme.Dim, grid.Cut("no load was put on from here yet: l opens the load bar, s starts it", in.W()-4))
		return
	}
	switch r.view {
	case asFormulas:
		p2 := &page{w: p.W() - 4}
		p2.formulas()
		drawTexts(overlay.Box(p, "formulas").Sub(1, 0, p.W()-4, p.H()-2), p2.lines, r.scroll)
	case inFull:
		x := list[r.index(list)]
		in := overlay.Box(p, "run "+itoa(int(x.ID)))
		drawTexts(in.Sub(1, 0, in.W()-2, in.H()), full(x, in.W()-2, f.ASCII), r.scroll)
	case asDifference:
		a, okA := r.run(r.picked[0])
		b, okB := r.run(r.picked[1])
		if !okA || !okB {
			overlay.Box(p, "difference")
			return
		}
		in := overlay.Box(p, "run "+itoa(int(b.ID))+" against run "+itoa(int(a.ID)))
		drawTexts(in.Sub(1, 0, in.W()-2, in.H()), difference(a, b, in.W()-2, f.ASCII), r.scroll)
	default:
		r.drawTable(overlay.Box(p, "runs of this session"), list, f)
	}
}

// drawTable draws the table, and below it the chosen run in short.
func (r *Runs) drawTable(in grid.Pane, list []sessions.Run, f screen.Frame) {
	cols := layout(in.W() - 4)
	x := 3
	for _, c := range cols {
		if c.right {
			in.Right(x+c.w, 0, theme.Dim, grid.Cut(c.name, c.w))
		} else {
			in.Text(x, 0, theme.Dim, grid.Cut(c.name, c.w))
		}
		x += c.w + 1
	}
	at := r.index(list)
	below := brief(list[at], in.W()-2, f.ASCII)
	most := in.H() - 2 - min(len(list), max(in.H()/2, 4))
	if len(below) > most {
		below = below[:max(most, 0)]
	}
	rows := in.H() - 1
	if len(below) > 0 {
		rows -= len(below) + 1
	}
	top := min(max(at-rows/2, 0), max(len(list)-rows, 0))
	for y := range min(rows, len(list)-top) {
		run := list[top+y]
		line := in.Sub(0, 1+y, in.W(), 1)
		if i := slices.Index(r.picked, run.ID); i >= 0 {
			line.Text(1, 0, theme.Key, string(rune('A'+i)))
		}
		x := 3
		for _, c := range cols {
			cell := c.cell(run, c.w, f.ASCII)
			if c.right {
				cut(cell, c.w).draw(line, x+c.w-min(cell.width(), c.w), 0)
			} else {
				cut(cell, c.w).draw(line, x, 0)
			}
			x += c.w + 1
		}
		if top+y == at {
			line.Ink(0, 0, line.W(), theme.Selected)
		}
	}
	if more := len(list) - top - rows; more > 0 {
		in.Right(in.W()-1, rows, theme.Key, " j "+itoa(more)+" more ")
	}
	if len(below) == 0 {
		return
	}
	in.Line(0, 1+rows, in.W(), theme.Border, '─')
	for i, t := range below {
		t.draw(in.Sub(1, 0, in.W()-2, in.H()), 0, 2+rows+i)
	}
}

// Key implements screen.Overlay.
func (r *Runs) Key(msg tea.Msg) (tea.Cmd, bool) {
	press, ok := msg.(tea.KeyPressMsg)
	if !ok {
		return nil, false
	}
	list := r.list()
	at := r.index(list)
	move := func(to int) {
		if len(list) > 0 {
			r.chosen = list[min(max(to, 0), len(list)-1)].ID
		}
	}
	by := func(n int) {
		if r.view == asTable {
			move(at + n)
			return
		}
		r.scroll = max(r.scroll+n, 0)
	}
	switch press.String() {
	case "esc", "q":
		if r.view == asTable {
			return nil, true
		}
		if r.view == asDifference {
			r.picked = nil
		}
		r.view, r.scroll = asTable, 0
	case "L":
		return nil, true
	case "?":
		r.view, r.scroll = asFormulas, 0
	case "j", "down", "ctrl+n":
		by(1)
	case "k", "up", "ctrl+p":
		by(-1)
	case "f", "pgdown", "ctrl+f":
		by(10)
	case "b", "pgup", "ctrl+b":
		by(-10)
	case "home", "H":
		by(-1 << 20)
	case "end", "G":
		if r.view == asTable {
			move(len(list) - 1)
		}
	case "n":
		if r.view == inFull {
			move(at - 1) // the list is newest first
			r.scroll = 0
		}
	case "N":
		if r.view == inFull {
			move(at + 1)
			r.scroll = 0
		}
	case "enter", "z":
		switch {
		case len(list) == 0:
			return nil, true
		case r.view == asTable:
			r.view, r.scroll = inFull, 0
		}
	case "space", "x":
		if r.view == asTable && len(list) > 0 {
			r.pick(list[at].ID)
		}
	case "g", "t":
		if len(list) == 0 {
			return nil, false
		}
		return r.o.Go(middle(list[at])), true
	}
	return nil, false
}

// pick marks a run to be compared, or takes the mark back; with the second the difference is shown, the older run being A.
func (r *Runs) pick(id uint32) {
	if i := slices.Index(r.picked, id); i >= 0 {
		r.picked = slices.Delete(r.picked, i, i+1)
		return
	}
	r.picked = append(r.picked, id)
	if len(r.picked) == 2 {
		slices.Sort(r.picked)
		r.view, r.scroll = asDifference, 0
	}
}

// middle is the moment that stands for a run: the middle of what is scored, or its beginning while it goes on.
func middle(r sessions.Run) time.Time {
	from := r.Settled
	if from.IsZero() {
		from = r.Began
	}
	if d := lasted(r); d > 0 {
		return from.Add(d / 2).Truncate(time.Second)
	}
	return from.Truncate(time.Second)
}

// Hint implements screen.Overlay.
func (r *Runs) Hint() [][2]string {
	switch r.view {
	case inFull:
		return [][2]string{{"j k", "scroll"}, {"n N", "next, before"}, {"g", "go to its time"}, {"esc", "back"}}
	case asDifference, asFormulas:
		return [][2]string{{"j k", "scroll"}, {"esc", "back"}}
	}
	space := "compare: the first"
	if len(r.picked) == 1 {
		space = "compare: the second"
	}
	return [][2]string{{"j k", "choose"}, {"enter", "in full"}, {"space", space}, {"g", "go to its time"}, {"?", "formulas"}, {"esc", "back"}}
}

// brief is the chosen run under the table: what it was, its flags, and what became of its requests.
func brief(r sessions.Run, w int, ascii bool) []text {
	var out []text
	head := text{{theme.Strong, "run " + itoa(int(r.ID)) + "  "}, {theme.Plain, r.Point.Filled().String()}}
	if r.Label != "" && r.Label != r.Point.Filled().String() {
		head = append(head, span{theme.Dim, "  " + r.Label})
	}
	head = append(head, span{theme.Dim, "  " + r.Began.Local().Format("15:04:05") + " " + string(r.State)})
	if d := lasted(r); d > 0 {
		head = append(head, span{theme.Dim, ", " + figure.Span(d)})
	}
	out = append(out, cut(head, w))
	out = append(out, flagLines(r, w, false)...)
	return out
}
