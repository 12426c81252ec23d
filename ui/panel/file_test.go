package panel_test

import (
	"strings"
	"testing"

	"pitwall/ui/panel"
)

func TestFaultsAreNamedWithLineAndReason(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       string // the fault and its hint, as "place: what | hint"; several are parted by a line break
	}{
		{"an empty file has none", "", ""},
		{"a file of comments has none", "# nothing\n", ""},
		{"a whole panel has none", "panels:\n- id: a\n  title: A\n  unit: s\n  queries: up\n", ""},
		{"what is no YAML", "panels: [\n", "f.yaml:1: did not find expected node content | "},
		{"two documents", "panels: []\n---\npanels: []\n", "f.yaml:2: more than one YAML document | take the line --- out"},
		{"a list at the top", "- a\n", "f.yaml:1: keys with values expected | a file of panels begins with panels: or pages:"},
		{"an unknown key gets the nearest one", "panle:\n", `f.yaml:1: unknown key "panle" | did you mean panels?`},
		{"an unknown key of a panel", "panels:\n- id: a\n  titel: x\n", `f.yaml:3: panels[a]: unknown key "titel" | did you mean title?`},
		{"an unknown key of a query", "panels:\n- id: a\n  unit: s\n  queries:\n  - id: q\n    exp: up\n    expr: up\n", `f.yaml:6: panels[a].queries[q]: unknown key "exp" | did you mean expr?`},
		{"a key twice", "panels:\n- id: a\n  title: x\n  title: y\n", "f.yaml:4: panels[a].title: given a second time | "},
		{"a wrong type", "panels:\n- id: a\n  max: high\n", "f.yaml:3: panels[a].max: a number expected, not high | "},
		{"a list where text belongs", "panels:\n- id: a\n  title: [x]\n", "f.yaml:3: panels[a].title: text expected, not a list | "},
		{"an unknown way to draw", "panels:\n- id: a\n  draw: lin\n", `f.yaml:3: panels[a].draw: "lin" is no way to draw | did you mean line?`},
		{"an unknown scope", "panels:\n- id: a\n  scope: gpus\n", `f.yaml:3: panels[a].scope: "gpus" is no scope | did you mean gpu?`},
		{"no name at all", "panels:\n- unit: s\n", "f.yaml:2: panels[0]: it has neither an id nor a title | id: my-panel"},
		{"a bad id", "panels:\n- id: My Panel\n", `f.yaml:2: panels[My Panel]: id "My Panel" is not small letters, digits, - and _ | id: my-panel`},
		{"an id twice", "panels:\n- {id: a, title: x}\n- {id: a, title: y}\n", "f.yaml:3: panels[a]: a second panel with this id | "},
		{"PromQL that does not parse, with the character", "panels:\n- id: a\n  unit: s\n  queries:\n  - sum(rate(x[5m])\n", "f.yaml:5: panels[a].queries[q1].expr: character 16: unclosed left parenthesis | here: sum(rate(x[5m]) ▸ "},
		{"the character counts what stands in the file, not what is put in for variables", "panels:\n- id: a\n  unit: s\n  queries: 'rate(x{$sel}[$__rate_interval]) +) 1'\n",
			`f.yaml:4: panels[a].queries[q1].expr: character 34: unexpected right parenthesis ')' | here: …e(x{$sel}[$__rate_interval]) + ▸ ) 1`},
		{"in a block it is the line of the block", "panels:\n- id: a\n  unit: s\n  queries:\n  - expr: |\n      sum(x)\n      + sum(y))\n", `f.yaml:7: panels[a].queries[q1].expr: character 16: unexpected right parenthesis ')' | here: + sum(y) ▸ )`},
		{"a variable that nobody fills", "panels:\n- id: a\n  unit: s\n  queries: x{m=\"$model\"}\n", "f.yaml:4: panels[a].queries[q1].expr: character 6: unknown variable $model | one of $__interval, $__interval_ms, $__range, $__range_ms, $__range_s, $__rate_interval, $sel, $w"},
		{"a variable nearly right", "panels:\n- id: a\n  unit: s\n  queries: rate(x[$__rate_intervall])\n", "f.yaml:4: panels[a].queries[q1].expr: character 8: unknown variable $__rate_intervall | did you mean $__rate_interval?"},
		{"a range alone", "panels:\n- id: a\n  unit: s\n  queries: 'x[5m]'\n", "f.yaml:4: panels[a].queries[q1].expr: it gives a range vector, not numbers at a moment | a range belongs into rate(…[$w]) or the like"},
		{"a name that no dialect knows", "panels:\n- id: a\n  unit: s\n  queries: engine:runing\n", "f.yaml:4: panels[a].queries[q1].expr: dialect vllm does not know engine:runing; the nearest name is engine:running | "},
		{"a rate of a name", "panels:\n- id: a\n  unit: s\n  queries: 'rate(engine:running[5m])'\n", "f.yaml:4: panels[a].queries[q1].expr: engine:running[5m]: a range cannot be taken of engine:running, which is a template and not a series; say engine:running itself, or max_over_time(engine:running[5m:1s]) for a statistic over time, never rate() | "},
		{"a heat map without buckets", "panels:\n- id: a\n  unit: s\n  draw: heat\n  queries: sum(rate(x_bucket[$w]))\n", "f.yaml:5: panels[a].queries[q1].expr: a heat map needs the buckets by le, and the expression drops that label | sum by (le)(rate(x_bucket{$sel}[$w]))"},
		{"no unit is a warning", "panels:\n- id: a\n  queries: up\n", "warning f.yaml:2: panels[a]: no unit: its numbers are written bare; unit: none says that they have none | "},
		{"a unit that is another's name", "panels:\n- {id: a, unit: percentunit, queries: up}\n", "warning f.yaml:2: panels[a].unit: written ratio here; as it stands it is only a word behind the number | "},
		{"a threshold that is no level", "panels:\n- id: a\n  thresholds: [{from: 1, level: worse}]\n", `f.yaml:3: panels[a].thresholds[0].level: "worse" is neither warn nor bad | `},
		{"a page without a name", "pages:\n- panels: [queue]\n", "f.yaml:2: pages[0]: a page without a name | name: mine"},
		{"too many columns", "pages:\n- {name: a, columns: 9}\n", "f.yaml:2: pages[a].columns: 9 is not between 1 and 6 | leave it out for as many as the width allows"},
		{"the axis upside down", "panels:\n- {id: a, min: 3, max: 1}\n", "f.yaml:2: panels[a].max: not above min | "},
		{"a key that is no digit", "panels:\n- {id: a, key: x}\n", `f.yaml:2: panels[a].key: "x" is no digit from 1 to 9 | `},
		{"a chart of a query that is not there", "panels:\n- {id: a, unit: s, draw: line, queries: up, charts: [{title: t, queries: [q9]}]}\n", `f.yaml:2: panels[a].charts[0]: the panel has no query "q9" | `},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, faults := panel.Parse("f.yaml", []byte(tc.text))
			var got []string
			for _, f := range faults {
				s := f.Error() + " | " + f.Hint
				if f.Warning {
					s = "warning " + s
				}
				got = append(got, s)
			}
			if g := strings.Join(got, "\n"); g != tc.want {
				t.Errorf("got\n%s\nwant\n%s", g, tc.want)
			}
		})
	}
}

func TestAFaultStaysInItsOwnPanel(t *testing.T) {
	f, faults := panel.Parse("f.yaml", []byte("panels:\n- {id: bad, unit: s, draw: what, queries: up}\n- {id: half, unit: s, queries: [{id: a, expr: up}, {id: b, expr: 'up['}]}\n- {id: good, unit: s, queries: up}\n"))
	if !panel.Faulty(faults) {
		t.Fatal("no fault")
	}
	b, _ := panel.NewBook("", f)
	for id, want := range map[string]string{"bad": `"what" is no way to draw`, "half": "", "good": ""} {
		if s, ok := b.Panel(id); !ok || s.Broken() != want {
			t.Errorf("%s: broken %q, want %q", id, s.Broken(), want)
		}
	}
	half, _ := b.Panel("half")
	if a, _ := half.Query("a"); a.Broken() != "" {
		t.Errorf("query a: %q", a.Broken())
	}
	if q, _ := half.Query("b"); q.Broken() == "" {
		t.Error("query b is not broken")
	}
}

func TestUnitsAreWritten(t *testing.T) {
	for _, tc := range []struct {
		unit string
		v    float64
		want string
	}{
		{"s", 0.0213, "21 ms"}, {"ms", 21.3, "21 ms"}, {"us", 180, "0.2 ms"}, {"ratio", 0.613, "61 %"}, {"percent", 61.3, "61 %"}, {"bytes", 71.2 * (1 << 30), "71.2 GiB"},
		{"MiB", 1024, "1.0 GiB"}, {"bytes/s", 12e6, "12.0 MB/s"}, {"bits/s", 12e6, "12.0 Mbit/s"}, {"requests/s", 2.44, "2.4 /s"}, {"tokens/s", 5810, "5,810 tok/s"}, {"W", 385.4, "385 W"},
		{"°C", 71, "71 °C"}, {"MHz", 1305, "1,305 MHz"}, {"Hz", 1.305e9, "1.30 GHz"}, {"time", 1767225600, "2026-01-01 00:00"}, {"yes/no", 1, "yes"}, {"none", 1204, "1,204"}, {"", 0.5, "0.5"}, {"pages", 3, "3 pages"}, {"s", nan, "—"},
	} {
		if got := panel.Text(tc.unit, tc.v); got != tc.want {
			t.Errorf("%v in %q: %q, want %q", tc.v, tc.unit, got, tc.want)
		}
	}
	for _, u := range append(panel.Units(), "", "pages") {
		for _, top := range []float64{0.0001, 0.5, 1, 80, 5000, 8e4, 3e7, 7e10} {
			if n := len([]rune(panel.Tick(u, top, top))); n > 6 && u != "time" {
				t.Errorf("the tick %q of %v is %d cells wide", panel.Tick(u, top, top), u, n)
			}
		}
	}
}
