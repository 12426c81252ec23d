package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pitwall/probes"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/sessions/score"
)

// loadOf is the load of driveLoad: two runs, of which the second is still under way at the end.
func loadOf() (first, second []request.Record) {
	first, second = served(rand.New(rand.NewPCG(5, 1)), 1, 200), served(rand.New(rand.NewPCG(5, 2)), 2, 60)
	for i := range first {
		first[i].Chunks = first[i].Chunks[:min(16, len(first[i].Chunks))] // the files are in testdata
		if i%50 == 7 {
			first[i].Text, first[i].IDs = fmt.Sprintf("answer %d", i), []int32{int32(i), 2}
		}
	}
	for i := range second {
		second[i].Chunks = second[i].Chunks[:min(16, len(second[i].Chunks))]
	}
	return first, second
}

func aRun(id uint32, state RunState, began, ended int) Run {
	r := Run{ID: id, Label: fmt.Sprintf("run %d", id), State: state, Began: at(began), Target: map[string]string{"url": "http://127.0.0.1:8000"},
		Point: shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: int(id)}}}
	if ended != 0 {
		r.Cut, r.Ended = at(ended), at(ended)
		r.Score = &score.Score{Sent: 200, OK: 194, Failed: 6}
	}
	return r
}

// driveLoad drives a recorder through damageTicks with the load of loadOf.
func driveLoad(t testing.TB, r *Recorder) {
	t.Helper()
	first, second := loadOf()
	must(t, r.PutRun(aRun(1, Measuring, 10, 0)))
	for i := range damageTicks {
		switch {
		case i < len(first):
			must(t, r.PutRequests(first[i:i+1]))
		case i == 250:
			must(t, r.PutRun(aRun(1, Done, 10, 240)))
			must(t, r.PutRun(aRun(2, Measuring, 250, 0)))
		case i >= damageTicks-len(second):
			k := i - (damageTicks - len(second))
			must(t, r.PutRequests(second[k:k+1]))
		}
		drive(t, r, i, 1)
	}
}

// examineRequests reads every run and request of a session that was driven by driveLoad, and may be damaged: none may be another
// than what was put, they are in order, and what is missing is told.
func examineRequests(t testing.TB, s *saved, whole bool) (there int) {
	t.Helper()
	first, second := loadOf()
	want := [][]request.Record{first, second}
	missing, last := 0, [2]uint32{}
	for r, err := range s.Requests(context.Background(), 0) {
		var gone *MissingRequests
		switch {
		case errors.As(err, &gone):
			missing += max(1, gone.Count)
			if gone.Error() == "" || gone.Why == "" {
				t.Error("requests are missing, and nobody says why")
			}
			continue
		case err != nil:
			return there // nothing more of it can be read, and that is said
		}
		if r.Run < 1 || r.Run > 2 || int(r.Seq) >= len(want[r.Run-1]) || [2]uint32{r.Run, r.Seq + 1} == last || r.Run < last[0] || r.Run == last[0] && r.Seq+1 < last[1] {
			t.Fatalf("request %d of run %d comes after request %d of run %d", r.Seq, r.Run, int(last[1])-1, last[0])
		}
		last = [2]uint32{r.Run, r.Seq + 1}
		if tb, ok := t.(*testing.T); ok {
			w := want[r.Run-1][r.Seq]
			if r.Text == "" { // damaged texts are told, and left out
				w.Text, w.IDs = "", nil
			}
			same(tb, r, w)
		}
		there++
	}
	runs := s.Runs()
	for _, r := range runs {
		if r.ID == 1 && (r.State != Done && r.State != Broken || r.Label != "run 1") || r.ID == 2 && r.State != Broken && s.Info().Recording != RecordingElsewhere {
			t.Errorf("run %d is %s, %q", r.ID, r.State, r.Label)
		}
	}
	if trouble := s.Info().Trouble; whole && trouble == "" && (there < 260 || len(runs) < 2) {
		t.Errorf("%d of 260 requests and %d of 2 runs are there, %d are told to be missing, and the session says nothing", there, len(runs), missing)
	}
	return there
}

// collect reads the requests of a run; what is missing comes apart.
func collect(t testing.TB, r Reader, run uint32) (all []request.Record, missing []*MissingRequests) {
	t.Helper()
	for one, err := range r.Requests(context.Background(), run) {
		var gone *MissingRequests
		if errors.As(err, &gone) {
			missing = append(missing, gone)
			continue
		}
		must(t, err)
		all = append(all, one)
	}
	return all, missing
}

// holds fails where a reader's requests of a run are not these, all of them, in this order.
func holds(t *testing.T, who string, r Reader, run uint32, want []request.Record) {
	t.Helper()
	got, missing := collect(t, r, run)
	if len(missing) > 0 || len(got) != len(want) {
		t.Fatalf("%s: %d requests of run %d, want %d; missing: %v", who, len(got), run, len(want), missing)
	}
	for i := range want {
		same(t, got[i], want[i])
	}
}

func TestEveryReaderHasTheSameRunsAndRequests(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	if _, missing := collect(t, r, 0); len(r.Runs()) != 0 || len(missing) != 0 || r.NextRun() != 1 {
		t.Error("there are runs before there are any")
	}
	driveLoad(t, r)
	first, second := loadOf()
	holds(t, "its recorder", r, 1, first)
	holds(t, "its recorder", r, 2, second)
	holds(t, "its recorder", r, 0, slices.Concat(first, second))
	holds(t, "its recorder", r, 3, nil)
	if r.NextRun() != 3 {
		t.Errorf("the next run is %d", r.NextRun())
	}

	follower, err := open(r.path)
	must(t, err)
	defer follower.Close()
	holds(t, "a follower", follower, 0, slices.Concat(first, second))
	run3 := served(rand.New(rand.NewPCG(5, 3)), 3, 5)
	must(t, r.PutRun(aRun(3, Settling, 790, 0)))
	must(t, r.PutRequests(run3[:3]))
	holds(t, "its recorder, before anything is written", r, 3, run3[:3])
	before := follower.Version()
	drive(t, r, damageTicks, 1)
	must(t, follower.read())
	if v := follower.Version(); v == before {
		t.Error("a run began, and a follower's version is the same")
	}
	holds(t, "a follower, a tick later", follower, 3, run3[:3])
	if runs := follower.Runs(); len(runs) != 3 || runs[0].State != Done || runs[1].State != Measuring || runs[2].State != Settling || runs[0].Score.OK != 194 {
		t.Errorf("a follower has %+v", runs)
	}
	must(t, r.PutRun(aRun(2, Broken, 250, 0)))
	must(t, r.PutRequests(run3[3:]))
	must(t, r.PutRun(aRun(3, Done, 790, 801)))
	path := r.path
	must(t, r.Close())

	s, err := Open(path)
	must(t, err)
	defer s.Close()
	holds(t, "the saved session", s, 0, slices.Concat(first, second, run3))
	if runs := s.Runs(); len(runs) != 3 || runs[1].State != Broken || runs[2].State != Done || !runs[2].Ended.Equal(at(801)) {
		t.Errorf("the saved session has %+v", runs)
	}
	info, _, err := Check(context.Background(), path)
	if err != nil || info.Trouble != "" {
		t.Errorf("a check says %q, %v", info.Trouble, err)
	}
	var rows int
	must(t, s.(*saved).archive.Load().db.QueryRow("SELECT count(*) FROM requests").Scan(&rows))
	if rows != 3 {
		t.Errorf("%d rows of requests are left of three runs: they should have been joined", rows)
	}
	if err := r.PutRequests(run3[:1]); err == nil {
		t.Error("a request is taken after the end")
	}
	if err := r.PutRun(aRun(4, Done, 1, 2)); err == nil {
		t.Error("a run is taken after the end")
	}
}

// A run that sends a lot is walked while it is stored and its rows are joined: nobody who walks slowly misses one.
func TestWalkingARunWhoseRowsAreJoinedMeanwhileMissesNothing(t *testing.T) {
	r := newTestRecorder(t, Options{Dir: t.TempDir()})
	defer r.Close()
	all := served(rand.New(rand.NewPCG(1, 1)), 1, 3000)
	for i := range all {
		all[i].Chunks = nil
	}
	put := 0
	more := func(n int) {
		for range n {
			must(t, r.PutRequests(all[put:put+10]))
			put += 10
			drive(t, r, put, 1)
		}
	}
	more(20)
	s, err := open(r.path)
	must(t, err)
	defer s.Close()
	seen := 0
	for one, err := range s.Requests(context.Background(), 1) {
		must(t, err)
		if int(one.Seq) != seen {
			t.Fatalf("after %d requests comes the one of number %d", seen, one.Seq)
		}
		if seen++; seen%40 == 0 && put < len(all) {
			more(10)
		}
	}
	if seen < 2000 {
		t.Errorf("the walk ended after %d requests, of %d that were put before its end", seen, put)
	}
	holds(t, "its recorder", r, 1, all[:put])
}

func TestARunIsRefusedThatNobodyCouldFind(t *testing.T) {
	r := newTestRecorder(t, Options{})
	if err := r.PutRun(Run{}); err == nil {
		t.Error("a run without an ID is taken")
	}
	if err := r.PutRequests([]request.Record{{Run: 1}, {}}); err == nil {
		t.Error("a request of no run is taken")
	}
	if all, _ := collect(t, r, 0); len(all) != 0 {
		t.Error("of requests that are refused one is taken")
	}
	if err := r.PutRun(Run{ID: 1, Certificate: json.RawMessage("{")}); err == nil {
		t.Error("a run that can't be stored is taken")
	}
}

func TestNoSecretIsStoredWithARun(t *testing.T) {
	r := newTestRecorder(t, Options{Dir: t.TempDir()})
	run := aRun(1, Measuring, 0, 0)
	const secret = "hunter2hunter2"
	run.Target = map[string]string{"url": "http://me:" + secret + "@127.0.0.1:8000", "api_key": secret, "model": "m"}
	run.Point.Headers = map[string]string{"Authorization": "Bearer " + secret, "X-Api-Key": secret, "X-Kind": "plain"}
	run.Point.Body = map[string]any{"nested": map[string]any{"token": secret, "max_tokens": 5.0}, "list": []any{"api_key=" + secret}}
	run.Label, run.Why = "with token="+secret, "http://me:"+secret+"@host refused"
	must(t, r.PutRun(run))
	must(t, r.PutRequests([]request.Record{{Run: 1, Message: "Authorization: Bearer " + secret}}))
	drive(t, r, 0, 2)
	if run.Point.Headers["X-Api-Key"] != secret || run.Target["api_key"] != secret {
		t.Error("the caller's own run was changed")
	}
	got := r.Runs()[0]
	if got.Point.Headers["X-Kind"] != "plain" || got.Target["model"] != "m" || got.Point.Body["nested"].(map[string]any)["max_tokens"] != 5.0 {
		t.Errorf("what is no secret is cut: %+v", got)
	}
	all, _ := collect(t, r, 1)
	text, err := json.Marshal(struct {
		Run  Run
		Reqs []request.Record
	}{got, all})
	must(t, err)
	if strings.Contains(string(text), secret) {
		t.Errorf("a secret is stored: %s", text)
	}
	path := r.path
	must(t, r.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	if strings.Contains(string(b), secret) {
		t.Error("a secret is in the file")
	}
}

func TestRequestsWaitForADiskThatIsFull(t *testing.T) {
	r := newTestRecorder(t, Options{Dir: t.TempDir()})
	all := served(rand.New(rand.NewPCG(1, 4)), 1, 600)
	must(t, r.PutRequests(all[:100]))
	drive(t, r, 0, 3)
	_, err := r.w.db.Exec("PRAGMA max_page_count=1")
	must(t, err)
	must(t, r.PutRun(aRun(1, Measuring, 0, 0)))
	for i := range 5 {
		must(t, r.PutRequests(all[100+100*i:200+100*i]))
		if err := r.Tick(context.Background(), at(3+i)); err == nil || !strings.HasPrefix(err.Error(), "disk full") {
			t.Errorf("with a full disk: %v", err)
		}
	}
	holds(t, "its recorder, while the disk is full", r, 1, all)
	_, err = r.w.db.Exec("PRAGMA max_page_count=1000000")
	must(t, err)
	drive(t, r, 10, 1)
	s, err := open(r.path)
	must(t, err)
	defer s.Close()
	holds(t, "a follower, when there is room again", s, 1, all)
	if len(s.Runs()) != 1 {
		t.Errorf("runs: %+v", s.Runs())
	}
	must(t, r.Close())
}

func TestWhatWaitsTooLongIsGivenUpOldestFirstAndTold(t *testing.T) {
	for name, dir := range map[string]string{"a disk that is full": t.TempDir(), "no disk at all": ""} {
		t.Run(name, func(t *testing.T) {
			r := newTestRecorder(t, Options{Dir: dir})
			defer r.Close()
			r.tail.limit = 100_000
			drive(t, r, 0, 2)
			if dir != "" {
				_, err := r.w.db.Exec("PRAGMA max_page_count=1")
				must(t, err)
			}
			all := served(rand.New(rand.NewPCG(1, 4)), 1, 1500)
			for i := range 15 {
				must(t, r.PutRequests(all[100*i:100*i+100]))
				r.Tick(context.Background(), at(2+i)) //nolint:errcheck // it says that the disk is full
			}
			got, missing := collect(t, r, 1)
			if len(missing) != 1 || missing[0].From != 0 || missing[0].Count+len(got) != len(all) || missing[0].Forgotten {
				t.Fatalf("%d requests are there, missing: %v", len(got), missing)
			}
			for i := range got {
				same(t, got[i], all[len(all)-len(got)+i])
			}
			if d := int(r.Info().Dropped); d != missing[0].Count {
				t.Errorf("%d are counted as dropped, want %d", d, missing[0].Count)
			}
			told := 0
			for _, e := range r.Events(time.Time{}, at(20)) {
				if e.Kind == "recorder.requests" {
					told++
				}
			}
			if told == 0 {
				t.Error("no event tells")
			}
			if len(got)*100 > 10*r.tail.limit {
				t.Errorf("%d requests are kept, which is more than the limit holds", len(got))
			}
		})
	}
}

func TestRetentionDeletesOldRequestsAndKeepsTheRuns(t *testing.T) {
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), KeepAge: 10 * time.Minute, Sources: func() []probes.Source { return []probes.Source{src} }})
	old := served(rand.New(rand.NewPCG(1, 1)), 1, 100) // all over in the first minute
	long := served(rand.New(rand.NewPCG(1, 2)), 2, 4500)
	for i := range long {
		end := request.Time(at(i / 3).UnixNano())
		long[i].End = end
		long[i].Text = "kept"
	}
	must(t, r.PutRun(aRun(1, Done, 0, 60)))
	must(t, r.PutRequests(old))
	must(t, r.PutRun(aRun(2, Measuring, 60, 0)))
	for i := range len(long) / 3 {
		must(t, r.PutRequests(long[3*i:3*i+3]))
		drive(t, r, i, 1)
	}
	path := r.path
	look := func(who string, s Reader) {
		t.Helper()
		if runs := s.Runs(); len(runs) != 2 || runs[0].Score == nil {
			t.Errorf("%s: runs %+v", who, runs)
		}
		got, missing := collect(t, s, 1)
		if len(got) != 0 || len(missing) != 1 || !missing[0].Forgotten {
			t.Errorf("%s: %d requests of the old run, missing %v", who, len(got), missing)
		}
		got, missing = collect(t, s, 2)
		if len(missing) != 1 || !missing[0].Forgotten || missing[0].Count+len(got) != len(long) || len(got) < 1800 || len(got) > 3500 {
			t.Fatalf("%s: %d requests of the long run, missing %v", who, len(got), missing)
		}
		same(t, got[0], long[missing[0].Count])
	}
	look("its recorder", r)
	must(t, r.Close())
	s, err := Open(path)
	must(t, err)
	defer s.Close()
	look("the saved session", s)
	if i, _, err := Check(context.Background(), path); err != nil || i.Trouble != "" {
		t.Errorf("what is too old is taken for lost: %q, %v", i.Trouble, err)
	}
}
