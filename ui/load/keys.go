package load

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"pitwall/probes/load/shape"
	"pitwall/sessions/steer"
	"pitwall/ui/keys"
)

// group is where the bar's keys stand in the help.
const group = "load"

// Keys lists what can be done with the load now: one key while the bar is shut, all of them while it is shown.
func (b *Bar) Keys() []keys.Binding {
	opens := keys.Binding{Keys: []string{"l"}, Short: "load", Rank: 1, Help: "the load bar: start load on the engine, turn it up and down, stop it", Group: group,
		Disabled: b.cannotOpen, Run: func(string) tea.Cmd { b.open = true; b.take(); return nil }}
	if !b.Shown() {
		return []keys.Binding{opens}
	}
	opens.Short, opens.Help = "", "shut the load bar; while load is on it stays"
	opens.Run = func(string) tea.Cmd {
		b.open = false
		if b.active() {
			return say("the bar stays while load is on: s stops it", false)
		}
		return nil
	}
	set := func(f func(shape.Point) shape.Point) func(string) tea.Cmd {
		return func(string) tea.Cmd { return b.change(f(b.draft)) }
	}
	start := keys.Binding{Keys: []string{"s"}, Help: "start the load; again, let it end: what is under way is answered", Group: group, Disabled: b.cannot, Run: func(string) tea.Cmd { return b.toggle() }}
	list := []keys.Binding{opens, start,
		{Keys: []string{"C"}, Help: "cancel: end the load and give up what is under way", Group: group, Disabled: b.cannotCancel, Run: func(string) tea.Cmd {
			b.end(b.desk.Cancel)
			return nil
		}},
		{Keys: []string{"u"}, Help: "one step more: a client, from 16 on an eighth of them; a fifth of the rate", Group: group, Disabled: b.cannotStep, Run: set(func(p shape.Point) shape.Point { return Step(p, 1) })},
		{Keys: []string{"d"}, Help: "one step less", Group: group, Disabled: b.cannotStep, Run: set(func(p shape.Point) shape.Point { return Step(p, -1) })},
		{Keys: []string{"U"}, Help: "twice the load", Group: group, Disabled: b.cannotStep, Run: set(func(p shape.Point) shape.Point { return Scale(p, 1) })},
		{Keys: []string{"D"}, Help: "half the load", Group: group, Disabled: b.cannotStep, Run: set(func(p shape.Point) shape.Point { return Scale(p, -1) })},
		{Keys: []string{"c"}, Help: "type how many clients", Group: group, Disabled: b.cannot, Run: func(string) tea.Cmd { return b.typeIn("c ") }},
		{Keys: []string{"r"}, Help: "type a rate in requests/s", Group: group, Disabled: b.cannot, Run: func(string) tea.Cmd { return b.typeIn("r ") }},
		{Keys: []string{"i"}, Help: "type the prompts' length in tokens", Group: group, Disabled: b.cannot, Run: func(string) tea.Cmd { return b.typeIn("i ") }},
		{Keys: []string{"o"}, Help: "type the answers' length in tokens", Group: group, Disabled: b.cannot, Run: func(string) tea.Cmd { return b.typeIn("o ") }},
		{Keys: []string{":"}, Help: "type anything of it: " + Hint, Group: group, Disabled: b.cannot, Run: func(string) tea.Cmd { return b.typeIn("") }},
		{Keys: []string{"a"}, Help: "arrivals: closed loop, Poisson, constant", Group: group, Disabled: b.cannot, Run: set(nextKind)},
		{Keys: []string{"h"}, Help: "prefix cache: cold or warm prompts", Group: group, Disabled: b.cannot, Run: set(otherCache)},
		{Keys: []string{"*"}, Help: "presets, your own first (load: in the configuration)", Group: group, Disabled: b.cannot, Run: func(string) tea.Cmd { return open(b.newPresets()) }},
		{Keys: []string{"F"}, Help: "everything of it at once, in a form", Group: group, Disabled: b.cannot, Run: func(string) tea.Cmd { return open(newForm(b)) }},
	}
	for i, k := range list {
		run := k.Run
		list[i].Run = func(key string) tea.Cmd {
			b.refused = ""
			return run(key)
		}
	}
	return list
}

// cannotOpen is why there can never be load here.
func (b *Bar) cannotOpen() string {
	if b.replay {
		return "a session that is only read: load goes to an engine that pitwall records"
	}
	return ""
}

// cannot is why nothing can be started or changed now.
func (b *Bar) cannot() string {
	switch {
	case b.replay:
		return b.cannotOpen()
	case b.status.Cannot != "":
		return b.status.Cannot
	case b.target() == "":
		return "no engine was found"
	}
	return ""
}

func (b *Bar) cannotCancel() string {
	if why := b.cannot(); why != "" {
		return why
	}
	if !b.active() && !b.starting {
		return "no load is on"
	}
	return ""
}

func (b *Bar) cannotStep() string {
	if why := b.cannot(); why != "" {
		return why
	}
	if kindOf(b.draft) == shape.Trace {
		return "a trace has its own times: a arrivals, r a rate"
	}
	return ""
}

// toggle starts, or lets end what is on.
func (b *Bar) toggle() tea.Cmd {
	switch {
	case b.busy != "" && !b.starting:
		return say("load: "+b.busy, false)
	case b.status.Phase == steer.Draining:
		return say("draining: what is under way ends by itself; C gives it up", false)
	case b.active() || b.starting:
		b.end(b.desk.Stop)
		return nil
	}
	if why := wrong(b.draft); why != "" {
		return say("load: "+why, true)
	}
	return b.begin(b.draft)
}

// nextKind goes round the ways that need no more than a number.
func nextKind(p shape.Point) shape.Point {
	next := map[shape.Kind]string{shape.Closed: "poisson", shape.Poisson: "constant"}[kindOf(p)]
	if next == "" {
		next = "closed"
	}
	_ = setKind(&p, next) // only a trace can fail
	return p
}

func otherCache(p shape.Point) shape.Point {
	if p.Filled().Cache == shape.Cold {
		p.Cache = shape.Warm
		return p
	}
	p.Cache = shape.Cold
	return p
}

// verb is what the key s does now.
func (b *Bar) verb() string {
	switch {
	case b.status.Phase == steer.Draining:
		return "draining"
	case b.active():
		return "stop"
	}
	return "start"
}

// hints are the bar's keys as they stand in it, the most important first.
func (b *Bar) hints(ascii bool) [][2]string {
	unit := "20%"
	if kindOf(b.draft) == shape.Closed {
		unit = itoa(Step(b.draft, 1).Arrival.Clients - b.draft.Arrival.Clients)
	}
	if ascii {
		unit = "+-" + unit
	} else {
		unit = "±" + unit
	}
	list := [][2]string{{"s", b.verb()}}
	if b.active() {
		list = append(list, [2]string{"C", "cancel"})
	}
	return append(list, [][2]string{{"u d", unit}, {"U D", "×2 ÷2"}, {"c r", "clients, rate"}, {"i o", "lengths"}, {":", "type"}, {"F", "form"}, {"*", "presets"},
		{"a", strings.ToLower(string(kindOf(b.draft)))}, {"h", string(b.draft.Filled().Cache)}, {"L", "runs"}, {"l", "shut"}}...)
}
