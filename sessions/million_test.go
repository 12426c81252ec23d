package sessions

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"pitwall/probes"
)

// sessionOf gives the file of a session with rows full rows of requests, in runs of perRun rows. All rows have the columns of
// the same thousand requests.
func sessionOf(t testing.TB, rows, perRun, chunks int) string {
	t.Helper()
	src := engine()
	r := newTestRecorder(t, Options{Dir: t.TempDir(), Sources: func() []probes.Source { return []probes.Source{src} }})
	drive(t, r, 0, 130)
	all := served(rand.New(rand.NewPCG(8, 8)), 1, rowRequests)
	for i := range all {
		all[i].Chunks = all[i].Chunks[:min(chunks, len(all[i].Chunks))]
	}
	var c requestCodec
	row, err := c.encode(0, all)
	must(t, err)
	n, columns, err := row.head()
	must(t, err)
	var b *batch
	for i := range rows {
		if i%50 == 0 {
			b = &batch{meta: map[string]string{}}
		}
		one := requestRow{run: uint32(i/perRun) + 1, first: uint32(i % perRun * rowRequests), count: rowRequests, t: row.t, data: []byte{requestsFormat}}
		for _, v := range []uint64{uint64(one.run), uint64(one.first), rowRequests, uint64(n)} {
			one.data = binary.AppendUvarint(one.data, v)
		}
		one.data = append(one.data, columns...)
		b.requests = append(b.requests, one)
		if i%50 == 49 || i == rows-1 {
			must(t, r.w.commit(context.Background(), b))
		}
	}
	for id := uint32(1); int(id) <= (rows+perRun-1)/perRun; id++ {
		must(t, r.PutRun(aRun(id, Done, 1, 100)))
	}
	must(t, r.Close())
	return r.path
}

// costs is what the issue bounds: how long a session takes to open, a run of some ten thousand requests to be read, and all of
// its requests to be walked.
//
// It is the time of the processor, not of the clock: others have the machine, too.
func costs(t testing.TB, path string) (opened, read, walked time.Duration, n int) {
	t.Helper()
	start := cpu()
	s, err := open(path) // without the check in the background, which would be counted, too
	must(t, err)
	defer s.Close()
	if len(s.Runs()) == 0 {
		t.Fatal("there are no runs")
	}
	opened = cpu() - start
	count := func(run uint32) (n int, took time.Duration) {
		start := cpu()
		var tokens int64
		for r, err := range s.Requests(context.Background(), run) {
			must(t, err)
			tokens += int64(r.OutputTokens)
			n++
		}
		return n, cpu() - start
	}
	ten, read := count(2)
	n, walked = count(0)
	return opened, time.Duration(float64(read) * 10_000 / float64(ten)), time.Duration(float64(walked) * 1e6 / float64(n)), n
}

// BenchmarkMillion gives how long a session of a million requests with 128 chunks each takes to open (budget: 1 s), a run of
// 10,000 of them to be read (100 ms), and all of them to be walked (2 s).
func BenchmarkMillion(b *testing.B) {
	path := sessionOf(b, 977, 10, 128)
	for b.Loop() {
		open, run, all, _ := costs(b, path)
		b.ReportMetric(float64(open.Microseconds())/1000, "cpu-ms/open")
		b.ReportMetric(float64(run.Microseconds())/1000, "cpu-ms/10000")
		b.ReportMetric(all.Seconds(), "cpu-s/million")
	}
}

// BenchmarkPutRequests gives what a request with 128 chunks costs its recorder until it is in the file and joined.
func BenchmarkPutRequests(b *testing.B) {
	r := newTestRecorder(b, Options{Dir: b.TempDir()})
	all := served(rand.New(rand.NewPCG(1, 9)), 1, 4096)
	start, n := cpu(), 0
	for b.Loop() {
		k := n * 100 % 4000
		must(b, r.PutRequests(all[k:k+100]))
		drive(b, r, n, 1)
		n++
	}
	b.ReportMetric(float64((cpu()-start).Microseconds())/float64(100*n), "µs/request")
	must(b, r.Close())
}

// A fifth of a million, so that it takes no minute; what a row takes is the same. The bounds are those of the issue; and what must
// not depend on the number of requests is compared with a session that has few.
func TestASessionOfVeryManyRequestsOpensAtOnce(t *testing.T) {
	few, _, _, _ := costs(t, sessionOf(t, 4, 2, 128))
	path := sessionOf(t, 200, 10, 128)
	open, run, all, n := costs(t, path)
	t.Logf("%d requests: opened in %s (few: %s), 10,000 read in %s, a million walked in %s", n, open, few, run, all)
	if n != 200*rowRequests {
		t.Fatalf("%d requests were walked", n)
	}
	slow := time.Duration(map[bool]int{false: 1, true: 15}[raced])
	// Half as much again for the walk: on a machine where others fight for the caches that is what it varies by.
	if open > slow*time.Second || open > 20*max(few, 5*time.Millisecond) || run > slow*100*time.Millisecond || all > slow*3*time.Second {
		t.Errorf("opened in %s (few: %s), 10,000 read in %s, a million walked in %s", open, few, run, all)
	}
}

// Whoever breaks off a walk, or whose context ends, is let go at once, and the file is free.
func TestAWalkThatIsBrokenOffHoldsNothing(t *testing.T) {
	s, err := Open(sessionOf(t, 20, 20, 4))
	must(t, err)
	defer s.Close()
	for i := range 20 { // more than there are connections to the file
		n := 0
		for _, err := range s.Requests(context.Background(), 1) {
			must(t, err)
			if n++; n > i {
				break
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	var last error
	for _, err := range s.Requests(ctx, 1) {
		if n++; n == 10 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) || n > 2*rowRequests {
		t.Errorf("after %d requests: %v", n, last)
	}
	if all, _ := collect(t, s, 1); len(all) != 20*rowRequests {
		t.Errorf("%d requests", len(all))
	}
}
