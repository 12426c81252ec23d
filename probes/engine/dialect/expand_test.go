package dialect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"pitwall/probes/engine/dialect"
)

// small is a dialect whose templates are short enough to read in expectations.
func small(t testing.TB) *dialect.Dialect {
	t.Helper()
	d, err := dialect.Parse("small.yaml", []byte(`
name: small
detect: ["s:"]
paths: {metrics: /metrics}
names:
  - {name: "engine:g", kind: gauge, unit: requests, help: a gauge, expr: "sum(s:g{$sel})"}
  - {name: "engine:r", kind: rate, unit: tokens/s, help: a rate, expr: "sum(rate(s:c_total{a='b',$sel}[$w])) or sum(rate(s:old_total{$sel}[$w]))"}
  - {name: "engine:b", kind: buckets, unit: s, help: buckets, expr: "sum by (le)(rate(s:h_bucket{$sel}[$w]))"}
  - {name: "engine:sub", kind: rate, unit: requests, help: with a subquery, expr: "max_over_time(s:g{$sel}[$w:1s])"}
`))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestExpand(t *testing.T) {
	cases := []struct{ what, expr, sel, want string }{
		{"a name becomes its template in parentheses", `engine:g`, ``, `(sum(s:g))`},
		{"the selector goes into the template", `engine:g`, `job="x"`, `(sum(s:g{job="x"}))`},
		{"a trailing comma in the selector does no harm", `engine:g`, `job="x",`, `(sum(s:g{job="x"}))`},
		{"the window goes into the template", `engine:r`, ``, `(sum(rate(s:c_total{a="b"}[15s])) or sum(rate(s:old_total[15s])))`},
		{"a name's own matchers join the selector", `engine:g{m="y"}`, `job="x"`, `(sum(s:g{job="x",m="y"}))`},
		{"a name's own matchers stand alone without one", `engine:g{m=~"y|z"}`, ``, `(sum(s:g{m=~"y|z"}))`},
		{"a name in braces is a name", `{__name__="engine:g",m="y"}`, ``, `(sum(s:g{m="y"}))`},
		{"arithmetic keeps its order", `2 * engine:g + 1`, ``, `2 * (sum(s:g)) + 1`},
		{"a binary or inside does not leak out", `engine:r > 5`, ``, `(sum(rate(s:c_total{a="b"}[15s])) or sum(rate(s:old_total[15s]))) > 5`},
		{"names stand inside functions", `histogram_quantile(0.99, engine:b)`, ``, `histogram_quantile(0.99, (sum by (le) (rate(s:h_bucket[15s]))))`},
		{"names stand inside aggregations and their parameters", `topk(scalar(engine:g), engine:b)`, ``, `topk(scalar((sum(s:g))), (sum by (le) (rate(s:h_bucket[15s]))))`},
		{"names stand below unary signs and parentheses", `-(engine:g)`, ``, `-((sum(s:g)))`},
		{"a statistic over time is a subquery", `max_over_time(engine:g[5m:1s])`, ``, `max_over_time((sum(s:g))[5m:1s])`},
		{"offset goes to the selectors", `engine:r offset 1h`, ``, `(sum(rate(s:c_total{a="b"}[15s] offset 1h)) or sum(rate(s:old_total[15s] offset 1h)))`},
		{"a negative offset too", `engine:g offset -1h`, ``, `(sum(s:g offset -1h))`},
		{"@ goes to the selectors", `engine:g @ 100`, ``, `(sum(s:g @ 100.000))`},
		{"@ end() goes to the selectors", `engine:g @ end()`, ``, `(sum(s:g @ end()))`},
		{"of a subquery only the outside is moved", `engine:sub offset 1h`, ``, `(max_over_time(s:g[15s:1s] offset 1h))`},
		{"other metrics stay as they are", `sum(rate(up[5m])) / on (a) up{b="c"} offset 5m`, `job="x"`, `sum(rate(up[5m])) / on (a) up{b="c"} offset 5m`},
		{"$sel and $w stand in the expression too", `sum(rate(s:c_total{$sel}[$w]))`, `job="x"`, `sum(rate(s:c_total{job="x"}[15s]))`},
		{"a value that looks like a placeholder stays", `engine:g`, `job="$w"`, `(sum(s:g{job="$w"}))`},
		{"a value that looks like a name stays", `up{a="engine:g"}`, ``, `up{a="engine:g"}`},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			got, err := small(t).Expand(c.expr, c.sel, 15*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if _, err := parser.NewParser(parser.Options{}).ParseExpr(got); err != nil {
				t.Errorf("the result does not parse: %v", err)
			}
		})
	}
}

func TestExpandSaysWhatIsWrong(t *testing.T) {
	cases := []struct {
		what, expr, sel string
		window          time.Duration
		want            []string
	}{
		{"an unknown name gets the nearest one", `engine:bb + 1`, ``, time.Minute, []string{"engine:bb", "nearest name is engine:b"}},
		{"a range over a gauge", `max_over_time(engine:g[1m])`, ``, time.Minute, []string{"engine:g[1m]", "say engine:g itself", "max_over_time(engine:g[5m:1s])"}},
		{"a range over a rate", `rate(engine:r[1m])`, ``, time.Minute, []string{"engine:r[1m]", "its window is $w already", "never rate()"}},
		{"a range over an unknown name", `rate(engine:q[1m])`, ``, time.Minute, []string{"engine:q", "nearest"}},
		{"a rate over a subquery of a name", `rate(engine:r[5m:1s])`, ``, time.Minute, []string{"rate() over engine:r", "no counter"}},
		{"an increase over one in parentheses", `increase((engine:r)[5m:1s])`, ``, time.Minute, []string{"increase() over engine:r"}},
		{"a pattern of names", `{__name__=~"engine:.*"}`, ``, time.Minute, []string{"cannot be matched by a pattern"}},
		{"text that is no expression", `sum(`, ``, time.Minute, []string{"sum("}},
		{"a selector that closes its braces", `engine:g`, `a="b"} or vector(1) or x{c="d"`, time.Minute, []string{"selector"}},
		{"a window of nothing", `engine:g`, ``, 0, []string{"below a millisecond"}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			got, err := small(t).Expand(c.expr, c.sel, c.window)
			if err == nil {
				t.Fatalf("no error, but %s", got)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
		})
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{`engine:running`, `engine:waiting{a="b"} offset 5m @ start()`, `rate(engine:x[1m])`, `-engine:errors[1m:]`, `engine:kv_usage == bool 1`} {
		f.Add(s, `job="x"`)
	}
	d := vllm(f)
	f.Fuzz(func(t *testing.T, expr, sel string) {
		out, err := d.Expand(expr, sel, time.Minute)
		if err != nil {
			return
		}
		e, err := parser.NewParser(parser.Options{}).ParseExpr(out)
		if err != nil {
			t.Fatalf("%q with {%s} became %q, which does not parse: %v", expr, sel, out, err)
		}
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok && strings.HasPrefix(v.Name, "engine:") {
				t.Fatalf("%q became %q, where %s is left", expr, out, v.Name)
			}
			return nil
		})
	})
}

func BenchmarkExpand(b *testing.B) {
	d := vllm(b)
	for b.Loop() {
		if _, err := d.Expand("engine:prefix_hit_ratio", `job="vllm",instance="127.0.0.1:8000"`, 10*time.Second); err != nil {
			b.Fatal(err)
		}
	}
}
