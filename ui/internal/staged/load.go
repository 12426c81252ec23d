package staged

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/promql"

	"pitwall/probes"
	"pitwall/probes/load"
	"pitwall/probes/load/shape"
	"pitwall/probes/request"
	"pitwall/sessions"
	"pitwall/sessions/score"
	"pitwall/sessions/steer"
	"pitwall/sessions/validity"
)

// Point is a closed loop of so many clients, in the shape of the staged runs.
func Point(clients int) shape.Point {
	return shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: clients}, Prompt: shape.Prompt{Length: shape.Tokens(512)},
		Output: shape.Output{Length: shape.Tokens(128)}, Cache: shape.Cold, SLO: shape.SLO{TTFT: 500 * time.Millisecond, TPOT: 50 * time.Millisecond}}
}

// Score is a made-up score of a closed loop of so many clients over so long: TTFT and TPOT around the given seconds, so many
// requests of which some failed. With failures p99 reads failed, with few requests the upper percentiles say how many they need.
func Score(from time.Time, long time.Duration, clients, ok, failed int, ttft, tpot float64) score.Score {
	at := func(t time.Time) request.Time { return request.Time(t.UnixNano()) }
	w := score.Window{From: at(from), To: at(from.Add(long))}
	sum := func(middle, spread float64) score.Summary {
		width := spread / math.Sqrt(float64(ok))
		e := func(v, down, up float64) score.Estimate {
			return score.Estimate{Value: v, Low: v * (1 - down*width), High: v * (1 + up*width)}
		}
		q := func(v, down, up float64, least int) score.Quantile {
			x := score.Quantile{Estimate: e(v, down, up), Needs: max(0, least-ok)}
			if x.Needs > 0 {
				x.Low, x.High = math.NaN(), math.NaN()
			}
			return x
		}
		out := score.Summary{Count: ok, Failed: failed, Mean: e(middle*1.03, 2, 2), P50: q(middle, 2.4, 2.5, 6), P90: q(middle*(1+1.3*spread), 3, 4, 36), P95: q(middle*(1+1.7*spread), 3, 6, 72),
			P99: q(middle*(1+2.4*spread), 5, 16, 368), P999: q(middle*(1+3.2*spread), 9, 20, 3688), Min: middle * (1 - spread), Max: middle * (1 + 3.4*spread), Effective: float64(ok)}
		if failed > 0 {
			for _, x := range []*score.Quantile{&out.P99, &out.P999} {
				*x = score.Quantile{Estimate: score.Estimate{Value: math.NaN(), Low: x.Low, High: math.Inf(1)}, Failed: true}
			}
			out.P95.High = math.Inf(1)
		}
		return out
	}
	none := score.Summary{Mean: score.Estimate{Value: math.NaN(), Low: math.NaN(), High: math.NaN()}}
	rate := func(v float64) score.Rate {
		return score.Rate{Estimate: score.Estimate{Value: v, Low: v * 0.97, High: v * 1.03}}
	}
	each := float64(ok) / long.Seconds()
	out := score.Score{Whole: w, Steady: w, SteadyWhy: "all clients in flight; no trend in latency or requests in flight", Sent: ok + failed + clients, OK: ok, Failed: failed, Crossing: clients,
		InputTokens: int64(512 * ok), OutputTokens: int64(128 * ok), TTFT: sum(ttft, 0.3), TTFTSched: sum(ttft+0.0002, 0.3), TPOT: sum(tpot, 0.08), ITL: sum(tpot, 0.1), Gap: sum(tpot, 0.1),
		E2E: sum(ttft+127*tpot, 0.1), E2ESched: sum(ttft+127*tpot, 0.1), Normalized: sum((ttft+127*tpot)/128, 0.1), Lag: sum(0.0002, 0.4), Queue: none, Prefill: none, Rest: none,
		Requests: rate(each), Output: rate(128 * each), Total: rate(640 * each), MeanInFlight: float64(clients)}
	share := math.Min(1, 0.5/(ttft*1.6)) * float64(ok) / float64(ok+failed)
	good := int(share * float64(ok+failed))
	out.Goodput = score.Goodput{Asked: true, Good: good, GoodSent: good, Tried: ok + failed, Share: score.Estimate{Value: share, Low: share - 0.02, High: math.Min(1, share+0.02)}, Met: share >= 0.99,
		Requests: share * each, Tokens: 128 * share * each}
	if failed > 0 {
		out.Errors = []score.ErrorCount{{Class: request.InStream, Count: failed, First: "{\"error\":\"the engine\x1b[31m core died\"}"}}
	}
	return out
}

// LoadRuns puts runs of load into a session: three that went well at different loads, one with failures and flags, one too short
// for its percentiles, one that sent nothing, one that broke, and one that goes on.
func LoadRuns(s *Session) {
	begin := s.Now.Add(-14 * time.Minute)
	target := map[string]string{"url": "http://127.0.0.1:8000", "engine": "vllm", "version": "0.32.0", "model": "meta-llama/Llama-3.1-8B-Instruct"}
	add := func(after time.Duration, clients int, long time.Duration, ok, failed int, ttft, tpot float64, change func(*sessions.Run)) {
		r := sessions.Run{ID: uint32(len(s.RunsNow) + 1), Point: Point(clients), Target: target, State: sessions.Done}
		r.Began = begin.Add(after)
		r.Settled = r.Began.Add(time.Second)
		r.Cut = r.Settled.Add(long)
		r.Ended = r.Cut.Add(3 * time.Second)
		got := Score(r.Settled, long, clients, ok, failed, ttft, tpot)
		r.Score = &got
		r.Reconciled = Reconciled(got, r.Settled, r.Cut)
		if change != nil {
			change(&r)
		}
		s.RunsNow = append(s.RunsNow, r)
		label := r.Point.Filled().String()
		mark := func(at time.Time, kind, title string) {
			s.EventsAll = append(s.EventsAll, probes.Event{Time: at, Kind: kind, Subject: "run/" + strconv.Itoa(int(r.ID)), Severity: probes.Note, Title: title,
				Attrs: map[string]string{"run": strconv.Itoa(int(r.ID)), "label": label}})
		}
		mark(r.Began, "run.began", "run "+strconv.Itoa(int(r.ID))+" began: "+label)
		if !r.Cut.IsZero() && !r.Cut.After(s.Now) {
			mark(r.Cut, "run.cut", "run "+strconv.Itoa(int(r.ID))+" cut")
		}
	}
	flags := func(f ...score.Flag) func(*sessions.Run) {
		return func(r *sessions.Run) { r.Score.Flags = f }
	}
	add(0, 4, 2*time.Minute, 259, 0, 0.11, 0.0135, nil)
	add(2*time.Minute+time.Second, 16, 2*time.Minute, 793, 0, 0.19, 0.0172, nil)
	add(4*time.Minute+2*time.Second, 64, 2*time.Minute, 1697, 40, 0.46, 0.031, flags(
		score.Flag{Kind: "client-bound", Invalid: true, Title: "this client, not the server, decided the numbers", Evidence: "send lag p99 38 ms of a TTFT p50 of 460 ms; 1.0 of 2 cores",
			Do: "run pitwall on another host, or with fewer streams"},
		score.Flag{Kind: "foreign-traffic", Title: "others used the server", Evidence: "the server finished 1,204 requests, 1,180 of them ours", Do: "ask who else is there, or repeat when it is quiet"}))
	add(6*time.Minute+30*time.Second, 2, 6*time.Second, 5, 0, 0.09, 0.0131, func(r *sessions.Run) {
		r.Label = "quick look"
		r.Score.Flags = []score.Flag{{Kind: "too-few", Title: "too few requests for p99", Evidence: "5 requests, p50 needs 1 more", Do: "let it run longer"}}
	})
	add(7*time.Minute, 1, 2*time.Second, 0, 0, 1, 0.01, func(r *sessions.Run) {
		r.Score, r.Reconciled = &score.Score{Whole: r.Score.Whole, SteadyWhy: "no request"}, nil
	})
	add(8*time.Minute, 16, 30*time.Second, 190, 0, 0.2, 0.017, func(r *sessions.Run) {
		r.State, r.Why, r.Score, r.Reconciled = sessions.Broken, "the engine died: nothing listens on port 8000", nil, nil
	})
	add(11*time.Minute, 32, 4*time.Minute, 1900, 0, 0.27, 0.021, func(r *sessions.Run) {
		r.State, r.Cut, r.Ended, r.Score, r.Reconciled = sessions.Measuring, time.Time{}, time.Time{}, nil, nil
	})
}

// Reconciled is a table of a run whose server counted what was sent, and three requests more.
func Reconciled(s score.Score, from, to time.Time) json.RawMessage {
	row := func(key, name, unit string, ours, more float64) validity.Row {
		r := validity.Row{Key: key, Name: name, Unit: unit, Ours: ours, Own: ours, Server: ours + more, AtFrom: 1000, AtTo: 1000 + ours + more, Difference: more, Verdict: validity.Exact}
		if more != 0 {
			r.Verdict, r.Why = validity.More, "others use it too"
		}
		return r
	}
	t := validity.Table{From: from, To: to, RestFrom: true, Rows: []validity.Row{
		row("requests", "requests", "requests", float64(s.OK), 3), row("prompt_tokens", "prompt tokens", "tokens", float64(s.InputTokens), 1536),
		row("output_tokens", "output tokens", "tokens", float64(s.OutputTokens), 0), row("ttft_mean", "mean TTFT", "s", s.TTFT.Mean.Value, -0.004),
	}}
	t.Rows[3].Verdict, t.Rows[3].Why = validity.Explained, "the server's begins at its API server, ours when the first byte was sent"
	b, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	return b
}

// ClientSeries lets a session answer what our own load measured on its engine: what clients measured, the job "client" among its
// sources.
func ClientSeries(s *Session) {
	const in = "127.0.0.1:8000"
	s.TargetsNow = append(s.TargetsNow, sessions.Target{Job: "client", Instance: in, Every: time.Second, Up: true, LastOK: s.Now, Samples: 40})
	for key, v := range map[string]float64{"time_to_first_token_seconds": 0.27, "inter_token_latency": 0.021, "e2e_latency": 2.9, "time_per_output_token": 0.021} {
		both := func(f float64) promql.Vector {
			out := promql.Vector{}
			for of, k := range map[string]float64{"0.5": 1, "0.95": 1.3, "0.99": 1.6, "mean": 1.05} {
				out = append(out, V(f*k, "instance", in, "of", of))
			}
			return out
		}
		// One number where a panel asks for one, all of them where the latency panel asks for them together.
		s.Answers = append([]Answer{{`label_replace(histogram_quantile(0.5, sum by (instance) (rate(pitwall_client_` + key, func(float64) promql.Vector { return both(v) }}}, s.Answers...)
		s.Answers = append(s.Answers, Answer{"pitwall_client_" + key, One(func(t float64) float64 { return v * (1 + 0.2*wave(t, 90, 0)) })})
	}
	s.Answers = append(s.Answers, Answer{"pitwall_client_requests_total[", func(t float64) promql.Vector {
		return promql.Vector{V(10.4, "class", "ok"), V(0.2, "class", "in_stream")}
	}},
		Answer{"pitwall_client_good_total", One(func(t float64) float64 { return 0.97 })}, Answer{"pitwall_client_in_flight", One(func(t float64) float64 { return 32 })},
		Answer{"pitwall_client_clients", One(func(t float64) float64 { return 32 })}, Answer{"pitwall_client_chunk_gap", One(func(t float64) float64 { return 0.021 })},
		Answer{"pitwall_client_send_lag", One(func(t float64) float64 { return 0.0003 })})
}

// Desk is a desk of load for tests of the screen: it notes what it is asked for, and says what it is told.
type Desk struct {
	Now     steer.Status
	Warning steer.Warning
	// Err is what Look and Start fail with.
	Err error
	// Started are the points that were started, in order; Stops and Cancels count.
	Started        []shape.Point
	On             string
	Stops, Cancels int
}

// Look implements the screen's desk.
func (d *Desk) Look(context.Context, string, shape.Point) (steer.Warning, error) {
	return d.Warning, d.Err
}

// Start implements the screen's desk: the point is in force at once.
func (d *Desk) Start(_ context.Context, instance string, p shape.Point) error {
	if d.Err != nil {
		return d.Err
	}
	if instance == "" {
		return errors.New("no engine was named")
	}
	d.Started, d.On = append(d.Started, p), instance
	d.Now.Phase, d.Now.Point, d.Now.Instance = steer.Running, p, instance
	d.Now.Run = sessions.Run{ID: uint32(len(d.Started)), Point: p, State: sessions.Measuring, Began: d.Now.Run.Began}
	return nil
}

// Stop implements the screen's desk.
func (d *Desk) Stop() { d.Stops++; d.Now.Phase = steer.Draining }

// Cancel implements the screen's desk.
func (d *Desk) Cancel() { d.Cancels++; d.Now.Phase = steer.Idle }

// Status implements the screen's desk.
func (d *Desk) Status() steer.Status { return d.Now }

// RunningDesk is a desk in the middle of a run of the staged session.
func RunningDesk(s *Session) *Desk {
	d := &Desk{}
	run := s.RunsNow[len(s.RunsNow)-1]
	got := Score(run.Began, s.Now.Sub(run.Began), 32, 1931, 0, 0.27, 0.021)
	d.Now = steer.Status{Phase: steer.Running, Instance: "127.0.0.1:8000", Point: run.Point, Run: run, Clients: 32, InFlight: 32, LagP50: 90 * time.Microsecond, LagP99: 400 * time.Microsecond,
		LagMax: time.Millisecond, CPU: 0.12, Certified: true}
	d.Now.Tally = load.Tally{Run: run.ID, Begun: got.Sent, InFlight: 32}
	d.Now.Tally.Class[request.OK] = got.OK
	d.Now.Live = steer.Live{Requests: 512, Over: 50 * time.Second, TTFT: got.TTFT, TTFTSched: got.TTFTSched, TPOT: got.TPOT, E2E: got.E2E, Goodput: got.Goodput,
		RequestRate: got.Requests.Value, OutputRate: got.Output.Value, RateOver: 10 * time.Second}
	return d
}

// FailingDesk is the same with failures of two classes.
func FailingDesk(s *Session) *Desk {
	d := RunningDesk(s)
	d.Now.Tally.Class[request.InStream], d.Now.Tally.First[request.InStream] = 23, `error in a 200: "the engine core died"`
	d.Now.Tally.Class[request.Refused], d.Now.Tally.First[request.Refused] = 4, "connection refused"
	d.Now.Live.TTFT.P95.Failed = true
	return d
}
