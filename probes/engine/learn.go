package engine

import (
	"context"
	"fmt"
	"maps"
	"time"

	"pitwall/probes"
	"pitwall/probes/engine/dialect"
)

// adopt takes over the facts of a process's command line, once a process.
func (s *Scraper) adopt(srv Server) {
	if srv.PID == s.pid {
		return
	}
	if s.pid != 0 {
		clear(s.facts)
		clear(s.unknown)
	}
	s.seen.Store(true)
	s.pid, s.askModel = srv.PID, time.Time{}
	s.log = findLog(s.root, srv.PID)
	s.facts["log"] = s.log.String()
	s.facts["pid"] = fmt.Sprint(srv.PID)
	if !srv.Start.IsZero() {
		s.facts["started"] = stamp(srv.Start)
	}
	line, facts := flags(s.d, srv.Args)
	if line != "" {
		s.facts["flags"] = line
	}
	for k, v := range facts {
		s.facts[k] = v
	}
}

// learn renews the facts from a page, and from version and models when it is time.
func (s *Scraper) learn(ctx context.Context, now time.Time, samples []probes.Sample, meta map[string]probes.Meta, o Observation, r *probes.Reading) {
	version := s.facts["version"]
	label := modelLabel(s.d, samples)
	if now.Sub(s.askModel) >= modelsEvery || o.Work.Fell || label != s.label {
		s.askModel, s.label = now, label
		s.ask(ctx)
	}
	maps.Copy(s.facts, infoFacts(s.d, samples))
	merge(s.facts, map[string]string{"model": label})
	if !o.Work.Started.IsZero() && s.pid == 0 {
		s.facts["started"] = stamp(o.Work.Started)
	}
	if o.Work.Own { // a guess that never met the engine's own metrics is no engine that was there
		s.facts["dialect"] = s.d.Name
	}
	r.Events = append(r.Events, s.changed("dialect")...)
	r.Events = append(r.Events, s.changed("version")...)
	r.Events = append(r.Events, s.changed("model")...)
	if len(samples) != s.series || version != s.facts["version"] || s.absent == nil {
		s.series = len(samples)
		s.absent = absentMetrics(s.d, o.Work, s.facts["version"], meta, samples)
		maps.Copy(s.absent, s.d.Absent())
	}
	if o.Outcome == Pageless {
		s.series, s.absent = -1, map[string]string{}
		for _, w := range dialect.Vocabulary() {
			s.absent[w] = s.d.NoPage.Reason
		}
	}
}

// ask renews version and models.
func (s *Scraper) ask(ctx context.Context) {
	if p := s.d.Paths.Version; p != "" {
		v, err := s.c.version(ctx, p)
		if delete(s.unknown, "version"); err != nil {
			s.unknown["version"] = err.Error()
		} else if v != "" {
			s.facts["version"] = v
		}
	}
	for _, doc := range s.d.Documents {
		facts, err := s.c.document(ctx, doc)
		for _, f := range doc.Facts {
			if delete(s.unknown, f.Fact); err != nil && s.facts[f.Fact] == "" {
				s.unknown[f.Fact] = err.Error()
			}
		}
		maps.Copy(s.facts, facts)
	}
	if p := s.d.Paths.Models; p != "" {
		ms, err := s.c.models(ctx, p)
		if delete(s.unknown, "max_model_len"); err != nil {
			s.unknown["max_model_len"] = err.Error()
		} else {
			maps.Copy(s.facts, modelFacts(ms))
		}
	}
}

// changed gives the event for a fact that is another than the last one known, be it of a process before.
func (s *Scraper) changed(what string) []probes.Event {
	from, to := s.was[what], s.facts[what]
	if to == "" {
		return nil
	}
	s.was[what] = to
	if from == "" || from == to {
		return nil
	}
	return []probes.Event{{
		Kind: KindChanged, Subject: s.subject, Severity: probes.Warning, Title: fmt.Sprintf("%s changed: %s → %s", what, from, to),
		Attrs: map[string]string{"what": what, "from": from, "to": to},
	}}
}

// tell fills in the facts and the reasons.
func (s *Scraper) tell(r *probes.Reading, srv Server, found bool, unseen string, answered bool) {
	facts := maps.Clone(s.facts)
	facts["url"], facts["dialect"] = s.URL(), s.d.Name
	facts["verified"] = s.d.Verified(facts["version"])
	r.Facts = make(map[string]string, len(facts))
	for k, v := range facts {
		r.Facts[s.subject+"/"+k] = shortened(v, maxFact)
	}
	r.Absent = map[string]string{}
	for k, v := range s.unknown {
		r.Absent[s.subject+"/"+k] = v
	}
	if !answered {
		return
	}
	maps.Copy(r.Absent, s.absent)
	maps.Copy(r.Absent, s.pages.reasons())
	for k, v := range unknownStartUp(s.d, facts, srv, found, unseen) {
		r.Absent[s.subject+"/"+k] = v
	}
}
