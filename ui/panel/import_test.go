package panel_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/exp/golden"

	"pitwall/ui/panel"
)

func board(t testing.TB, name string) *panel.Imported {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "boards", name))
	if err != nil {
		t.Fatal(err)
	}
	im, err := panel.FromGrafana(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

func TestPublishedBoardsAreTaken(t *testing.T) {
	for _, tc := range []struct {
		name          string
		panels, pages int
		left          int // besides rows, which are headings only
	}{
		{"vllm_grafana.json", 13, 2, 0}, {"vllm_performance_statistics.json", 16, 4, 0}, {"vllm_query_statistics.json", 14, 4, 0}, {"vllm_production_stack.json", 14, 4, 0},
		{"tgi.json", 29, 6, 0}, {"dcgm_exporter.json", 8, 1, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			im := board(t, tc.name)
			left := slices.DeleteFunc(slices.Clone(im.Left), func(r panel.Remark) bool { return strings.HasPrefix(r.What, "a row:") })
			if len(im.Panels) != tc.panels || len(im.Pages) != tc.pages || len(left) != tc.left {
				t.Errorf("%d panels on %d pages, left %v; want %d on %d and %d left", len(im.Panels), len(im.Pages), left, tc.panels, tc.pages, tc.left)
			}
			text, err := im.YAML(tc.name)
			if err != nil {
				t.Fatal(err)
			}
			f, faults := panel.Parse("panels.yaml", text)
			for _, x := range faults {
				t.Error(x)
			}
			if _, between := panel.NewBook("", f); len(between) > 0 {
				t.Error(between[0])
			}
			if strings.Contains(string(text), "model_name=\"$") || strings.Contains(string(text), "pitwall_") {
				t.Error("a variable or a stand-in is left in it")
			}
			golden.RequireEqual(t, string(text))
		})
	}
}

// a wraps one panel into a board with the usual variables.
func a(panelJSON string) string {
	return `{"title":"B","templating":{"list":[
		{"name":"DS","type":"datasource","query":"prometheus"},{"name":"LOKI","type":"datasource","query":"loki"},
		{"name":"model_name","type":"query"},{"name":"q","type":"custom","current":{"value":"0.99"}},{"name":"iv","type":"interval","current":{"value":"5m"}}]},
		"panels":[` + panelJSON + `]}`
}

func TestWhatIsTakenOutOfABoard(t *testing.T) {
	q := func(expr string) string {
		return fmt.Sprintf(`{"type":"timeseries","title":"P","targets":[{"refId":"A","expr":%q}]}`, expr)
	}
	for _, tc := range []struct{ name, json, want string }{
		{"a matcher with a variable becomes the chosen engine", q(`sum(rate(vllm:x_total{model_name="$model_name"}[$__rate_interval]))`), `line: sum(rate(vllm:x_total{$sel}[$__rate_interval]))`},
		{"braces, brackets and a format are variables too", q(`vllm:x{model_name=~"${model_name:regex}",a="b"} + vllm:y{model_name="[[model_name]]"}`), `line: vllm:x{a="b",$sel} + vllm:y{$sel}`},
		{"a metric that no engine has loses the matcher only", q(`foo_total{instance=~"$model_name"}`), `line: foo_total`},
		{"a variable with a value of its own stands for it", q(`histogram_quantile($q, sum by (le) (rate(x_bucket[$iv])))`), `line: histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m])))`},
		{"a range of one interval holds one reading: four are asked", q(`rate(x[$__interval])`), "line: rate(x[$__rate_interval])\nnote P: [$__interval] is written [$__rate_interval]: one interval holds a single reading here, of which no rate can be told"},
		{"the board's range stays", q(`increase(x[$__range]) / $__range_s`), `line: increase(x[$__range]) / $__range_s`},
		{"a group of label_replace is no variable", q(`label_replace(x, "a", "$1", "b", "(.*)")`), `line: label_replace(x, "a", "$1", "b", "(.*)")`},
		{"a query type variable outside of quotes", q(`topk($model_name, x)`), `left P: query A: variable $model_name stands outside of a label's value, and has none of its own`},
		{"a variable in a text", q(`label_replace(x, "a", "$model_name", "b", "")`), `left P: query A: a variable stands in a text outside of a matcher`},
		{"Grafana's own time", q(`x offset $__from`), `left P: query A: it uses $__from, which only Grafana fills`},
		{"what does not parse", q(`sum(x`), `left P: query A: it does not parse: 1:6: parse error: unclosed left parenthesis`},
		{"another datasource", `{"type":"timeseries","title":"P","datasource":{"type":"loki"},"targets":[{"expr":"x"}]}`, `left P: its datasource is loki; only Prometheus's can be asked here`},
		{"another datasource by a variable", `{"type":"timeseries","title":"P","datasource":"${LOKI}","targets":[{"expr":"x"}]}`, `left P: its datasource is loki; only Prometheus's can be asked here`},
		{"another panel's answer", `{"type":"stat","title":"P","datasource":{"type":"datasource","uid":"-- Dashboard --"}}`, `left P: it shows another panel's answer`},
		{"text", `{"type":"text","title":"P"}`, `left P: text, no numbers`},
		{"an unknown kind", `{"type":"nodeGraph","title":"P"}`, `left P: panels of type nodeGraph cannot be drawn here`},
		{"transformations", `{"type":"table","title":"P","transformations":[{"id":"organize"},{"id":"calculateField"}],"targets":[{"expr":"x"}]}`, `left P: its numbers come from transformations (calculateField), which only Grafana can do`},
		{"order and names only are no transformation", `{"type":"table","title":"P","transformations":[{"id":"organize"}],"targets":[{"expr":"x"}]}`, `table: x`},
		{"a heat map that counts itself", `{"type":"heatmap","title":"P","options":{"calculate":true},"targets":[{"expr":"x"}]}`, `left P: a heat map that counts values itself; only a histogram's buckets can be drawn`},
		{"a heat map without buckets is drawn as lines, and said", `{"type":"heatmap","title":"P","targets":[{"expr":"x"}]}`, "line: x\nnote P: it has no buckets by le: drawn as lines"},
		{"a row's panels, also when it is folded", `{"type":"row","title":"R","panels":[{"type":"stat","title":"P","targets":[{"expr":"x"}]}]}`, "number: x\nleft R: a row: its panels are a page of that name"},
		{"hidden queries are not taken", `{"type":"stat","title":"P","targets":[{"refId":"A","expr":"x","hide":true},{"refId":"B","expr":"y"}]}`, "number: y"},
		{"only hidden ones", `{"type":"stat","title":"P","targets":[{"refId":"A","expr":"x","hide":true}]}`, "left P: it has no queries"},
		{"a sum of queries is written out", `{"type":"stat","title":"P","targets":[{"refId":"A","expr":"x","hide":true},{"refId":"B","expr":"y","hide":true},{"refId":"C","type":"math","expression":"$A + ${B}"}]}`, "number: (x) + (y)"},
		{"other expressions are Grafana's", `{"type":"stat","title":"P","targets":[{"refId":"A","expr":"x"},{"refId":"B","type":"reduce","expression":"A"}]}`, "number: x\nnote P: query B: Grafana computes it itself (reduce); the others are taken"},
		{"repeated panels are one", `{"type":"stat","title":"P","repeat":"model_name","targets":[{"expr":"x"}]}`, "number: x\nnote P: it is repeated for each value of $model_name; here it is one panel for all"},
		{"a unit nobody knows", `{"type":"stat","title":"P","fieldConfig":{"defaults":{"unit":"parsecs"}},"targets":[{"expr":"x"}]}`, "number: x in parsecs\nnote P: unit \"parsecs\" is not known and stands behind the numbers as it is"},
		{"stacked lines", `{"type":"timeseries","title":"P","fieldConfig":{"defaults":{"unit":"Bps","custom":{"stacking":{"mode":"normal"}}}},"targets":[{"expr":"x"}]}`, "stacked: x in bytes/s"},
		{"the old graph", `{"type":"graph","title":"P","stack":true,"yaxes":[{"format":"s","max":"9"}],"thresholds":[{"value":3,"op":"gt","colorMode":"critical"}],"targets":[{"expr":"x"}]}`, "stacked: x in s, max 9, bad from 3"},
		{"thresholds of a gauge", `{"type":"gauge","title":"P","fieldConfig":{"defaults":{"unit":"percentunit","thresholds":{"steps":[{"color":"green","value":null},{"color":"orange","value":0.7},{"color":"red","value":0.9}]}}},"targets":[{"expr":"x"}]}`, "number: x in ratio, warn from 0.7, bad from 0.9"},
		{"thresholds downwards", `{"type":"stat","title":"P","fieldConfig":{"defaults":{"thresholds":{"steps":[{"color":"red","value":null},{"color":"green","value":1}]}}},"targets":[{"expr":"x"}]}`, "number: x, bad below 1"},
		{"Grafana's untouched threshold says nothing", `{"type":"stat","title":"P","fieldConfig":{"defaults":{"thresholds":{"steps":[{"color":"green","value":null},{"color":"red","value":80}]}}},"targets":[{"expr":"x"}]}`, "number: x"},
		{"ms of a metric in seconds is the board's mistake", `{"type":"stat","title":"P","fieldConfig":{"defaults":{"unit":"ms"}},"targets":[{"expr":"x_seconds"}]}`, "number: x_seconds in s\nnote P: the board says ms, but the metric is in seconds: written in s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			im, err := panel.FromGrafana("b.json", []byte(a(tc.json)))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range im.Panels {
				line := s.Draw + ":"
				for _, q := range s.Queries {
					line += " " + q.Expr
				}
				if s.Unit != "none" {
					line += " in " + s.Unit
				}
				if s.Max != nil {
					line += fmt.Sprintf(", max %v", *s.Max)
				}
				for _, th := range s.Thresholds {
					word := "from"
					if th.Below {
						word = "below"
					}
					line += fmt.Sprintf(", %s %s %v", th.Level, word, th.From)
				}
				got = append(got, line)
			}
			for _, r := range im.Left {
				got = append(got, "left "+r.Panel+": "+r.What)
			}
			for _, r := range im.Notes {
				got = append(got, "note "+r.Panel+": "+r.What)
			}
			if g := strings.Join(got, "\n"); g != tc.want {
				t.Errorf("got\n%s\nwant\n%s", g, tc.want)
			}
		})
	}
}

func TestWhatIsNoBoard(t *testing.T) {
	for _, tc := range []struct{ name, json, want string }{
		{"no JSON", "panels: []", "line 1: no board"},
		{"cut off", "{\"panels\": [\n{\"type\":", "line 2: no board"},
		{"something else", `{"a": 1}`, "no panels in it"},
		{"the new schema", `{"elements": {"a": {}}}`, "export it as classic JSON"},
		{"a wrong type in it", "{\"panels\": [\n{\"type\": 3}]}", "line 2: no board: panels.type: not number"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := panel.FromGrafana("b", []byte(tc.json)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
	t.Run("as Grafana's API wraps it it is one", func(t *testing.T) {
		im, err := panel.FromGrafana("b", []byte(`{"dashboard":`+a(`{"type":"stat","title":"P","targets":[{"expr":"x"}]}`)+`}`))
		if err != nil || len(im.Panels) != 1 {
			t.Errorf("%v", err)
		}
	})
}
