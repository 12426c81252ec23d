package live

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"time"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
	"pitwall/sessions"
	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// part is a piece of a line: texts with inks. rank says how soon it is left out when there is no room: 0 never, then the
// highest first.
type part struct {
	rank  int
	texts []span
}

type span struct {
	text string
	ink  theme.Ink
}

func (p part) width() int {
	w := 0
	for _, s := range p.texts {
		w += grid.Width(s.text)
	}
	return w
}

// fit leaves out parts until they fit beside each other with a gap between.
func fit(parts []part, w, gap int) []part {
	for {
		total, worst := 0, -1
		for i, p := range parts {
			total += p.width() + gap
			if p.rank > 0 && (worst < 0 || p.rank >= parts[worst].rank) {
				worst = i
			}
		}
		if total-gap <= w || worst < 0 {
			return parts
		}
		parts = append(parts[:worst:worst], parts[worst+1:]...)
	}
}

func drawParts(p grid.Pane, x, y int, parts []part, gap int) int {
	for i, pt := range parts {
		if i > 0 {
			x += gap
		}
		for _, s := range pt.texts {
			x = p.Text(x, y, s.ink, s.text)
		}
	}
	return x
}

// drawTop writes who, what, in which state, and the clock.
func (v view) drawTop(p grid.Pane) {
	s := v.s
	left := []part{{0, []span{{" pitwall", theme.Brand}}}}
	var right []part
	if s != nil && s.info.Simulated {
		left = append(left, part{0, []span{{" SIMULATED ", theme.Notice}}})
	}
	if e, ok := s.chosen(); ok {
		st := v.m.condition(e)
		name := engineTitle(e)
		state := part{0, []span{{string(st.sign) + " " + st.word, st.ink}}}
		if st.badge != st.ink {
			state = part{0, []span{{" " + string(st.sign) + " " + st.word + " ", st.badge}}}
		}
		started, err := time.Parse(time.RFC3339, s.fact("started"))
		// What was so when the recording began has been so for longer: the engine's own start says more.
		found := err == nil && e.state == "ready" && e.since.Sub(s.first) <= 3*time.Second
		if !st.since.IsZero() && !found {
			state.texts = append(state.texts, span{" " + figure.Span(v.now.Sub(st.since)), theme.Dim})
		}
		left = append(left, state)
		if found {
			left = append(left, part{4, []span{{"up " + figure.Span(v.now.Sub(started)), theme.Dim}}})
		}
		left = append(left, part{5, []span{{name, theme.Plain}}})
		if e.model != "" {
			left = append(left, part{2, []span{{modelName(e.model, p.W()), theme.Strong}}})
		}
		left = append(left, part{3, []span{{e.instance, theme.Dim}}})
		if n := len(s.engines); n > 1 {
			left = append(left, part{7, []span{{itoa(s.engine+1) + " of " + itoa(n) + " engines", theme.Dim}}})
		}
	} else if s != nil && !s.at.IsZero() {
		st := stateOf("no_engine")
		left = append(left, part{0, []span{{" " + string(st.sign) + " " + st.word + " ", st.badge}}})
	}
	if g := v.gpuNames(); g != "" {
		left = append(left, part{6, []span{{g, theme.Dim}}})
	}
	if s != nil {
		right = append(right, v.recording()...)
	}
	right = append(right, part{0, v.modeText()})
	rightRank := right
	// Both sides compete for the line: the ranks decide.
	all := fit(append(append([]part{}, left...), rightRank...), p.W()-1, 2)
	var l, r []part
	for _, x := range all {
		if containsPart(rightRank, x) {
			r = append(r, x)
		} else {
			l = append(l, x)
		}
	}
	drawParts(p, 0, 0, l, 2)
	rw := -2
	for _, x := range r {
		rw += x.width() + 2
	}
	drawParts(p, p.W()-rw, 0, r, 2)
}

func containsPart(list []part, p part) bool {
	for _, x := range list {
		if len(x.texts) > 0 && len(p.texts) > 0 && &x.texts[0] == &p.texts[0] {
			return true
		}
	}
	return false
}

// engineTitle is the engine's own name with its version.
func engineTitle(e engine) string {
	name := e.dialect
	if d, ok := dialect.Named(e.dialect); ok {
		name = d.Title
	}
	if e.version != "" {
		name += " " + grid.Cut(e.version, 14)
	}
	return name
}

// modelName shortens a model's name: a path to its last part, anything to a share of the line.
func modelName(name string, w int) string {
	name = grid.Clean(name)
	if strings.HasPrefix(name, "/") {
		name = path.Base(name)
	}
	most := max(w/4, 18)
	if grid.Width(name) > most {
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			name = name[i+1:]
		}
	}
	return grid.Cut(name, most)
}

func (v view) gpuNames() string {
	if v.s == nil || len(v.s.gpus) == 0 {
		return ""
	}
	name := strings.TrimPrefix(v.s.gpus[0].name, "NVIDIA ")
	if n := len(v.s.gpus); n > 1 {
		for _, g := range v.s.gpus[1:] {
			if g.name != v.s.gpus[0].name {
				return itoa(n) + " GPUs"
			}
		}
		return itoa(n) + "× " + grid.Cut(name, 24)
	}
	return grid.Cut(name, 24)
}

// recording says how the recording stands. The id is what one types later to find the session.
func (v view) recording() []part {
	in := v.s.info
	long := figure.Span(v.f.Now.Sub(in.Started)) // the recording goes on while the cursor is elsewhere
	if in.Started.IsZero() {
		long = ""
	}
	name := in.Name
	if name == "" {
		name = in.ID
	}
	name = grid.Cut(name, 28)
	switch in.Recording {
	case sessions.RecordingHere:
		return []part{{0, []span{{"● REC", theme.Bad}, {" " + long, theme.Plain}}}, {8, []span{{name, theme.Dim}}}}
	case sessions.RecordingElsewhere:
		return []part{{0, []span{{"● REC", theme.Bad}, {" " + long, theme.Plain}}}, {4, []span{{"attached to pid " + itoa(in.PID), theme.Dim}}}, {8, []span{{name, theme.Dim}}}}
	case sessions.RecorderDied:
		return []part{{0, []span{{" RECORDER DIED ", theme.Alarm}}}}
	case sessions.NotStored:
		return []part{{0, []span{{" NOT STORED ", theme.Notice}}}}
	}
	if in.ID == "" {
		return nil
	}
	return []part{{4, []span{{name, theme.Dim}}}}
}

// trouble is something that the second line has to say.
type trouble struct {
	badge string
	ink   theme.Ink
	text  string
	hint  string
}

// troubles lists what is wrong, the gravest first. It states facts and concludes nothing from them.
func (v view) troubles() []trouble {
	s := v.s
	if s == nil {
		return nil
	}
	var out []trouble
	if s.gap != "" {
		out = append(out, trouble{"NO DATA", theme.Notice, s.gap, ""})
	}
	in := s.info
	switch in.Recording {
	case sessions.RecorderDied:
		out = append(out, trouble{"RECORDER DIED", theme.Alarm, "nothing recorded since " + s.last.Local().Format("15:04:05") + recorderGone(in.PID), "R records here"})
	case sessions.NotStored:
		out = append(out, trouble{"NOT STORED", theme.Notice, in.Trouble + why2(in.Trouble, "what you see is in memory only"), ""})
	default:
		if in.Trouble != "" {
			out = append(out, trouble{"RECORDING", theme.Notice, in.Trouble, ""})
		}
	}
	if d := v.f.Now.Sub(v.m.asked); v.m.fetching && d > deadline+3*time.Second {
		out = append(out, trouble{"NO ANSWER", theme.Alarm, "the recording has not answered for " + figure.Span(d) + "; what is shown is of " + s.at.Local().Format("15:04:05"), ""})
	}
	if e, ok := s.chosen(); ok {
		st := v.m.condition(e)
		reason := st.reason
		switch {
		case st.dead, e.state == "stalled", e.state == "no_answer", e.state == "restarted", e.state == "no_engine" && v.m.hasHistory():
			if reason == "" {
				reason = "since " + e.since.Local().Format("15:04:05")
			}
			if l := s.fact("last_error"); l != "" && e.state != "restarted" && !strings.Contains(reason, l) {
				reason += " · log: " + l
			}
			out = append(out, trouble{st.word, st.badge, reason, ""})
		case e.state == "starting", e.state == "sleeping":
			out = append(out, trouble{st.word, st.badge, why2(reason, "") + reason, ""})
		}
	}
	for _, t := range s.targets {
		if t.Up || t.Job == "pitwall" {
			continue
		}
		e, ok := s.chosen()
		if ok && t.Job == e.dialect && (t.Instance != e.instance || stateOf(e.state).bad || e.state == "starting" || e.state == "no_engine") {
			continue // its state says it already, or it isn't the one that is shown
		}
		long := "never read"
		if !t.LastOK.IsZero() {
			long = "lost for " + figure.Span(v.now.Sub(t.LastOK))
		}
		out = append(out, trouble{"NO DATA", theme.Notice, t.Job + " " + t.Instance + " " + long + ": " + cmp.Or(t.Err, t.Late), ""})
	}
	for _, e := range slices.Backward(v.m.episodes) {
		if v.now.Sub(e.Start) > 10*time.Minute {
			break
		}
		if e.Severity == probes.Critical && !stateOfKind(e.Kind) {
			out = append(out, trouble{"CRITICAL", theme.Alarm, subjectOf(strings.TrimPrefix(e.Subject, "engine/")) + join(e.Text(), figure.Span(v.now.Sub(e.Start))+" ago", v.eventTail(e)), ""})
			break
		}
	}
	for _, g := range s.gpus {
		if text, bad := v.limits(itoa(g.index)); bad == 2 {
			out = append(out, trouble{"GPU " + itoa(g.index), theme.Alarm, "clocks held down: " + text, ""})
		}
	}
	if in.Dropped > 0 {
		out = append(out, trouble{"DROPPED", theme.Notice, figure.Whole(float64(in.Dropped)) + " readings were gathered but not stored", ""})
	}
	grade := func(t trouble) int { return slices.Index([]theme.Ink{theme.Badge, theme.Notice, theme.Alarm}, t.ink) }
	slices.SortStableFunc(out, func(a, b trouble) int { return cmp.Compare(grade(b), grade(a)) })
	return out
}

// recorderGone names the recorder that died, where it is known.
func recorderGone(pid int) string {
	if pid == 0 {
		return ""
	}
	return ", pid " + itoa(pid) + " is gone"
}

func subjectOf(subject string) string {
	if subject == "" {
		return ""
	}
	return subject + ": "
}

func why2(a, b string) string {
	if a == "" || b == "" {
		return ""
	}
	return "; " + b
}

// drawStatus writes the second line: the gravest trouble of the moment, else a summary; before it the last event where the
// screen has no list of them; and at its end where the cursor is, unless that is now.
func (v view) drawStatus(p grid.Pane, listed bool) {
	p = v.drawPlace(p)
	list := v.troubles()
	if len(list) > 0 {
		t := list[0]
		x := p.Text(0, 0, t.ink, " "+t.badge+" ")
		tail := ""
		if n := len(list) - 1; n > 0 {
			tail = " +" + itoa(n) + " more: " + strings.ToLower(list[1].badge)
		}
		if p.W()-x-4-grid.Width(t.hint)-grid.Width(tail) < min(grid.Width(t.text), 45) && tail != "" {
			tail = " +" + itoa(len(list)-1) // the gravest needs the room
		}
		room := p.W() - x - 4 - grid.Width(t.hint) - grid.Width(tail)
		x = p.Text(x+1, 0, theme.Strong, grid.Cut(t.text, max(room, 10)))
		if t.hint != "" {
			x = p.Text(x, 0, theme.Key, "  "+t.hint)
		}
		p.Text(x, 0, theme.Dim, grid.Cut(tail, p.W()-x))
		return
	}
	x := 1
	if !listed && v.s != nil && !v.s.at.IsZero() {
		if l, ok := v.newest(); ok {
			x = v.drawEvent(p.Sub(0, 0, p.W()-1, 1), l) + 3
		}
	}
	drawParts(p, x, 0, fit(v.summary(), p.W()-1-x, 3), 3)
}

// summary is the quiet second line.
func (v view) summary() []part {
	s := v.s
	if s == nil || s.at.IsZero() {
		return nil
	}
	val := func(rank int, label, text string, ink theme.Ink) part {
		return part{rank, []span{{label + " ", theme.Dim}, {text, ink}}}
	}
	var out []part
	if e, ok := s.chosen(); ok && e.state != "no_engine" {
		run, wait, kv := s.one("running"), s.one("waiting"), s.one("kv")
		text := run.Text(figure.Whole)
		if l := s.number("max_num_seqs"); l.OK {
			text += "/" + figure.Whole(l.V)
		}
		ink := theme.Plain
		if wait.OK && wait.V > 0 {
			ink = theme.Warn
		}
		out = append(out, val(1, "running", text, theme.Plain), val(1, "waiting", wait.Text(figure.Whole), ink), val(2, "KV", kv.Text(figure.Percent), inkOver(kv, kvHigh)))
		out = append(out, val(3, "decode", s.one("decode").Text(figure.Count)+" tok/s", theme.Plain), val(5, "prefill", s.one("prefill").Text(figure.Count)+" tok/s", theme.Plain))
		switch b := bucketsOf(s.values["ttft_buckets"]); {
		case total(b) > 0:
			out = append(out, val(4, "TTFT p95", v.bound(b, .95), theme.Plain))
		case len(b) > 0:
			out = append(out, val(6, "TTFT", phases[0].none+" in "+figure.Ago(s.window), theme.Dim))
		}
	}
	if g, ok := v.gpuAt(); ok {
		p, l := s.pair("gpu_power", "gpu", itoa(g.index)), s.metric(enforcedLimit, "gpu", itoa(g.index))
		if r := p.Div(l); r.OK {
			label := "GPU power"
			if len(s.gpus) > 1 {
				label = "GPU " + itoa(g.index) + " power"
			}
			out = append(out, val(6, label, figure.Percent(r.V)+" of limit", inkOver(r, 0.95)))
		}
	}
	out = append(out, val(7, "CPU", s.one("cpu").Text(figure.Share), theme.Plain))
	if e, ok := s.chosen(); ok && e.state != "no_engine" {
		if t, ok := s.target(e.dialect, e.instance); ok {
			out = append(out, val(8, "scraped every", figure.Ago(t.Every), theme.Plain))
		}
	}
	return out
}

func inkOver(v figure.Value, limit float64) theme.Ink {
	if v.OK && v.V >= limit {
		return theme.Warn
	}
	return theme.Plain
}
