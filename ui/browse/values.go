package browse

import (
	"context"
	"math"
	"time"

	tea "charm.land/bubbletea/v2"

	"pitwall/sessions"
	"pitwall/ui/figure"
)

// value is what one row shows: the number now, and how it was.
type value struct {
	now   figure.Value
	spark []float64
	err   string
}

// valued brings the numbers of the rows that were seen.
type valued struct {
	gen    uint64
	at     time.Time
	values map[string]value // by expression
}

// sparkPoints is how many columns a row's history has.
const sparkPoints = 24

// patience bounds one round of questions.
const patience = 5 * time.Second

// stale is how long numbers stand before they are asked for again while time goes on: they are for an overview.
const stale = 2 * time.Second

// ask asks for what can be seen and is not known yet, unless an answer is still out.
func (b *Browser) ask() tea.Cmd {
	at, _ := b.moment()
	if b.asking || at.IsZero() || !b.loaded {
		return nil
	}
	if b.charted != nil {
		if !b.charted.due(at) {
			return nil
		}
		b.gen++
		b.asking = true
		return b.charted.ask(b.o.Reader, b.gen, at, b.window)
	}
	moved := at.Before(b.asked) || at.Sub(b.asked) >= stale
	var exprs []string
	for _, r := range b.visible() {
		e := b.summary(r).expr
		if _, known := b.values[e]; e != "" && (moved || !known) {
			exprs = append(exprs, e)
		}
	}
	if len(exprs) == 0 {
		return nil
	}
	if moved {
		b.asked = at
	}
	b.gen++
	b.asking = true
	reader, gen, window, when := b.o.Reader, b.gen, b.window, b.asked
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		out := valued{gen: gen, at: when, values: make(map[string]value, len(exprs))}
		for _, expr := range exprs {
			out.values[expr] = valueOf(ctx, reader, expr, when, window)
		}
		return out
	}
}

func valueOf(ctx context.Context, r sessions.Reader, expr string, at time.Time, window time.Duration) value {
	var v value
	res, err := r.Query(ctx, expr, at, sessions.Scope{})
	if err != nil {
		v.err = err.Error()
		return v
	}
	for _, x := range res.Vector() {
		v.now = figure.Of(x.F)
	}
	step := max(window/sparkPoints, time.Second)
	start := at.Add(-step * (sparkPoints - 1))
	past, err := r.QueryRange(ctx, expr, start, at, step, sessions.Scope{})
	if err != nil {
		v.err = err.Error()
		return v
	}
	for _, s := range past.Matrix() {
		v.spark = make([]float64, sparkPoints)
		for i := range v.spark {
			v.spark[i] = math.NaN()
		}
		for _, p := range s.Floats {
			if i := int((p.T - start.UnixMilli() + step.Milliseconds()/2) / step.Milliseconds()); i >= 0 && i < sparkPoints {
				v.spark[i] = p.F
			}
		}
	}
	return v
}

// maxKnown bounds what is remembered; scrolling through everything asks again.
const maxKnown = 2000

func (b *Browser) takeValues(msg valued) tea.Cmd {
	if msg.gen != b.gen {
		return nil
	}
	b.asking = false
	if len(b.values) > maxKnown {
		clear(b.values)
	}
	for e, v := range msg.values {
		b.values[e] = v
	}
	return b.ask() // rows that came into sight meanwhile
}
