package sessions

import (
	"testing"

	"pitwall/probes"
)

// A source that has not answered yet has ended nothing: its series run on until they are too old to count, its own word goes
// on, and it is neither up nor down.
func TestASourceThatIsLateEndsNoSeries(t *testing.T) {
	src := &page{job: "j", instance: "i", read: func(n int) probes.Reading {
		if n >= 5 && n < 25 {
			return probes.Reading{Late: "its page is late", Samples: []probes.Sample{sample(float64(n), "__name__", "state")}}
		}
		return probes.Reading{Samples: []probes.Sample{sample(1, "__name__", "a"), sample(float64(n), "__name__", "state")}}
	}}
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	defer r.Close()
	drive(t, r, 0, 30)
	one(t, r, "a", at(7)) // three seconds after the last page
	none(t, r, "a", at(18))
	if got := one(t, r, "state", at(18)); got != 18 {
		t.Errorf("what does not depend on the answer is %v", got)
	}
	for _, tg := range r.Targets(at(18)) {
		if tg.Job == "j" && (!tg.Up || tg.Err != "" || tg.Late != "its page is late" || !tg.LastOK.Equal(at(4))) {
			t.Errorf("target %+v", tg)
		}
	}
	one(t, r, "a", at(25))
	for _, tg := range r.Targets(at(25)) {
		if tg.Job == "j" && (tg.Late != "" || !tg.LastOK.Equal(at(25))) {
			t.Errorf("target %+v", tg)
		}
	}
}

// A page that goes away after it was late ends the series that were on it, not only those that were told meanwhile.
func TestASeriesThatALatePageLacksEnds(t *testing.T) {
	src := &page{job: "j", instance: "i", read: func(n int) probes.Reading {
		switch {
		case n == 5 || n == 6:
			return probes.Reading{Late: "its page is late"}
		case n > 6:
			return probes.Reading{Samples: []probes.Sample{sample(1, "__name__", "b")}}
		}
		return probes.Reading{Samples: []probes.Sample{sample(1, "__name__", "a")}}
	}}
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	defer r.Close()
	drive(t, r, 0, 10)
	one(t, r, "a", at(6))
	none(t, r, "a", at(7))
	one(t, r, "b", at(7))
}

// Many an exporter has a metric called up. The recorder's is about the reading, whatever stands on the page.
func TestAPageCannotSayWhetherItWasRead(t *testing.T) {
	src := &page{job: "j", instance: "i", read: func(int) probes.Reading {
		return probes.Reading{Samples: []probes.Sample{
			sample(0, "__name__", "up"), sample(7, "__name__", "up", "backend", "db"), sample(99, "__name__", "scrape_samples_scraped")}}
	}}
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	defer r.Close()
	drive(t, r, 0, 5)
	for expr, want := range map[string]float64{
		`up{job="j",backend=""}`:                              1,
		`min_over_time(up{job="j",backend=""}[10s])`:          1,
		`up{job="j",backend="db"}`:                            7,
		`max_over_time(scrape_samples_scraped{job="j"}[10s])`: 3,
	} {
		if v := one(t, r, expr, at(4)); v != want {
			t.Errorf("%s is %v, want %v", expr, v, want)
		}
	}
}
