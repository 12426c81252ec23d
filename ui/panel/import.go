package panel

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Imported is what could be taken out of a board, and what could not.
type Imported struct {
	Title  string
	Panels []Spec
	Pages  []Page
	// Left are the parts that were not taken, Notes what is different in those that were.
	Left  []Remark
	Notes []Remark
}

// Remark is a word about one panel of a board.
type Remark struct{ Panel, What string }

// perPage is how many panels of a board are put on one page.
const perPage = 8

// FromGrafana takes the panels out of a Grafana board (classic JSON, also as its API wraps it). Template variables in
// matchers become $sel for the engines' metrics, and are dropped for others; name is written into the panels as their
// source.
func FromGrafana(name string, data []byte) (*Imported, error) {
	b, err := readBoard(data)
	if err != nil {
		return nil, err
	}
	im := &importer{board: b, name: name, out: &Imported{Title: b.Title}, ids: map[string]int{}}
	im.open(cutName(firstOf(strings.TrimSpace(b.Title), "imported")))
	im.panels(b.Panels)
	for _, r := range b.Rows {
		if t := strings.TrimSpace(string(r.Title)); t != "" {
			im.open(cutName(t))
		}
		im.panels(r.Panels)
	}
	var pages []Page
	for _, p := range im.out.Pages {
		if len(p.Panels) > 0 {
			pages = append(pages, p)
		}
	}
	im.out.Pages = pages
	return im.out, nil
}

type importer struct {
	board *board
	name  string
	out   *Imported
	ids   map[string]int
	names map[string]int
	// widened says that a range of one interval became a longer one in the panel that is being read.
	widened bool
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func cutName(s string) string {
	if r := []rune(s); len(r) > 36 {
		return strings.TrimSpace(string(r[:35])) + "…"
	}
	return s
}

// open begins a page; a name that is taken gets a number.
func (im *importer) open(name string) {
	if im.names == nil {
		im.names = map[string]int{}
	}
	im.names[name]++
	if n := im.names[name]; n > 1 {
		name += " " + strconv.Itoa(n)
	}
	im.out.Pages = append(im.out.Pages, Page{Name: name})
}

func (im *importer) put(s Spec) {
	p := &im.out.Pages[len(im.out.Pages)-1]
	if len(p.Panels) == perPage {
		base := strings.TrimRight(p.Name, " 0123456789")
		im.open(firstOf(base, p.Name))
		p = &im.out.Pages[len(im.out.Pages)-1]
	}
	p.Panels = append(p.Panels, s.ID)
	im.out.Panels = append(im.out.Panels, s)
}

func (im *importer) panels(list []boardPanel) {
	for _, p := range list {
		title := strings.TrimSpace(string(p.Title))
		if p.Type == "row" {
			im.out.Left = append(im.out.Left, Remark{firstOf(title, "(row)"), "a row: its panels are a page of that name"})
			if title != "" {
				im.open(cutName(title))
			}
			im.panels(p.Panels)
			continue
		}
		title = firstOf(title, "("+firstOf(p.Type, "panel")+")")
		s, why := im.panel(p, title)
		if why != "" {
			im.out.Left = append(im.out.Left, Remark{title, why})
		} else {
			im.put(s)
		}
		im.panels(p.Panels)
	}
}

// drawFor gives the way to draw a kind of panel, or why there is none.
func drawFor(p boardPanel) (draw, why string) {
	c := p.FieldConfig.Defaults.Custom
	switch p.Type {
	case "timeseries", "graph", "barchart", "trend":
		switch {
		case p.Stack, c.Stacking.Mode == "normal", c.Stacking.Mode == "percent":
			return DrawStacked, ""
		case c.FillOpacity >= 30 && len(p.Targets) == 1, c.DrawStyle == "bars" && len(p.Targets) == 1:
			return DrawArea, ""
		}
		return DrawLine, ""
	case "stat", "gauge", "singlestat":
		return DrawNumber, ""
	case "heatmap", "heatmap-new", "histogram":
		if p.Options.Calculate {
			return "", "a heat map that counts values itself; only a histogram's buckets can be drawn"
		}
		return DrawHeat, ""
	case "table", "table-old":
		return DrawTable, ""
	case "bargauge", "piechart", "grafana-piechart-panel":
		return DrawBars, ""
	case "text":
		return "", "text, no numbers"
	case "":
		return "", "it has no type"
	}
	return "", "panels of type " + p.Type + " cannot be drawn here"
}

func (im *importer) panel(p boardPanel, title string) (Spec, string) {
	draw, why := drawFor(p)
	if why != "" {
		return Spec{}, why
	}
	if why := foreign(im.board.source(p.Datasource)); why != "" {
		return Spec{}, why
	}
	if why := transformed(p); why != "" {
		return Spec{}, why
	}
	note := func(format string, args ...any) {
		im.out.Notes = append(im.out.Notes, Remark{title, fmt.Sprintf(format, args...)})
	}
	s := Spec{Title: title, Draw: draw, About: strings.TrimSpace(string(p.Description)), Source: "Grafana board " + im.name}
	im.look(p, &s, note)
	im.widened = false
	var lost []string
	for i, t := range p.Targets {
		if t.Hide {
			continue
		}
		expr, why := im.target(p, t)
		if why != "" {
			lost = append(lost, "query "+firstOf(t.RefID, strconv.Itoa(i+1))+": "+why)
			continue
		}
		if f := CheckExpr(expr); len(f) > 0 {
			lost = append(lost, "query "+firstOf(t.RefID, strconv.Itoa(i+1))+": "+f[0].What)
			continue
		}
		q := Query{ID: strings.ToLower(t.RefID), Expr: expr, Legend: legendFrom(string(t.LegendFormat))}
		if !idRE.MatchString(q.ID) || slices.ContainsFunc(s.Queries, func(o Query) bool { return o.ID == q.ID }) {
			q.ID = "q" + strconv.Itoa(i+1)
		}
		s.Queries = append(s.Queries, q)
	}
	if len(s.Queries) == 0 {
		if len(lost) == 0 {
			return s, "it has no queries"
		}
		return s, strings.Join(lost, "; ")
	}
	for _, l := range lost {
		note("%s; the others are taken", l)
	}
	if im.widened {
		note("[$__interval] is written [$__rate_interval]: one interval holds a single reading here, of which no rate can be told")
	}
	im.fit(p, &s, note)
	s.ID = im.id(title)
	return s, ""
}

// foreign gives the reason why a datasource's panel cannot be taken, "" if it can.
func foreign(source string) string {
	switch source {
	case "", "prometheus", "-- Mixed --", "__expr__":
		return ""
	case "-- Dashboard --":
		return "it shows another panel's answer"
	case "-- Grafana --":
		return "it shows Grafana's own data"
	}
	return "its datasource is " + source + "; only Prometheus's can be asked here"
}

// transformed gives the reason why a panel whose numbers are made by transformations cannot be taken.
func transformed(p boardPanel) string {
	var ids []string
	for _, t := range p.Transformations {
		switch t.ID {
		case "organize", "merge", "sortBy", "limit", "labelsToFields", "seriesToRows": // order and names only
		default:
			ids = append(ids, t.ID)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	return "its numbers come from transformations (" + strings.Join(ids, ", ") + "), which only Grafana can do"
}

// look takes units, limits and thresholds.
func (im *importer) look(p boardPanel, s *Spec, note func(string, ...any)) {
	f := p.FieldConfig.Defaults
	unit := string(f.Unit)
	if s.Draw == DrawHeat && p.Options.YAxis.Unit != "" {
		unit = string(p.Options.YAxis.Unit)
	}
	old := p.Options.FieldOptions.Defaults
	for _, u := range []flexible{old.Unit, p.Format, p.YAxis.Format} {
		unit = firstOf(unit, string(u))
	}
	s.Min, s.Max = f.Min, f.Max
	if s.Min == nil {
		s.Min = old.Min
	}
	if s.Max == nil {
		s.Max = old.Max
	}
	if len(p.YAxes) > 0 {
		unit = firstOf(unit, string(p.YAxes[0].Format))
		s.Min, s.Max = firstNumber(s.Min, p.YAxes[0].Min), firstNumber(s.Max, p.YAxes[0].Max)
	}
	if s.Min != nil && *s.Min == 0 {
		s.Min = nil // an axis starts at zero anyway
	}
	if s.Min != nil && s.Max != nil && !(*s.Max > *s.Min) {
		s.Min, s.Max = nil, nil
	}
	u, ok := unitFrom(unit)
	if !ok {
		u = cutUnit(unit)
		note("unit %q is not known and stands behind the numbers as it is", unit)
	}
	s.Unit = u
	steps := f.Thresholds
	if len(steps.Steps) == 0 {
		steps = old.Thresholds
	}
	if steps.Mode == "percentage" && len(steps.Steps) > 1 {
		note("thresholds in percent of the axis are left out")
	} else {
		s.Thresholds = thresholds(p, steps.Steps)
	}
	s.Thresholds = append(s.Thresholds, oldThresholds(p.Thresholds)...)
	if p.Repeat != "" {
		note("it is repeated for each value of $%s; here it is one panel for all", p.Repeat)
	}
	if p.TimeFrom != "" || p.TimeShift != "" {
		note("its own time range (%s) is left out", strings.TrimSpace(string(p.TimeFrom)+" "+string(p.TimeShift)))
	}
	if len(p.FieldConfig.Overrides) > 0 {
		note("overrides for single series are left out")
	}
	calcs := append(slices.Clone(p.Options.ReduceOptions.Calcs), p.Options.FieldOptions.Calcs...)
	if s.Draw == DrawNumber && len(calcs) > 0 && !strings.HasPrefix(calcs[0], "last") && calcs[0] != "current" {
		note("it shows the %s over the window; here it is the number at the cursor", calcs[0])
	}
}

func cutUnit(u string) string {
	u = strings.TrimSpace(u)
	if r := []rune(u); len(r) > 20 {
		return string(r[:20])
	}
	return u
}

func firstNumber(a *float64, b flexible) *float64 {
	if a != nil || b == "" {
		return a
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return nil
	}
	return &v
}

// thresholds takes Grafana's steps. Its untouched default (green, red from 80) says nothing of the panel and is left out,
// unless the panel draws it.
func thresholds(p boardPanel, steps []struct {
	Value *float64 `json:"value"`
	Color string   `json:"color"`
}) []Threshold {
	style := p.FieldConfig.Defaults.Custom.ThresholdsStyle.Mode
	if len(steps) == 2 && steps[1].Value != nil && *steps[1].Value == 80 && (style == "" || style == "off") {
		return nil
	}
	if len(steps) < 2 || p.Type == "timeseries" && (style == "" || style == "off") {
		return nil
	}
	var out []Threshold
	for i, st := range steps {
		if st.Value == nil || i == 0 {
			continue
		}
		here, before := severity(st.Color), severity(steps[i-1].Color)
		switch {
		case here > before:
			out = append(out, Threshold{From: *st.Value, Level: []string{"", "warn", "bad"}[here]})
		case here < before:
			out = append(out, Threshold{From: *st.Value, Below: true, Level: []string{"", "warn", "bad"}[before]})
		}
	}
	return out
}

// severity reads a colour: 0 is fine, 1 a warning, 2 bad.
func severity(color string) int {
	c := strings.ToLower(color)
	switch {
	case strings.Contains(c, "red"), strings.HasPrefix(c, "#e02"), strings.HasPrefix(c, "#c4162a"), strings.HasPrefix(c, "#f2495c"), strings.HasPrefix(c, "#d44a3a"), strings.HasPrefix(c, "#bf1b00"):
		return 2
	case strings.Contains(c, "orange"), strings.Contains(c, "yellow"), strings.HasPrefix(c, "#eab839"), strings.HasPrefix(c, "#ff9830"), strings.HasPrefix(c, "#fade2a"), strings.HasPrefix(c, "rgba(237, 129"):
		return 1
	}
	return 0
}

func oldThresholds(raw json.RawMessage) []Threshold {
	var list []struct {
		Value     *float64 `json:"value"`
		ColorMode string   `json:"colorMode"`
		Op        string   `json:"op"`
	}
	if json.Unmarshal(raw, &list) != nil { // the old singlestat has a text here, most panels nothing
		return nil
	}
	var out []Threshold
	for _, t := range list {
		if t.Value == nil || t.ColorMode == "ok" {
			continue
		}
		level := "bad"
		if t.ColorMode == "warning" {
			level = "warn"
		}
		out = append(out, Threshold{From: *t.Value, Below: t.Op == "lt", Level: level})
	}
	return out
}

// target gives a query's expression in our form, or why there is none.
func (im *importer) target(p boardPanel, t boardTarget) (expr, why string) {
	if t.Expr != "" {
		if why := foreign(im.board.source(t.Datasource)); why != "" {
			return "", why
		}
		return im.rewrite(t.Expr)
	}
	if t.Expression == "" {
		return "", "it has no expression"
	}
	if t.Type != "math" {
		return "", "Grafana computes it itself (" + firstOf(t.Type, "expression") + ")"
	}
	// A sum of other queries is PromQL once these stand in their places.
	expr = variableRE.ReplaceAllStringFunc(t.Expression, func(v string) string {
		id := strings.Trim(v, "${}")
		for _, o := range p.Targets {
			if o.RefID == id && o.Expr != "" {
				return "(" + o.Expr + ")"
			}
		}
		return v
	})
	return im.rewrite(expr)
}

// fit mends what a board says of itself and its queries deny.
func (im *importer) fit(p boardPanel, s *Spec, note func(string, ...any)) {
	all := ""
	for _, q := range s.Queries {
		all += q.Expr + "\n"
	}
	if s.Unit == "ms" && strings.Contains(all, "_seconds") && !strings.Contains(all, "1000") {
		s.Unit = "s"
		note("the board says ms, but the metric is in seconds: written in s")
	}
	bucketed := strings.Contains(all, "_bucket") && !strings.Contains(all, "histogram_quantile")
	if s.Draw == DrawHeat && (!bucketed || dropsLe(s.Queries[0].Expr)) {
		s.Draw = DrawLine
		note("it has no buckets by le: drawn as lines")
	}
	if s.Draw == DrawBars && bucketed && !dropsLe(s.Queries[0].Expr) {
		s.Draw = DrawHeat
		note("buckets: drawn as a heat map over time")
	}
	if s.Draw != DrawHeat {
		return
	}
	if u, _ := unitFrom(""); s.Unit == u || s.Unit == "/s" {
		if strings.Contains(all, "_seconds") {
			s.Unit = "s" // of the buckets, which is what a heat map's axis counts
		}
	}
	if len(s.Queries) > 1 {
		s.Queries = s.Queries[:1]
		note("only the first query is drawn")
	}
	s.Queries[0].Legend = ""
	s.Thresholds, s.Min, s.Max = nil, nil, nil
}

func (im *importer) id(title string) string {
	base := firstOf(slug(title), "panel")
	for {
		im.ids[base]++
		if n := im.ids[base]; n > 1 {
			id := base + "-" + strconv.Itoa(n)
			if im.ids[id] > 0 {
				continue
			}
			im.ids[id]++
			return id
		}
		return base
	}
}

// legendFrom takes a legend template; Grafana's own choice is ours too.
func legendFrom(s string) string {
	if s == "__auto" {
		return ""
	}
	return strings.TrimSpace(s)
}

// YAML writes what was taken as a file of panels, with what was left out as a comment.
func (im *Imported) YAML(name string) ([]byte, error) {
	var head bytes.Buffer
	fmt.Fprintf(&head, "Panels of the Grafana board %s (%s).\n", oneLine(firstOf(im.Title, name)), oneLine(name))
	if len(im.Left) > 0 {
		head.WriteString("\nNot taken:\n")
		for _, r := range im.Left {
			fmt.Fprintf(&head, "  %s: %s\n", oneLine(r.Panel), oneLine(r.What))
		}
	}
	if len(im.Notes) > 0 {
		head.WriteString("\nDifferent here:\n")
		for _, r := range im.Notes {
			fmt.Fprintf(&head, "  %s: %s\n", oneLine(r.Panel), oneLine(r.What))
		}
	}
	return YAML(head.String(), im.Panels, im.Pages)
}

// oneLine keeps text from a board on its comment's line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff {
			return ' '
		}
		return r
	}, s)
}
