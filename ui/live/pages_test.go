package live

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/golden"
	"github.com/prometheus/prometheus/promql"

	"pitwall/ui/internal/staged"
	form "pitwall/ui/panel"
	"pitwall/ui/plot"
	"pitwall/ui/screen"
)

// withPanels makes a frozen screen of a recording with a file of panels, on a page.
func withPanels(t testing.TB, text, page string, at time.Duration, w, h int) *Model {
	t.Helper()
	_, r := record(t, 400)
	first, _ := r.Bounds()
	f, _ := form.Parse("panels.yaml", []byte(text))
	b, _ := form.NewBook("", f)
	m := New(Options{Reader: r, Now: clock, Window: 5 * time.Minute, Book: b, Page: page, Replay: &Replay{At: first.Add(at), Frozen: true}})
	m.Update(screen.Size{W: w, H: h})
	run(m, m.Init())
	return m
}

func TestPagesAreTurned(t *testing.T) {
	m := start(t, staged.Busy(clock, 1), 160, 45)
	mustShow(t, picture(m, 160, 45), "p P page 1/8 main", "¹queue", "⁶host")
	press(t, m, "p")
	mustShow(t, picture(m, 160, 45), "p P page 2/8 latency", "¹TTFT over time", "⁶ITL and TPOT", "1-6 zoom")
	press(t, m, "1")
	mustShow(t, picture(m, 160, 45), "engine:ttft_buckets", "where it comes from", "panel ttft-heat · built in")
	press(t, m, "esc")
	press(t, m, "P")
	press(t, m, "P")
	mustShow(t, picture(m, 160, 45), "p P page 8/8 sources", "sources")
	press(t, m, "p")
	mustShow(t, picture(m, 160, 45), "p P page 1/8 main", "¹queue")
}

func TestABadExpressionStaysInItsOwnPanel(t *testing.T) {
	m := withPanels(t, `
panels:
- {id: good, title: good one, unit: requests, queries: [{expr: engine:running, legend: running}]}
- {id: half, title: half, unit: requests, queries: [{id: fine, expr: engine:waiting}, {id: wrong, expr: 'sum('}]}
- {id: bad, title: bad one, unit: s, queries: 'rate(engine:running[5m])'}
- {id: hostile, title: "name \u202e\u001b[31m", unit: s, queries: "x{a=\"\u001b[31m\u202e\"}"}
- {id: none, title: none, unit: s, queries: nobody_has_this}
- {id: late, title: late, unit: s, queries: 'count(up) and on() {__name__=~".+"} + on() group_left() {__name__=~".+"}'}
pages: [{name: mine, panels: [good, half, bad, hostile, none, late]}]
order: [mine]
`, "mine", 100*time.Second, 160, 45)
	pic := picture(m, 160, 45)
	mustShow(t, pic, "p P page 1/9 mine", "─ running", "─ fine", "✗ wrong: character 5: unclosed left parenthesis", "✗ engine:running[5m]: a range cannot be taken", "— nobody_has_this is not recorded here")
	if i := strings.Index(pic, "²half"); i < 0 || strings.Contains(pic, "\x1b") || strings.Contains(pic, "\u202e") {
		t.Error("something from outside reached the terminal")
	}
	// An error that only the asking finds.
	if m.snap.errs["late/q1"] == "" {
		t.Fatal("the last one should fail when it is asked")
	}
	mustShow(t, pic, "✗ ")
	for range m.panels {
		press(t, m, "tab")
	}
	press(t, m, "z")
	mustShow(t, picture(m, 160, 45), "where it comes from (PromQL)", "✗ ")
}

func TestAFaultInAChangedBuiltInPanelStandsInIt(t *testing.T) {
	m := withPanels(t, "panels: [{id: queue, queries: [{id: waiting, expr: 'sum('}]}, {id: cache, scope: nowhere}]", "", 100*time.Second, 160, 45)
	mustShow(t, picture(m, 160, 45), "¹queue", "running           8 of 64", "✗ character 5: unclosed", `✗ "nowhere" is no scope`, "³throughput", "⁶host")
	// The top lines go on all the same.
	mustShow(t, strings.Split(picture(m, 160, 45), "\n")[1], "KV 24 %")
	press(t, m, "4")
	mustShow(t, picture(m, 160, 45), `"nowhere" is no scope`)
}

// TestEveryNumberOfAPageIsWhatPromQLGivesThere asks the built-in pages' expressions at some moments, and looks for each
// answer in the rows of its panel.
func TestEveryNumberOfAPageIsWhatPromQLGivesThere(t *testing.T) {
	compared := 0
	for _, at := range []time.Duration{90 * time.Second, 207 * time.Second, 333 * time.Second} {
		m := withPanels(t, "", "latency", at, 160, 45)
		for _, p := range m.pages[1:] {
			run(m, m.goTo(p.Name))
			v := m.viewNow(screen.Frame{Now: m.now})
			for _, p := range m.panels {
				rows, _ := form.Rows(p.form, v.formData(p, plot.NewTimeline(v.edge, m.length, 30)))
				for _, q := range p.queries {
					sc, _ := m.snap.scopeOf(q)
					sc.Range = m.length
					res, err := m.reader.Query(context.Background(), q.expr, m.snap.at, sc)
					if err != nil {
						t.Fatal(err)
					}
					for _, x := range preferOwn(res.Vector(), "") {
						want, found := form.Text(p.form.Unit, x.F), false
						for _, r := range rows {
							if p.id+"/"+r.Query == q.id && r.Labels.String() == x.Metric.String() {
								found = r.Text(r.Now) == want
							}
						}
						if !found {
							t.Errorf("%s at %s: %s is not %s among %d rows", q.id, at, x.Metric, want, len(rows))
						}
						compared++
					}
				}
			}
		}
	}
	if compared < 60 {
		t.Errorf("only %d numbers were compared", compared)
	}
}

func TestTwoMarkedTimesShowTheChangeOnAPage(t *testing.T) {
	m := withPanels(t, "", "KV", 60*time.Second, 160, 45)
	press(t, m, "x")
	for range 30 {
		press(t, m, ".")
	}
	press(t, m, "x")
	pic := picture(m, 160, 45)
	mustShow(t, pic, "change", "²prefix cache hits")
	a, b := m.sorted()
	was, is := a.snap.one("kv-use/q1"), b.snap.one("kv-use/q1")
	if !was.OK || !is.OK || was.V == is.V {
		t.Fatalf("nothing changed: %v %v", was, is)
	}
	mustShow(t, pic, form.Text("ratio", is.V))
}

func TestManyLabelValuesAreBounded(t *testing.T) {
	s := staged.Busy(clock, 1)
	n := 0
	s.Answers = append([]staged.Answer{{Key: "churn", At: func(float64) promql.Vector {
		var v promql.Vector
		for i := range 1000 {
			v = append(v, staged.V(float64(i), "id", fmt.Sprint(n, "-", i)))
		}
		n++
		return v
	}}}, s.Answers...)
	f, _ := form.Parse("f", []byte("panels: [{id: many, title: many, unit: none, queries: churn}]\npages: [{name: mine, panels: [many]}]\norder: [mine]"))
	b, _ := form.NewBook("", f)
	m := New(Options{Reader: s, Now: clock, Book: b})
	m.Update(screen.Size{W: 160, H: 45})
	run(m, m.Init())
	for i := range 10 {
		s.Now = s.Now.Add(time.Second)
		run(m, m.Update(screen.Tick{Now: clock.Add(time.Duration(i+1) * time.Second)}))
	}
	kept := 0
	for k := range m.history {
		if strings.HasPrefix(k, "many/") {
			kept++
		}
	}
	if kept == 0 || kept > maxSeries {
		t.Errorf("%d histories of one query", kept)
	}
	mustShow(t, picture(m, 160, 45), "more", "mine")
}

// Clocks on the screen read the same everywhere.
func init() { time.Local = time.UTC }

func TestAPageOfOnesOwnFitsEveryScreen(t *testing.T) {
	m := withPanels(t, "pages: [{name: all, panels: [queue, ttft-heat, kv-use, processes-cpu, scrapes, gpus-limits, gpu, host, latency, finished, phases]}]\norder: [all]", "all", 300*time.Second, 160, 45)
	for _, size := range [][2]int{{60, 15}, {80, 24}, {120, 30}, {160, 45}, {200, 50}, {240, 70}, {300, 80}, {500, 200}} {
		m.Update(screen.Size{W: size[0], H: size[1]})
		pic := picture(m, size[0], size[1])
		lines := strings.Split(pic, "\n")
		if len(lines) > size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, l := range lines {
			if ansi.StringWidthWc(l) > size[0] {
				t.Errorf("%v: too wide: %q", size, l)
			}
		}
		plan := m.plan(size[0], size[1])
		if plan.Left > 0 && size[0] >= 80 {
			mustShow(t, pic, fmt.Sprintf("all (%d of 11)", 11-plan.Left))
		}
	}
}

var sessionID = regexp.MustCompile(`\d{8}-\d{6}-[0-9a-f]{4}`)

// anonymous leaves the session's id out of a picture: each recording has its own.
func anonymous(pic string) string { return sessionID.ReplaceAllString(pic, "20261124-000000-0000") }

func TestGoldenPages(t *testing.T) {
	m := withPanels(t, "", "latency", 333*time.Second, 160, 45)
	for _, p := range m.pages[1:] {
		if p.Name == "sources" {
			continue // how long a reading takes is this machine's own
		}
		run(m, m.goTo(p.Name))
		for _, size := range [][2]int{{80, 24}, {160, 45}, {240, 70}} {
			t.Run(fmt.Sprintf("%s-%dx%d", p.Name, size[0], size[1]), func(t *testing.T) {
				m.Update(screen.Size{W: size[0], H: size[1]})
				golden.RequireEqual(t, anonymous(picture(m, size[0], size[1])))
			})
		}
	}
	run(m, m.goTo("latency"))
	m.Update(screen.Size{W: 160, H: 45})
	press(t, m, "1")
	t.Run("zoomed-160x45", func(t *testing.T) { golden.RequireEqual(t, anonymous(picture(m, 160, 45))) })
	m.Update(screen.Size{W: 80, H: 24})
	t.Run("zoomed-80x24", func(t *testing.T) { golden.RequireEqual(t, anonymous(picture(m, 80, 24))) })
}

func TestAPercentileOfOnesOwnPanelIsShownAsItsBucket(t *testing.T) {
	m := withPanels(t, `
panels:
- {id: p95, title: TTFT p95, unit: s, queries: 'histogram_quantile(0.95, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket{$sel}[$w])))'}
pages: [{name: mine, panels: [p95]}]
`, "mine", 100*time.Second, 120, 30)
	v := m.snap.values["p95/q1"]
	if len(v) != 1 || m.snap.errs["p95/q1"] != "" {
		t.Fatalf("answered %v, %s", v, m.snap.errs["p95/q1"])
	}
	pic := picture(m, 120, 30)
	line := ""
	for _, l := range strings.Split(pic, "\n") {
		if strings.Contains(l, "TTFT p95  ") {
			line = l
		}
	}
	if !strings.Contains(line, "≤") && !strings.Contains(line, ">") {
		t.Errorf("PromQL gives %v, shown as a number that nobody knows: %q", v[0].F, line)
	}
}
