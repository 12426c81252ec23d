package live

import (
	"math"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/plot"
	"pitwall/ui/theme"
)

// From these shares of the KV cache on, a full cache is near and then there: an engine preempts when no block is free.
const (
	kvHigh = 0.90
	kvFull = 0.98
)

func drawCache(v view, p grid.Pane, g geometry) {
	v.area(g, 1, func(f float64) string { return tight(figure.Percent(f)) },
		plot.Layer{Values: v.chart("kv", g.timeline, most), Ink: theme.A, Warn: kvHigh, Bad: kvFull})
	v.drawNumbers(g.numbers, cacheRows)
}

func cacheRows(v view) []row {
	s := v.s
	kv := s.one("kv")
	used := row{label: "used", query: "kv", num: kv, format: figure.Percent, ink: theme.Strong, right: v.most("kv", figure.Percent), gauge: kv, gaugeInk: theme.A.Crest(), glyph: '█', key: theme.A.Crest()}
	switch {
	case kv.OK && kv.V >= kvFull:
		used.ink, used.gaugeInk, used.note, used.noteInk = theme.Bad, theme.X.Crest(), "FULL", theme.Bad
	case kv.OK && kv.V >= kvHigh:
		used.ink, used.gaugeInk, used.note, used.noteInk = theme.Warn, theme.W.Crest(), "high", theme.Warn
	}
	rows := []row{used}
	tokens, blocks, size := s.number("kv_tokens"), s.number("num_gpu_blocks"), s.number("block_size")
	if !tokens.OK && blocks.OK && size.OK {
		tokens = figure.Of(blocks.V * size.V)
	}
	// With data-parallel engines the fullest one counts above, and the sizes are those of all: their mean belongs here.
	held, heldTokens := s.one("kv_mean"), figure.Value{}
	switch {
	case blocks.OK && blocks.V > 1:
		// One block is the engine's own, and not in what the share is of.
		held = held.Map(func(f float64) float64 { return math.Round(f * (blocks.V - 1)) })
		heldTokens = held.Map(func(f float64) float64 { return f / blocks.V * tokens.V })
		if size.OK && tokens.V == blocks.V*size.V {
			heldTokens = held.Map(func(f float64) float64 { return f * size.V })
		}
	case tokens.OK:
		heldTokens = held.Map(func(f float64) float64 { return math.Round(f * tokens.V) })
	}
	if tokens.OK {
		rows = append(rows, row{label: "tokens", query: "kv_mean", num: heldTokens, format: figure.Count, note: "of " + figure.Count(tokens.V)})
	} else {
		rows = append(rows, row{label: "tokens", value: figure.Absent, note: why(s, "engine/kv_tokens", "size not told")})
	}
	hit := s.one("hit")
	rows = append(rows, row{label: "prefix hit", query: "hit", num: hit, format: figure.Percent, note: hitNote(v, hit)})
	if blocks.OK {
		note := "of " + figure.Count(blocks.V)
		if size.OK {
			note += " × " + figure.Whole(size.V)
		}
		rows = append(rows, row{label: "blocks", query: "kv_mean", num: held, format: figure.Count, note: note})
	}
	rows = append(rows, rateRow("preempted", "preemptions", s.one("preemptions"), v.most("preemptions", figure.Rate), theme.Warn))
	if c := s.number("kv_max_concurrency"); c.OK {
		note := "× max_model_len"
		if l := s.number("max_model_len"); l.OK {
			note = "× " + figure.Whole(l.V) + " tokens"
		}
		rows = append(rows, row{label: "room for", num: c, format: figure.Rate, note: note})
	}
	if t := s.fact("cache_dtype"); t != "" {
		rows = append(rows, row{label: "dtype", value: grid.Cut(t, valueW), note: prefixNote(s)})
	}
	return s.explain(rows)
}

func hitNote(v view, hit figure.Value) string {
	if hit.OK {
		return "of tokens, " + figure.Ago(v.s.window)
	}
	if v.s.fact("prefix_caching") == "False" || v.s.fact("prefix_caching") == "false" {
		return "prefix caching is off"
	}
	if !v.s.one("kv").OK {
		return ""
	}
	if v.s.early() {
		return firstReading
	}
	return "no prompts in " + figure.Ago(v.s.window)
}

func prefixNote(s *snapshot) string {
	switch s.fact("prefix_caching") {
	case "True", "true":
		return "prefix cache on"
	case "False", "false":
		return "prefix cache off"
	}
	return ""
}

func why(s *snapshot, name, otherwise string) string {
	if r := s.why(name); r != "" {
		return r
	}
	return otherwise
}
