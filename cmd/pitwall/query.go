package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/spf13/cobra"

	"pitwall/cmd/config"
	"pitwall/probes/engine/dialect"
	"pitwall/sessions"
	when "pitwall/ui/moment"
)

// queryFlags are query's own.
type queryFlags struct {
	session, at, length, step, window, engine string
	asJSON                                    bool
}

func (p *program) query() *cobra.Command {
	var f queryFlags
	cmd := &cobra.Command{
		Use:   "query EXPR",
		Short: "Ask a recording in PromQL",
		Long: para(`Evaluates a PromQL expression over a session, by default the newest one at its last moment. The engine's own metric names work
as they stand in its /metrics, and so do the names that mean the same for every engine (engine:running, engine:kv_usage);
$w is a fitting window. Times: RFC 3339, as pitwall prints them, Unix seconds, 15:04:05 of the session's last day, or a distance from its end (-5m).`),
		Example: "pitwall query 'rate(vllm:generation_tokens_total[10s])'\npitwall query engine:waiting --range 10m --step 30s\npitwall query 'DCGM_FI_DEV_POWER_USAGE' --session 20261124-231800-7f3a --at -5m --json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fail(exitUsage, "put it in quotes: pitwall query 'rate(vllm:generation_tokens_total[10s])'", "one PromQL expression is needed, and %d arguments were given", len(args))
			}
			return nil
		},
		RunE: p.run(func(cmd *cobra.Command, args []string) error {
			c, err := p.keeping(cmd)
			if err != nil {
				return err
			}
			path, err := findSession(c.SessionsDir, f.session)
			if err != nil {
				return err
			}
			r, err := sessions.Open(path)
			if err != nil {
				return fail(exitNoSession, "pitwall sessions lists those that can be read", "opening %s: %w", path, err)
			}
			defer r.Close()
			return p.ask(cmd.Context(), r, args[0], f)
		}),
	}
	flags(cmd)
	cmd.Flags().StringVar(&f.session, "session", "", "which session: an ID or its start, a name, a file (default the newest)")
	cmd.Flags().StringVar(&f.at, "at", "", "at which moment (default the session's last; the end of --range)")
	cmd.Flags().StringVar(&f.length, "range", "", "a stretch of time up to --at instead of one moment")
	cmd.Flags().StringVar(&f.step, "step", "", "time from one value to the next (default a sixtieth of the range)")
	cmd.Flags().StringVar(&f.window, "window", "", "what $w is (default fits the slowest source)")
	cmd.Flags().StringVar(&f.engine, "engine", "", "only this engine for engine: names, as host:port or URL")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON, the result as Prometheus's HTTP API would give it")
	return cmd
}

// answer is what --json prints.
type answer struct {
	Session    string   `json:"session"`
	Simulated  bool     `json:"simulated"`
	Expr       string   `json:"expr"`
	Evaluated  string   `json:"evaluated"`
	At         string   `json:"at"`
	Window     string   `json:"window"`
	ResultType string   `json:"resultType"`
	Result     any      `json:"result"`
	Warnings   []string `json:"warnings"`
}

func (p *program) ask(ctx context.Context, r sessions.Reader, expr string, f queryFlags) error {
	first, last := r.Bounds()
	if last.IsZero() {
		return fail(exitNoSession, "", "session %s holds nothing", r.Info().ID)
	}
	at, err := moment(f.at, first, last)
	if err != nil {
		return err
	}
	sc := sessions.Scope{Dialect: dialectOf(r, at)}
	if f.engine != "" {
		sc.Sel = "instance=" + strconv.Quote(instance(f.engine))
	}
	if sc.Window, err = optionalSpan("--window", f.window); err != nil {
		return err
	}
	length, err := optionalSpan("--range", f.length)
	if err != nil {
		return err
	}
	step, err := optionalSpan("--step", f.step)
	if err != nil {
		return err
	}
	if err := knowsEngine(r, f.engine); err != nil {
		return err
	}
	var res sessions.Result
	if length > 0 {
		length = min(length, max(at.Sub(first), time.Second))
		if step == 0 {
			step = max(time.Second, (length / 60).Truncate(time.Second))
		}
		if n := length / step; n > maxPoints {
			return fail(exitUsage, fmt.Sprintf("at most %d: a longer --step or a shorter --range", maxPoints), "--step: %d values a series are too many", n)
		}
		res, err = r.QueryRange(ctx, expr, at.Add(-length), at, step, sc)
	} else if step > 0 {
		return fail(exitUsage, "--range says how long: --range 10m", "--step: there is no --range that it could divide")
	} else {
		res, err = r.Query(ctx, expr, at, sc)
	}
	if err != nil {
		return fail(exitUsage, queryHint(err, sc.Dialect), "%w", err)
	}
	if f.asJSON {
		a := answer{Session: r.Info().ID, Simulated: r.Info().Simulated, Expr: expr, Evaluated: res.Expr, At: at.UTC().Format(time.RFC3339Nano),
			Window: res.Window.String(), ResultType: string(res.Value.Type()), Result: res.Value, Warnings: append([]string{}, res.Warnings...)}
		return printJSON(p.stdout, a)
	}
	return p.printResult(r, res, at)
}

// maxPoints is how many values a series of an answer may have; Prometheus's HTTP API has the same bound.
const maxPoints = 11000

// queryHint says what to do about an expression that could not be evaluated.
func queryHint(err error, d *dialect.Dialect) string {
	switch text := err.Error(); {
	case strings.Contains(text, "does not know engine:") && d != nil:
		names := []string{}
		for _, n := range d.Names() {
			names = append(names, n.Name)
		}
		return "names there are: " + strings.Join(names, ", ")
	case strings.Contains(text, "for range query"):
		return "without --range it can be asked for"
	}
	return "it is PromQL, for example: pitwall query 'sum(rate(vllm:generation_tokens_total[10s]))'"
}

// knowsEngine refuses an engine that a session has not got.
func knowsEngine(r sessions.Reader, engine string) error {
	if engine == "" {
		return nil
	}
	var have []string
	for _, up := range r.Series("up") {
		if isEngine(up.Labels["job"]) {
			have = append(have, up.Labels["instance"])
		}
	}
	if slices.Contains(have, instance(engine)) {
		return nil
	}
	hint := "it has none"
	if slices.Sort(have); len(have) > 0 {
		hint = "it has " + strings.Join(have, ", ")
	}
	return fail(exitUsage, hint, "--engine: session %s has no engine %s", r.Info().ID, instance(engine))
}

// unknownNames gives the metric names of an expression that a session has never had, each with the nearest that it has.
func unknownNames(r sessions.Reader, expr string) []string {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil
	}
	var names, out []string
	for _, s := range r.Series("") {
		names = append(names, s.Labels[model.MetricNameLabel])
	}
	parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok || v.Name == "" || slices.Contains(names, v.Name) {
			return nil
		}
		text := "the session has no " + v.Name
		if near := config.Nearest(v.Name, names); near != "" {
			text += ": did you mean " + near + "?"
		}
		out = append(out, text)
		return nil
	})
	return slices.Compact(out)
}

func (p *program) printResult(r sessions.Reader, res sessions.Result, at time.Time) error {
	mark := ""
	if r.Info().Simulated {
		mark = "  SIMULATED"
	}
	fmt.Fprintf(p.stderr, "session %s  at %s%s\n", r.Info().ID, clock(at), mark)
	for _, w := range res.Warnings {
		fmt.Fprintf(p.stderr, "pitwall: warning: %s\n", clean(w))
	}
	rows, err := resultRows(res)
	if err != nil {
		return err
	}
	if len(rows) == 1 {
		fmt.Fprintln(p.stderr, "no series match")
		for _, text := range unknownNames(r, res.Expr) {
			fmt.Fprintf(p.stderr, "pitwall: hint: %s\n", clean(text))
		}
		return nil
	}
	return table(p.stdout, rows)
}

// resultRows lays a result out: a moment as one line a series, a stretch as one line a time and one column a series.
func resultRows(res sessions.Result) ([][]string, error) {
	switch v := res.Value.(type) {
	case promql.String:
		return [][]string{{"VALUE"}, {v.V}}, nil
	case promql.Matrix:
		return matrixRows(v), nil
	case promql.Vector, promql.Scalar:
		vec := res.Vector()
		slices.SortStableFunc(vec, func(a, b promql.Sample) int { return bySeries(a.Metric, b.Metric) })
		rows := [][]string{{"SERIES", "VALUE"}}
		for _, s := range vec {
			value := number(s.F)
			if s.H != nil {
				value = s.H.String()
			}
			rows = append(rows, []string{seriesName(s.Metric), value})
		}
		return rows, nil
	}
	return nil, fmt.Errorf("a result of type %T can't be shown as a table: use --json", res.Value)
}

func matrixRows(m promql.Matrix) [][]string {
	head := []string{"TIME"}
	lines := map[int64][]string{}
	for i, s := range m {
		head = append(head, seriesName(s.Metric))
		put := func(t int64, v string) {
			if lines[t] == nil {
				lines[t] = make([]string, len(m)+1)
				for j := range lines[t] {
					lines[t][j] = "—"
				}
				lines[t][0] = time.UnixMilli(t).Local().Format("2006-01-02 15:04:05")
			}
			lines[t][i+1] = v
		}
		for _, f := range s.Floats {
			put(f.T, number(f.F))
		}
		for _, h := range s.Histograms {
			put(h.T, h.H.String())
		}
	}
	times := make([]int64, 0, len(lines))
	for t := range lines {
		times = append(times, t)
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	rows := [][]string{head}
	for _, t := range times {
		rows = append(rows, lines[t])
	}
	return rows
}

// bySeries orders series by their labels, the buckets of a histogram by their bounds.
func bySeries(a, b labels.Labels) int {
	le, errA := strconv.ParseFloat(a.Get(model.BucketLabel), 64)
	ge, errB := strconv.ParseFloat(b.Get(model.BucketLabel), 64)
	if errA == nil && errB == nil {
		rest := func(l labels.Labels) labels.Labels { return labels.NewBuilder(l).Del(model.BucketLabel).Labels() }
		return cmp.Or(labels.Compare(rest(a), rest(b)), cmp.Compare(le, ge))
	}
	return labels.Compare(a, b)
}

func seriesName(l labels.Labels) string {
	name := l.Get(model.MetricNameLabel)
	rest := l.DropReserved(func(n string) bool { return n == model.MetricNameLabel })
	if name != "" && rest.IsEmpty() {
		return name
	}
	return name + rest.String()
}

// number writes a value with all its digits: queries are there to be compared with.
func number(v float64) string {
	if math.IsNaN(v) {
		return "NaN"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// dialectOf gives the dialect of the session's engine; without one, the first that there is.
func dialectOf(r sessions.Reader, at time.Time) *dialect.Dialect {
	for path, v := range r.Facts(at) {
		if strings.HasPrefix(path, "engine/") && strings.HasSuffix(path, "/dialect") {
			if d, ok := dialect.Named(v); ok {
				return d
			}
		}
	}
	if all := dialect.All(); len(all) > 0 {
		return all[0]
	}
	return nil
}

func optionalSpan(flag, v string) (time.Duration, error) {
	if v == "" {
		return 0, nil
	}
	d, err := model.ParseDuration(v)
	if err != nil || d == 0 {
		return 0, fail(exitUsage, flag+" wants a time such as 30s, 10m or 6h", "%s: %q is not a time", flag, v)
	}
	return time.Duration(d), nil
}

// moment reads --at as the screen reads a time (t, replay --at): the same text means the same everywhere. Nothing is the
// session's last moment.
func moment(s string, first, last time.Time) (time.Time, error) {
	if s == "" {
		return last, nil
	}
	m, err := when.Parse(s, when.Session{First: first, Last: last})
	if err != nil {
		return time.Time{}, fail(exitUsage, "--at wants "+when.Hint, "--at: %q is not a moment: %w", s, err)
	}
	if m.At.Before(first.Add(-time.Second)) || m.At.After(last.Add(time.Second)) {
		return m.At, fail(exitUsage, "the session is from "+first.Format(time.RFC3339)+" to "+last.Format(time.RFC3339), "--at: %s lies outside the session", m.At.Format(time.RFC3339))
	}
	return m.At, nil
}
