package events

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/sessions"
)

// subjectLabels are the labels that say what a sample of a GPU, a host or a source is about; $sel is made of them.
var subjectLabels = [...]string{model.JobLabel, model.InstanceLabel, "gpu", "mountpoint"}

// explain gives the cause of an event and its evidence, as Attrs.
func (w *watcher) explain(ctx context.Context, rule *watchedRule, h holding, t time.Time) map[string]string {
	attrs := map[string]string{"expr": h.res.Expr, "value": amount(h.sample.F, rule.Unit)}
	if rule.Threshold != "" {
		attrs["threshold"] = rule.Threshold
	}
	sc := h.sc
	if rule.Scope != PerEngine {
		sc.Sel = selectorOf(h.sample.Metric)
	}
	said := map[string]string{}
	facts := map[string]string(nil)
	known := func(name string) (string, bool) {
		if v, ok := said[name]; ok {
			return v, v != ""
		}
		if i := slices.IndexFunc(rule.With, func(n Number) bool { return n.Name == name }); i >= 0 {
			v := w.number(ctx, rule.With[i], sc, t, attrs)
			said[name] = v
			return v, v != ""
		}
		switch fact, isFact := strings.CutPrefix(name, "fact."); {
		case name == "value":
			return attrs["value"], true
		case name == "threshold":
			return rule.Threshold, rule.Threshold != ""
		case name == "error":
			v := w.r.Absent(t)[fmt.Sprintf("up{instance=%q,job=%q}", h.sample.Metric.Get(model.InstanceLabel), h.sample.Metric.Get(model.JobLabel))]
			return v, v != ""
		case isFact:
			if facts == nil {
				facts = w.r.Facts(t)
			}
			v := facts[h.subject+"/"+fact]
			return v, v != ""
		}
		v := h.sample.Metric.Get(name)
		return v, v != ""
	}
	var parts []string
	for _, c := range rule.Cause {
		if s, ok := fill(c, known); ok && s != "" {
			parts = append(parts, s)
		}
	}
	attrs["cause"] = strings.Join(parts, ", ")
	return attrs
}

// number asks for one more number and writes it; what it gave is evidence. Empty where there is none.
func (w *watcher) number(ctx context.Context, n Number, sc sessions.Scope, t time.Time, attrs map[string]string) string {
	res, err := w.r.Query(ctx, n.Expr, t, sc)
	if err != nil {
		return ""
	}
	at := -1
	vec := res.Vector()
	for i, s := range vec {
		if !math.IsNaN(s.F) && (at < 0 || s.F > vec[at].F || s.F == vec[at].F && labels.Compare(s.Metric, vec[at].Metric) < 0) {
			at = i
		}
	}
	if at < 0 {
		return n.Else
	}
	v := amount(vec[at].F, n.Unit)
	attrs["expr."+n.Name], attrs["value."+n.Name] = res.Expr, v
	if n.Text == "" {
		return v
	}
	s, _ := fill(n.Text, func(name string) (string, bool) {
		if name == "value" {
			return v, true
		}
		l := vec[at].Metric.Get(name)
		return l, l != ""
	})
	return s
}

func selectorOf(ls labels.Labels) string {
	var parts []string
	for _, name := range subjectLabels {
		if v := ls.Get(name); v != "" {
			parts = append(parts, name+"="+strconv.Quote(v))
		}
	}
	return strings.Join(parts, ",")
}
