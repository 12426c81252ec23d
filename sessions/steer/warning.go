package steer

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"pitwall/probes/load"
	"pitwall/probes/load/shape"
)

// Warning is what a start of load would do, to whom, and who else is there.
type Warning struct {
	// Needed is whether somebody should be asked: the server is not simulated, and no load was started on it from here before.
	Needed bool
	// Server is whom it would go to.
	Server *load.Server
	// Does is what it would do, a clause each: "sends 4 requests at a time, …".
	Does []string
	// Lacks are what the server can't do, and what is done instead.
	Lacks []load.Lack
	// Others is who uses the server now.
	Others Others
}

// Others is what others do on a server now; all of it is of the engine's own numbers while no load of ours is on.
type Others struct {
	// Known is whether the engine's numbers tell; Why why they don't.
	Known bool
	Why   string
	// Running and Waiting are requests, Rate is requests that ended a second over the last minute; NaN where it is not told.
	Running, Waiting, Rate float64
	// Text is all of it in a sentence: "others use it: 3 running, 1 waiting, 0.4 requests/s"; "nobody else uses it now".
	Text string
}

// Busy says whether others are known to use the server now.
func (o Others) Busy() bool { return o.Known && (o.Running > 0 || o.Waiting > 0 || o.Rate > 0) }

func (d *desk) look(ctx context.Context, instance string, p shape.Point) (Warning, error) {
	s, err := d.examine(ctx, instance)
	if err != nil {
		return Warning{}, err
	}
	if err := s.Check(p); err != nil {
		return Warning{}, err
	}
	d.mu.Lock()
	before, busy := d.known[s.URL], d.busy()
	d.mu.Unlock()
	w := Warning{Needed: !s.Simulated && !before, Server: s, Does: Does(p), Lacks: s.Lacks}
	if busy {
		w.Others = Others{Why: "load of ours is on it", Running: math.NaN(), Waiting: math.NaN(), Rate: math.NaN(), Text: "load of ours is on it"}
	} else {
		w.Others = d.others(ctx, instance)
	}
	return w, nil
}

// others asks the session who uses an engine now.
func (d *desk) others(ctx context.Context, instance string) Others {
	nan := math.NaN()
	out := Others{Running: nan, Waiting: nan, Rate: nan}
	sc := d.o.Scope(instance)
	book, why := d.o.Book()
	if why == "" && sc.Dialect == nil {
		why = "the engine's own numbers are not known"
	}
	if why != "" {
		out.Why, out.Text = why, "who else uses it can't be told: "+why
		return out
	}
	_, now := book.Bounds()
	ask := func(expr string) float64 {
		res, err := book.Query(ctx, expr, now, sc)
		if err != nil || len(res.Vector()) != 1 {
			return nan
		}
		return res.Vector()[0].F
	}
	sc.Window = time.Minute
	out.Running, out.Waiting, out.Rate = ask("engine:running"), ask("engine:waiting"), ask("sum(engine:requests_finished)")
	out.Known = !math.IsNaN(out.Running)
	if !out.Known {
		out.Why = "its numbers have not been read"
		out.Text = "who else uses it can't be told: " + out.Why
		return out
	}
	if !out.Busy() {
		out.Text = "nobody else uses it now"
		return out
	}
	words := []string{fmt.Sprintf("%.0f running", out.Running)}
	if !math.IsNaN(out.Waiting) {
		words = append(words, fmt.Sprintf("%.0f waiting", out.Waiting))
	}
	if !math.IsNaN(out.Rate) {
		words = append(words, fmt.Sprintf("%.2g requests/s over the last minute", out.Rate))
	}
	out.Text = "others use it: " + strings.Join(words, ", ")
	return out
}
