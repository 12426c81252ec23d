package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
)

// infoFacts reads facts from the labels of the page's info series, by the dialect's list. An engine that has not made up
// its mind writes None: that is no fact.
func infoFacts(d *dialect.Dialect, samples []probes.Sample) map[string]string {
	facts := map[string]string{}
	for _, info := range d.Info {
		var series []labels.Labels
		for _, s := range samples {
			if s.Labels.Get(model.MetricNameLabel) == info.Metric {
				series = append(series, s.Labels)
			}
		}
		// The engines of a data-parallel server in their order, so that "the first" is the same on every page.
		slices.SortFunc(series, labels.Compare)
		for _, f := range info.Facts {
			if v, ok := infoValue(f, series); ok {
				facts[f.Fact] = v
			} else if v, ok := infoProduct(f, series); ok {
				facts[f.Fact] = v
				if f.Note != "" {
					facts[f.Fact+"_note"] = f.Note
				}
			}
		}
	}
	return facts
}

func said(v string) bool { return v != "" && v != "None" }

func infoValue(f dialect.InfoFact, series []labels.Labels) (string, bool) {
	var sum float64
	n := 0
	for _, l := range series {
		v := l.Get(f.Label)
		if !said(v) {
			continue
		}
		if !f.Sum {
			return v, true
		}
		x, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return "", false
		}
		sum += x
		n++
	}
	return strconv.FormatFloat(sum, 'f', -1, 64), n > 0
}

func infoProduct(f dialect.InfoFact, series []labels.Labels) (string, bool) {
	var sum float64
	for _, l := range series {
		product := 1.0
		for _, name := range f.Product {
			x, err := strconv.ParseFloat(l.Get(name), 64)
			if err != nil {
				return "", false
			}
			product *= x
		}
		sum += product
	}
	return strconv.FormatFloat(sum, 'f', -1, 64), len(f.Product) > 0 && len(series) > 0
}

// modelFacts are the facts of the served models; the first is the one whose name the metrics carry.
func modelFacts(models []servedModel) map[string]string {
	if len(models) == 0 {
		return nil
	}
	var names []string
	for _, m := range models[:min(len(models), maxModels)] {
		names = append(names, shortened(m.ID, maxReason))
	}
	if more := len(models) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	facts := map[string]string{"model": names[0], "models": strings.Join(names, ",")}
	if r := models[0].Root; r != "" {
		facts["root"] = withoutUser(r)
	}
	if n := models[0].MaxModelLen; n > 0 {
		facts["max_model_len"] = strconv.Itoa(n)
	}
	return facts
}

// modelLabel is the model's name as the metrics have it: the smallest, if there are several.
func modelLabel(d *dialect.Dialect, samples []probes.Sample) string {
	var name string
	for _, s := range samples {
		if !d.Owns(s.Labels.Get(model.MetricNameLabel)) {
			continue
		}
		if m := s.Labels.Get(d.State.Model); m != "" && (name == "" || cmp.Less(m, name)) {
			name = m
		}
	}
	return name
}

// merge copies facts that are not there yet.
func merge(into, from map[string]string) {
	for k, v := range from {
		if _, ok := into[k]; !ok && v != "" {
			into[k] = v
		}
	}
}

// startUpFacts are those that nothing but the command line tells.
func startUpFacts(d *dialect.Dialect) []string {
	var out []string
	for _, f := range d.Flags {
		if f.Sole {
			out = append(out, f.Fact)
		}
	}
	return out
}

// unknownStartUp gives, by fact, why one that nothing but the command line tells is unknown.
func unknownStartUp(d *dialect.Dialect, facts map[string]string, srv Server, seen bool, unseen string) map[string]string {
	out := map[string]string{}
	for _, f := range startUpFacts(d) {
		if _, ok := facts[f]; ok {
			continue
		}
		switch {
		case !seen && unseen != "":
			out[f] = unseen
		case !seen:
			out[f] = "the engine's command line is not on this host"
		case srv.Denied || len(srv.Args) == 0:
			out[f] = "another user's process: its command line may not be read"
		default:
			out[f] = "not on the engine's command line; its default depends on version and device"
		}
	}
	return out
}

// absentMetrics gives, by metric, why what one would expect is not on the page. present are the page's families.
func absentMetrics(d *dialect.Dialect, w Work, version string, present map[string]probes.Meta, samples []probes.Sample) map[string]string {
	have := make(map[string]bool, len(samples))
	for name := range present {
		have[name] = true
	}
	for _, s := range samples {
		have[s.Labels.Get(model.MetricNameLabel)] = true
	}
	out := map[string]string{}
	if !w.Counts {
		out[fmt.Sprintf("pitwall_engine_state{state=%q}", Stalled)] = "no counter on its page moves at every step: that the engine stands still can't be told"
	}
	for _, e := range d.Expect {
		if have[e.Metric] {
			continue
		}
		switch {
		case w.Own || !d.Owns(e.Metric):
			out[e.Metric] = e.Reason
		case version != "":
			out[e.Metric] = d.NoStats
		default:
			out[e.Metric] = "the page has no metrics of " + d.Title
		}
	}
	return out
}

// stamp writes a time as facts have it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
