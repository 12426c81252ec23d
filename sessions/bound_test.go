package sessions

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pitwall/probes"
)

// A source with new label values at every reading fills neither memory nor disk, says so, and spoils nothing else.
func TestASourceWithLabelsThatAreAlwaysNewIsBounded(t *testing.T) {
	mad := true
	src := &page{job: "mad", instance: "i", read: func(n int) probes.Reading {
		s := []probes.Sample{sample(float64(n), "__name__", "now")}
		for i := 0; mad && i < 100; i++ {
			s = append(s, sample(1, "__name__", "requests_total", "id", fmt.Sprintf("%d-%d", n, i)))
		}
		return probes.Reading{Samples: s}
	}}
	calm := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), SeriesPerTarget: 1000, Sources: func() []probes.Source { return []probes.Source{src, calm} }})
	drive(t, r, 0, 300)
	size := fileBytes(r.path)
	series := len(r.head.series)
	drive(t, r, 300, 900)
	if got := len(r.head.series); got != series || got > 1100 {
		t.Errorf("%d series in memory after 5 minutes, %d after 20", series, got)
	}
	if got := fileBytes(r.path); got > 4*size {
		t.Errorf("the file has %d bytes after 5 minutes, %d after 20", size, got)
	}
	for i := range 1200 {
		if got := one(t, r, `now{job="mad"}`, at(i)); got != float64(i) {
			t.Fatalf("a series that was there before has %v at tick %d", got, i)
		}
		if got := one(t, r, `now{job="vllm"}`, at(i)); got != float64(i) {
			t.Fatalf("another source has %v at tick %d", got, i)
		}
	}
	if got := one(t, r, RefusedMetric+`{subject="mad/i"}`, at(1199)); got < 118_000 || got > 120_000 {
		t.Errorf("%v samples are said to be left out", got)
	}
	for _, path := range []string{"requests_total", RefusedMetric + `{subject="mad/i"}`} {
		if got := r.Absent(at(1199))[path]; !strings.HasPrefix(got, "100 series of ") || !strings.Contains(got, "it has had 1,000 series already") {
			t.Errorf("reason for %s: %q", path, got)
		}
	}
	mad = false
	drive(t, r, 1200, 10)
	var phases []string
	for _, e := range r.Events(time.Time{}, at(1210)) {
		if e.Kind == "recorder.series" {
			phases = append(phases, e.Subject+" "+e.Attrs["phase"])
		}
	}
	if strings.Join(phases, ", ") != "mad/i began, mad/i ended" {
		t.Errorf("told %q", phases)
	}
	if got := r.Absent(at(1209))["requests_total"]; got != "" {
		t.Errorf("a reason that no longer holds: %q", got)
	}
	path := r.path
	must(t, r.Close())
	st, err := os.Stat(path)
	must(t, err)
	if st.Size() > 2_000_000 {
		t.Errorf("the file has %d bytes", st.Size())
	}
}

func TestAFloodOfEventsAndLongTextsIsCut(t *testing.T) {
	src := &page{job: "j", instance: "i", read: func(n int) probes.Reading {
		var out probes.Reading
		for range 5000 {
			out.Events = append(out.Events, probes.Event{Kind: "x", Title: strings.Repeat("long ", 10_000)})
		}
		out.Absent = map[string]string{"a": strings.Repeat("because ", 100_000)}
		return out
	}}
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	defer r.Close()
	drive(t, r, 0, 1)
	all := r.Events(time.Time{}, at(1))
	if n := len(all); n != maxEvents+1 || !strings.Contains(all[n-1].Title, "4800 events") {
		t.Errorf("%d events, the last is %q", n, all[n-1].Title)
	}
	drive(t, r, 1, 20)
	told := 0
	for _, e := range r.Events(time.Time{}, at(30)) {
		if strings.Contains(e.Title, "until the hour is over: 1,000 are kept") {
			told++
		}
	}
	if n := len(r.Events(time.Time{}, at(30))); n != maxHourlyEvents+maxHourlyEvents/maxEvents+1 || told != 1 {
		t.Errorf("after 21 readings %d events, told %d times", n, told)
	}
	drive(t, r, 3600, 1)
	if n := len(r.Events(at(3599), at(3600))); n < maxEvents {
		t.Errorf("in the next hour %d events", n)
	}
	if n := len(all[0].Title); n > maxText+30 {
		t.Errorf("a title of %d bytes", n)
	}
	if n := len(r.Absent(at(0))["a"]); n > maxText+30 {
		t.Errorf("a reason of %d bytes", n)
	}
}
