package sessions

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"pitwall/probes/request"
)

// served makes requests as a closed loop of 32 clients leaves them on a busy engine: 128 chunks each, gaps that wander and
// are now and then long, some merged, some failed in several ways, some with the server's own times.
func served(rng *rand.Rand, run uint32, n int) []request.Record {
	out := make([]request.Record, n)
	free := make([]request.Time, 32) // when each client's last request was over
	for i := range free {
		free[i] = request.Time(msOf(t0)*int64(time.Millisecond)) + request.Time(rng.Int64N(int64(time.Second)))
	}
	wait := func(ms, spread float64) request.Time {
		return request.Time(ms * math.Exp(spread*rng.NormFloat64()) * float64(time.Millisecond))
	}
	for i := range out {
		c := i % len(free)
		r := &out[i]
		*r = request.Record{Run: run, Seq: uint32(i), Client: int32(c), Prompt: uint32(i), Group: request.Unknown, Streamed: true, Stamped: true,
			InputTokens: int32(480 + rng.IntN(64)), CachedTokens: int32(16 * rng.IntN(4)), OutputTokens: 128, Asked: 128, Finish: "length", Status: 200,
			Counting: request.ByIDs, Queue: request.Unknown, Prefill: request.Unknown, Decode: request.Unknown}
		r.AskedInput = r.InputTokens
		r.Scheduled = free[c]
		r.Sent = r.Scheduled + wait(0.08, 0.5)
		r.Wrote = r.Sent + wait(0.02, 0.3)
		if r.Fresh = rng.IntN(50) == 0; r.Fresh {
			r.Connect = time.Duration(wait(0.4, 0.3))
		}
		switch rng.IntN(100) {
		case 0:
			r.Class, r.Status, r.Message = request.Status, 503, "the engine is overloaded, try again later"
		case 1:
			r.Class, r.Status, r.Message = request.Reset, 0, fmt.Sprintf("read tcp 127.0.0.1:%d: connection reset by peer", 40000+rng.IntN(3))
		case 2:
			r.Class, r.Message = request.Stalled, "nothing came for 2m0s"
		}
		if r.Class == request.Status || r.Class == request.Reset {
			r.InputTokens, r.CachedTokens, r.OutputTokens, r.Finish = request.Unknown, request.Unknown, request.Unknown, ""
			r.End = r.Sent + wait(5, 0.5)
			free[c] = r.End
			continue
		}
		r.FirstByte = r.Sent + wait(80, 0.4)
		r.FirstToken = r.FirstByte + wait(0.05, 0.5)
		if rng.IntN(2) == 0 {
			r.Queue, r.Prefill = time.Duration(wait(20, 0.5)), time.Duration(wait(50, 0.3))
			r.Decode = time.Duration(wait(2500, 0.1))
		}
		r.LateMean, r.LateMax = time.Duration(wait(0.06, 0.5)), time.Duration(wait(1, 0.8))
		chunks := 128
		if r.Class == request.Stalled {
			chunks = 1 + rng.IntN(100)
			r.Finish, r.OutputTokens = "", request.Unknown
		}
		r.Chunks = make([]request.Chunk, chunks)
		now := r.FirstToken
		for k := range r.Chunks {
			gap := r.FirstToken.Sub(r.Sent)
			if k > 0 {
				gap = time.Duration(wait(20, 0.25))
				if rng.IntN(40) == 0 {
					gap = time.Duration(wait(140, 0.3)) // somebody's prefill
				}
				now += request.Time(gap)
			}
			r.Chunks[k] = request.Chunk{Gap: gap, Tokens: 1, Merged: rng.IntN(200) == 0}
		}
		r.LastToken = now
		r.End = r.LastToken + wait(0.3, 0.5)
		free[c] = r.End
	}
	return out
}

// near says whether what was stored of a duration is within a share of it, or within a tenth of a microsecond.
func near(got, want time.Duration, share float64) bool {
	return math.Abs(float64(got-want)) <= max(share*math.Abs(float64(want)), timeUnit)
}

// same fails where what was read of a request is not what was put, as far as is promised: latencies within 0.1 %, durations
// besides within 0.05 %, all the rest exact.
func same(t *testing.T, got, want request.Record) {
	t.Helper()
	for k, g := range moments(&got) {
		w := *moments(&want)[k]
		if (*g == 0) != (w == 0) || math.Abs(float64(*g-w)) > timeUnit/2 {
			t.Fatalf("request %d: point in time %d is %d, want %d", want.Seq, k, *g, w)
		}
	}
	for _, l := range []struct {
		what      string
		got, want time.Duration
		share     float64
	}{
		{"TTFT", got.FirstToken.Sub(got.Sent), want.FirstToken.Sub(want.Sent), 0.001},
		{"E2E", got.LastToken.Sub(got.Sent), want.LastToken.Sub(want.Sent), 0.001},
		{"decode time", got.LastToken.Sub(got.FirstToken), want.LastToken.Sub(want.FirstToken), 0.001},
		{"Connect", got.Connect, want.Connect, gapError},
		{"LateMean", got.LateMean, want.LateMean, gapError},
		{"LateMax", got.LateMax, want.LateMax, gapError},
		{"Queue", got.Queue, want.Queue, gapError},
		{"Prefill", got.Prefill, want.Prefill, gapError},
		{"Decode", got.Decode, want.Decode, gapError},
	} {
		if !near(l.got, l.want, l.share) || (l.got == request.Unknown) != (l.want == request.Unknown) {
			t.Fatalf("request %d: %s is %d ns, want %d", want.Seq, l.what, l.got, l.want)
		}
	}
	if len(got.Chunks) != len(want.Chunks) {
		t.Fatalf("request %d: %d chunks, want %d", want.Seq, len(got.Chunks), len(want.Chunks))
	}
	for k, g := range got.Chunks {
		w := want.Chunks[k]
		if g.Tokens != w.Tokens || g.Merged != w.Merged || math.Abs(float64(g.Gap-w.Gap)) > gapError*math.Abs(float64(w.Gap)) {
			t.Fatalf("request %d: chunk %d is %+v, want %+v", want.Seq, k, g, w)
		}
	}
	for k, g := range moments(&got) {
		*g = *moments(&want)[k]
	}
	got.Connect, got.LateMean, got.LateMax, got.Queue, got.Prefill, got.Decode = want.Connect, want.LateMean, want.LateMax, want.Queue, want.Prefill, want.Decode
	got.Chunks = want.Chunks
	if !reflect.DeepEqual(got, want) {
		got.Chunks, want.Chunks = nil, nil
		t.Fatalf("request %d: read %+v, put %+v", want.Seq, got, want)
	}
}

func TestARowGivesBackItsRequests(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	odd := request.Record{Run: 4, Seq: math.MaxUint32, Client: math.MaxInt32, Prompt: 3, Turn: math.MaxUint16, Group: math.MinInt32, Streamed: false,
		Scheduled: 5_000, End: 9_000, InputTokens: math.MaxInt32, OutputTokens: math.MinInt32, Asked: math.MaxInt32, AskedInput: math.MinInt32, Class: 200, Status: math.MaxUint16,
		Counting: request.ByUsage, Queue: -17, Connect: math.MaxInt64 / 3, Finish: "\x00é", Message: "a message",
		Chunks: []request.Chunk{{Gap: -5, Tokens: math.MaxUint16}, {Gap: 3 * time.Hour, Merged: true}, {Gap: 0, Tokens: 1}, {Gap: 2047}, {Gap: 2049}}}
	for name, all := range map[string][]request.Record{
		"one request":                    served(rng, 1, 1),
		"as many as there are in a row":  served(rng, 3, rowRequests),
		"nothing but what is zero":       {{Run: 1}},
		"two of which nothing is known":  {{Run: 1, Queue: -1, Prefill: -1, Decode: -1, Client: -1, Group: -1, InputTokens: -1}, {Run: 1, Prompt: 4}},
		"numbers that nobody would have": {odd, {Run: 4, Seq: 0}, odd},
		"texts and token ids, where they are kept": {
			{Run: 1}, {Run: 1, Text: "héllo"}, {Run: 1}, {Run: 1, IDs: []int32{5, -1, math.MaxInt32}}, {Run: 1, Text: "both", IDs: []int32{0}}, {Run: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var c requestCodec
			row, err := c.encode(77, all)
			must(t, err)
			got, err := c.decode(row, &scratch{})
			must(t, err)
			if row.texts != nil {
				must(t, c.decodeTexts(row.texts, got))
			}
			if len(got) != len(all) {
				t.Fatalf("%d requests, want %d", len(got), len(all))
			}
			for i := range all {
				same(t, got[i], all[i])
			}
		})
	}
}

func TestAGapsCodeIsNearItAndInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	last := uint64(0)
	for ns := uint64(0); ns < 1<<62; ns += 1 + ns/uint64(100+rng.IntN(900)) {
		code := gapCode(ns)
		if got := gapOf(code); math.Abs(float64(got)-float64(ns)) > gapError*float64(ns) {
			t.Fatalf("%d ns come back as %d", ns, got)
		}
		if gapCode(gapOf(code)) != code {
			t.Fatalf("what comes back of %d ns has another code", ns)
		}
		if code < last {
			t.Fatalf("the code of %d ns is less than that of a shorter gap", ns)
		}
		last = code
	}
	if c := gapCode(uint64(36 * time.Minute)); c >= gapMax {
		t.Errorf("36 minutes have the code %d, which has more than 15 bits", c)
	}
}

// The budget of the issue: 60 bytes a request, and 2 more a chunk; in the file, with everything that SQLite adds.
func TestARequestTakesNoMoreBytesThanItMay(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	all := served(rng, 1, 10*rowRequests)
	chunks, size := 0, 0
	var c requestCodec
	for i := 0; i < len(all); {
		n := rowLength(all[i:])
		row, err := c.encode(uint32(i), all[i:i+n])
		must(t, err)
		size += len(row.data)
		for _, r := range all[i : i+n] {
			chunks += len(r.Chunks)
		}
		i += n
	}
	bare := make([]request.Record, len(all))
	for i, r := range all {
		bare[i] = r
		bare[i].Chunks = nil
	}
	without := 0
	for i := 0; i < len(bare); {
		n := rowLength(bare[i:])
		row, err := c.encode(uint32(i), bare[i:i+n])
		must(t, err)
		without += len(row.data)
		i += n
	}
	t.Logf("%d requests with %.0f chunks each: %.1f bytes a request and %.2f a chunk", len(all), float64(chunks)/float64(len(all)),
		float64(without)/float64(len(all)), float64(size-without)/float64(chunks))
	if budget := 60*len(all) + 2*chunks; size > budget {
		t.Errorf("%d bytes, budget %d", size, budget)
	}
	if without > 60*len(all) {
		t.Errorf("%.1f bytes a request without its chunks, budget 60", float64(without)/float64(len(all)))
	}
}

func FuzzRequestRowDecode(f *testing.F) {
	var c requestCodec
	for _, n := range []int{1, 40} {
		row, err := c.encode(0, served(rand.New(rand.NewPCG(2, uint64(n))), 1, n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(row.data)
		_, b, err := row.head()
		if err != nil {
			f.Fatal(err)
		}
		if b, err = c.dec.DecodeAll(b, nil); err != nil {
			f.Fatal(err)
		}
		f.Add(append([]byte{'c', byte(n), 128}, b...))
	}
	f.Add([]byte{requestsFormat, 1, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 3 && b[0] == 'c' { // columns as they are before they are compressed
			row := requestRow{run: 1, data: append([]byte{requestsFormat, 1, 0}, byte(1+b[1]%100), b[2]&0x7f)}
			must(t, c.start())
			row.data = c.enc.EncodeAll(b[3:], row.data)
			b = row.data
		}
		all, err := c.decode(requestRow{run: 1, data: b}, &scratch{})
		if err != nil {
			return
		}
		row, err := c.encode(0, all)
		must(t, err)
		again, err := c.decode(row, &scratch{})
		if err != nil || len(again) != len(all) {
			t.Fatalf("what was decoded can't be encoded and decoded again: %v", err)
		}
	})
}

func FuzzTextsDecode(f *testing.F) {
	f.Add(appendTexts(nil, []request.Record{{}, {Text: "a"}, {IDs: []int32{1, 2}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		all := make([]request.Record, 5)
		if takeTexts(b, all) != nil {
			return
		}
		again := make([]request.Record, 5)
		if err := takeTexts(appendTexts(nil, all), again); err != nil || !reflect.DeepEqual(all, again) {
			t.Fatalf("%+v came back as %+v, %v", all, again, err)
		}
	})
}
