package live

import (
	"fmt"
	"strings"

	"pitwall/ui/figure"
	"pitwall/ui/grid"
	"pitwall/ui/theme"
)

// clientJob is the job of the series that pitwall's own load leaves.
const clientJob = "client"

// clientLatency is one latency that our client measures, beside the server's of the same phase.
type clientLatency struct{ phase, metric string }

// clientLatencies are by the id of the phase under which they stand.
var clientLatencies = []clientLatency{
	{"ttft", "pitwall_client_time_to_first_token_seconds"}, {"itl", "pitwall_client_inter_token_latency_seconds"},
	{"e2e", "pitwall_client_e2e_latency_seconds"}, {"tpot", "pitwall_client_time_per_output_token_seconds"},
}

// clientQueries ask for them: percentiles and means out of native histograms, whose buckets are 2 % wide, over the same window as
// the server's. They are put only where there are such series.
var clientQueries = func() []query {
	var out []query
	for _, c := range clientLatencies {
		hist := fmt.Sprintf(`sum by (instance) (rate(%s{job="client"}[$w]))`, c.metric)
		var parts []string
		for _, q := range []string{"0.5", "0.95", "0.99"} {
			parts = append(parts, fmt.Sprintf(`label_replace(histogram_quantile(%s, %s), "of", "%s", "", "")`, q, hist, q))
		}
		parts = append(parts, fmt.Sprintf(`label_replace(histogram_sum(%s) / histogram_count(%s), "of", "mean", "", "")`, hist, hist))
		out = append(out, query{id: "client_" + c.phase, expr: strings.Join(parts, " or "), by: "of", scope: anyScope})
	}
	return out
}()

// clientOf gives a number of our client about the engine that is shown: a quantile ("0.95") or the "mean" of a phase.
func (s *snapshot) clientOf(phase, of string) figure.Value {
	e, ok := s.chosen()
	if !ok {
		return figure.Value{}
	}
	for _, x := range s.values["client_"+phase] {
		if x.Metric.Get("of") == of && x.Metric.Get("instance") == e.instance {
			return figure.Of(x.F)
		}
	}
	return figure.Value{}
}

// client tells whether our own client measured anything on the engine that is shown, in the window.
func (v view) client() bool {
	return v.s != nil && v.s.clientOf("ttft", "mean").OK
}

// titleOf is a panel's title: that of the latencies says whose they are.
func (v view) titleOf(p panel) string {
	if p.id == "latency" && p.title == "latency, server" && v.client() {
		return "latency, server and client"
	}
	return p.title
}

// drawClient writes our client's numbers of a phase under the server's; false where it has none.
func (v view) drawClient(p grid.Pane, phase string, cw int) bool {
	mean := v.s.clientOf(phase, "mean")
	if !mean.OK {
		return false
	}
	p.Text(2, 0, theme.Info, "client")
	quantiles := latencyQuantiles(p.W())
	end := p.W() - len(quantiles)*cw
	for _, q := range quantiles {
		p.Right(end, 0, quantileInk(q), tight(v.s.clientOf(phase, fmt.Sprint(q)).Text(figure.Seconds)))
		end += cw
	}
	p.Right(end, 0, theme.Plain, mean.Text(figure.Seconds))
	return true
}

// clientRows are the client's numbers in the zoomed panel.
func (v view) clientRows() []row {
	var out []row
	for _, c := range clientLatencies {
		mean := v.s.clientOf(c.phase, "mean")
		if !mean.OK {
			continue
		}
		q := func(of string) string { return tight(v.s.clientOf(c.phase, of).Text(figure.Seconds)) }
		name := c.phase
		for _, ph := range phases {
			if ph.id == c.phase {
				name = ph.name
			}
		}
		out = append(out, row{label: "our " + name, num: mean, format: figure.Seconds, ink: theme.Strong, note: "p50 " + q("0.5") + "  p95 " + q("0.95") + "  p99 " + q("0.99")})
	}
	return out
}
