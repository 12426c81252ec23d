package live

import (
	"strconv"
	"strings"
	"time"

	"pitwall/sessions"
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// modeText is the end of the top line: whether the screen is live, and the moment that it shows, with its seconds.
func (v view) modeText() []span {
	s := v.s
	at, mode := v.f.Now, span{"LIVE", theme.Good}
	switch {
	case v.m.cursor.mode == frozen:
		at, mode = v.now, span{" FROZEN ", theme.Notice}
	case v.m.cursor.mode == playing:
		at, mode = v.now, span{" REPLAY ×" + speedName(v.m.cursor.speed) + " ", theme.Badge}
	case s != nil && s.info.Recording == sessions.Saved && s.info.ID != "":
		at, mode = v.now, span{"SAVED", theme.Info}
	case s != nil && !s.at.IsZero() && v.now.Sub(s.at) > v.m.every+4*time.Second:
		mode = span{" " + figure.Span(v.now.Sub(s.at)) + " OLD ", theme.Notice}
	}
	return []span{mode, {" " + v.clock(at) + " ", theme.Strong}}
}

func speedName(speed float64) string { return strconv.FormatFloat(speed, 'g', -1, 64) }

// clock writes a moment in local time, with its day unless that is today's.
func (v view) clock(at time.Time) string {
	at, now := at.Local(), v.f.Now.Local()
	if at.YearDay() != now.YearDay() || at.Year() != now.Year() {
		return at.Format("Jan _2 15:04:05")
	}
	return at.Format("15:04:05")
}

// into writes how far into the session a moment is: 00:16:45.
func into(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	two := func(n int64) string {
		if n < 10 {
			return "0" + strconv.FormatInt(n, 10)
		}
		return strconv.FormatInt(n, 10)
	}
	return two(s/3600) + ":" + two(s/60%60) + ":" + two(s%60)
}

// drawPlace writes where the cursor is at the right end of the second line, and gives what is left of the line: how far into
// the session, how far behind the recording, which goes on. A live screen needs none of it.
func (v view) drawPlace(p grid.Pane) grid.Pane {
	if v.s == nil || v.s.at.IsZero() {
		return p
	}
	var parts []part
	if len(v.m.marks) == 2 {
		a, b := v.m.sorted()
		arrow := " → "
		if v.f.ASCII {
			arrow = " -> "
		}
		parts = append(parts, part{1, []span{{" A " + v.clock(a.at) + arrow + "B " + v.clock(b.at) + " ", theme.Badge}}}, part{0, []span{{"A" + strings.TrimSpace(arrow) + "B " + figure.Span(b.at.Sub(a.at)), theme.Info}}})
	}
	if v.m.cursor.mode == live {
		return v.placed(p, parts)
	}
	parts = append(parts, part{0, []span{{into(v.now.Sub(v.s.first)) + " in", theme.Strong}}})
	if v.m.growing() {
		parts = append(parts, part{0, []span{{"· behind by " + figure.Span(v.f.Now.Sub(v.now)), theme.Warn}}})
	} else {
		parts = append(parts, part{2, []span{{"of " + into(v.s.last.Sub(v.s.first)), theme.Dim}}})
	}
	return v.placed(p, parts)
}

// placed writes parts at the right end of a line and gives what is left of it.
func (v view) placed(p grid.Pane, parts []part) grid.Pane {
	if len(parts) == 0 {
		return p
	}
	parts = fit(parts, max(p.W()*2/3, 12), 1)
	w := 0
	for _, x := range parts {
		w += x.width() + 1
	}
	drawParts(p, p.W()-w, 0, parts, 1)
	return p.Sub(0, 0, p.W()-w-2, p.H())
}
