package events

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"pitwall/probes"
	"pitwall/sessions"
)

// The stories of testdata/*.txt are the specification of the rules: series in, episodes out, in the manner of Prometheus's
// promqltest. A story is
//
//	story   what it tells, to the end of the line
//	ticks N                          how many seconds it is long (default 120)
//	NAME{job=…,instance=…,…} VALUES  a series, one value a second, as promqltest writes them: 1x9 is ten times 1, 0+2x5 counts
//	fact PATH VALUE                  a fact, from the first second on
//	fails JOB INSTANCE FROM TO WHY   from second FROM to TO the source can't be read; what a probe says itself (pitwall_…)
//	                                 is there all the same
//	=> LINE                          an episode that must be there, as the function line writes it; all others must not
//
// A line that ends in a backslash goes on in the next.
type story struct {
	file     string
	line     int
	name     string
	ticks    int
	sources  []*storySource
	expected []string
}

// storySource is one source of a story.
type storySource struct {
	job, instance string
	series        []storySeries
	facts         map[string]string
	fails         map[int]string
	n             int
}

type storySeries struct {
	labels labels.Labels
	values []parser.SequenceValue
}

func (s *storySource) Target() (string, string) { return s.job, s.instance }

func (s *storySource) Every() time.Duration { return sessions.Tick }

func (s *storySource) Read(context.Context) probes.Reading {
	n := s.n
	s.n++
	r := probes.Reading{Facts: s.facts}
	why, fails := s.fails[n]
	if fails {
		r.Err = errors.New(why)
	}
	for _, x := range s.series {
		if fails && !strings.HasPrefix(x.labels.Get(model.MetricNameLabel), "pitwall_") {
			continue
		}
		if n < len(x.values) && !x.values[n].Omitted {
			r.Samples = append(r.Samples, probes.Sample{Labels: x.labels, Value: x.values[n].Value})
		}
	}
	return r
}

func readStories(t *testing.T, file string) []*story {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []*story
	sc := bufio.NewScanner(f)
	for n := 1; sc.Scan(); n++ {
		text := strings.TrimSpace(sc.Text())
		for strings.HasSuffix(text, `\`) && sc.Scan() {
			n++
			text = strings.TrimSuffix(text, `\`) + strings.TrimSpace(sc.Text())
		}
		if text == "" || text[0] == '#' {
			continue
		}
		if name, ok := strings.CutPrefix(text, "story "); ok {
			all = append(all, &story{file: filepath.Base(file), line: n, name: strings.TrimSpace(name), ticks: 120})
			continue
		}
		if len(all) == 0 {
			t.Fatalf("%s:%d: it begins with a story", file, n)
		}
		if err := all[len(all)-1].add(text); err != nil {
			t.Fatalf("%s:%d: %v", file, n, err)
		}
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func (s *story) source(job, instance string) *storySource {
	for _, x := range s.sources {
		if x.job == job && x.instance == instance {
			return x
		}
	}
	x := &storySource{job: job, instance: instance, facts: map[string]string{}, fails: map[int]string{}}
	s.sources = append(s.sources, x)
	return x
}

func (s *story) add(text string) error {
	word, rest, _ := strings.Cut(text, " ")
	switch rest = strings.TrimSpace(rest); word {
	case "ticks":
		n, err := strconv.Atoi(rest)
		s.ticks = n
		return err
	case "=>":
		s.expected = append(s.expected, rest)
		return nil
	case "fact":
		path, v, ok := strings.Cut(rest, " ")
		if !ok {
			return errors.New("fact PATH VALUE")
		}
		s.source("facts", "story").facts[path] = v
		return nil
	case "fails":
		f := strings.SplitN(rest, " ", 5)
		if len(f) != 5 {
			return errors.New("fails JOB INSTANCE FROM TO WHY")
		}
		from, err := strconv.Atoi(f[2])
		if err != nil {
			return err
		}
		to, err := strconv.Atoi(f[3])
		if err != nil {
			return err
		}
		for n := from; n < to; n++ {
			s.source(f[0], f[1]).fails[n] = f[4]
		}
		return nil
	}
	ls, values, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(text)
	if err != nil {
		return err
	}
	b := labels.NewBuilder(ls)
	b.Del("job", "instance")
	src := s.source(ls.Get("job"), ls.Get("instance"))
	src.series = append(src.series, storySeries{b.Labels(), values})
	return nil
}

// record plays a story into a recorder that a Source watches.
func (s *story) record(t testing.TB, rules []Rule) *sessions.Recorder {
	t.Helper()
	watch := NewSource(rules)
	all := []probes.Source{watch}
	for _, x := range s.sources {
		x.n = 0
		all = append(all, x)
	}
	rec, err := sessions.NewRecorder(sessions.Options{Host: "box", Sources: func() []probes.Source { return all }})
	if err != nil {
		t.Fatal(err)
	}
	watch.Follow(rec)
	for n := range s.ticks {
		if err := rec.Tick(context.Background(), at(float64(n))); err != nil {
			t.Fatal(err)
		}
	}
	if why := rec.Absent(at(float64(s.ticks)))[ActiveMetric]; why != "" {
		t.Error(why)
	}
	return rec
}

func linesOf(all []Episode) []string {
	out := []string{}
	for _, e := range all {
		out = append(out, line(e))
	}
	return out
}

func TestStoriesBecomeTheEpisodesThatTheyTell(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	told := map[string]bool{}
	for _, file := range files {
		for _, s := range readStories(t, file) {
			t.Run(fmt.Sprintf("%s:%d %s", s.file, s.line, s.name), func(t *testing.T) {
				rec := s.record(t, Builtin())
				live := Of(rec, time.Time{}, time.Time{}, time.Time{})
				if got := linesOf(live); !slices.Equal(got, append([]string{}, s.expected...)) {
					t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(s.expected, "\n  "))
				}
				for _, e := range live {
					told[e.Kind] = true
					if e.Attrs["phase"] == "" {
						continue
					}
					if len(e.Evidence) == 0 || e.Evidence[0].Expr == "" || e.Evidence[0].Value == "" || e.Evidence[0].Threshold == "" {
						t.Errorf("%s has no evidence: %+v", e.Kind, e.Evidence)
					}
					if e.Active > e.Lasted(at(float64(s.ticks))) || e.Active < 0 {
						t.Errorf("%s was there for %s of %s", e.Kind, e.Active, e.Lasted(at(float64(s.ticks))))
					}
				}
				// Whoever goes through the saved session afterwards finds the same.
				found, err := Search(context.Background(), rec, Builtin(), nil)
				if err != nil {
					t.Fatal(err)
				}
				later := linesOf(Fold(found, time.Time{}, time.Time{}, at(float64(s.ticks))))
				if !slices.Equal(later, linesOf(live)) {
					t.Errorf("afterwards\n  %s\nwhile it was recorded\n  %s", strings.Join(later, "\n  "), strings.Join(linesOf(live), "\n  "))
				}
			})
		}
	}
	for _, r := range Builtin() {
		if !told[r.Kind] {
			t.Errorf("no story tells of %s", r.Kind)
		}
	}
}
