package score

import (
	"encoding/json"
	"fmt"
	"math"

	"pitwall/probes/request"
)

// number is a float in JSON: null for NaN, "inf" for +Inf, neither of which JSON has.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	switch f := float64(n); {
	case math.IsNaN(f):
		return []byte("null"), nil
	case math.IsInf(f, 1):
		return []byte(`"inf"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-inf"`), nil
	default:
		return json.Marshal(f)
	}
}

func (n *number) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "null":
		*n = number(math.NaN())
		return nil
	case `"inf"`:
		*n = number(math.Inf(1))
		return nil
	case `"-inf"`:
		*n = number(math.Inf(-1))
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

type estimateJSON struct {
	Value number `json:"value"`
	Low   number `json:"low"`
	High  number `json:"high"`
}

func (e Estimate) wire() estimateJSON {
	return estimateJSON{number(e.Value), number(e.Low), number(e.High)}
}

func (e estimateJSON) estimate() Estimate {
	return Estimate{float64(e.Value), float64(e.Low), float64(e.High)}
}

// nothing is what fields that a document lacks read as: missing is not zero.
func nothing() estimateJSON { return noEstimate().wire() }

// MarshalJSON gives {"value", "low", "high"}: null for what there is none of, "inf" for a bound among the failures.
func (e Estimate) MarshalJSON() ([]byte, error) { return json.Marshal(e.wire()) }

// UnmarshalJSON reads it back.
func (e *Estimate) UnmarshalJSON(b []byte) error {
	w := nothing()
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("estimate: %w", err)
	}
	*e = w.estimate()
	return nil
}

type quantileJSON struct {
	estimateJSON
	Failed bool `json:"failed,omitempty"`
	Late   bool `json:"unfinished,omitempty"`
	Needs  int  `json:"needs,omitempty"`
}

// MarshalJSON gives the estimate's keys, and "failed", "unfinished" and "needs" where they say something.
func (q Quantile) MarshalJSON() ([]byte, error) {
	return json.Marshal(quantileJSON{q.wire(), q.Failed, q.Unfinished, q.Needs})
}

// UnmarshalJSON reads it back.
func (q *Quantile) UnmarshalJSON(b []byte) error {
	w := quantileJSON{estimateJSON: nothing()}
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("quantile: %w", err)
	}
	*q = Quantile{Estimate: w.estimate(), Failed: w.Failed, Unfinished: w.Late, Needs: w.Needs}
	return nil
}

type summaryJSON struct {
	Count     int      `json:"count"`
	Failed    int      `json:"failed"`
	Late      int      `json:"unfinished,omitempty"`
	Mean      Estimate `json:"mean"`
	P50       Quantile `json:"p50"`
	P90       Quantile `json:"p90"`
	P95       Quantile `json:"p95"`
	P99       Quantile `json:"p99"`
	P999      Quantile `json:"p999"`
	Min       number   `json:"min"`
	Max       number   `json:"max"`
	Effective number   `json:"effective"`
}

// MarshalJSON gives the summary with null for what there is none of.
func (s Summary) MarshalJSON() ([]byte, error) {
	return json.Marshal(summaryJSON{s.Count, s.Failed, s.Unfinished, s.Mean, s.P50, s.P90, s.P95, s.P99, s.P999, number(s.Min), number(s.Max), number(s.Effective)})
}

// UnmarshalJSON reads it back.
func (s *Summary) UnmarshalJSON(b []byte) error {
	none, nan := noEstimate(), number(math.NaN())
	q := Quantile{Estimate: none}
	w := summaryJSON{Mean: none, P50: q, P90: q, P95: q, P99: q, P999: q, Min: nan, Max: nan, Effective: nan}
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("summary: %w", err)
	}
	*s = Summary{w.Count, w.Failed, w.Late, w.Mean, w.P50, w.P90, w.P95, w.P99, w.P999, float64(w.Min), float64(w.Max), float64(w.Effective)}
	return nil
}

type goodputJSON struct {
	Asked    bool     `json:"asked"`
	Good     int      `json:"good"`
	GoodSent int      `json:"good_sent"`
	Tried    int      `json:"tried"`
	Share    Estimate `json:"share"`
	Met      bool     `json:"met"`
	Requests number   `json:"requests"`
	Tokens   number   `json:"tokens"`
}

// MarshalJSON gives the goodput with null for what there is none of.
func (g Goodput) MarshalJSON() ([]byte, error) {
	return json.Marshal(goodputJSON{g.Asked, g.Good, g.GoodSent, g.Tried, g.Share, g.Met, number(g.Requests), number(g.Tokens)})
}

// UnmarshalJSON reads it back.
func (g *Goodput) UnmarshalJSON(b []byte) error {
	w := goodputJSON{Share: noEstimate(), Requests: number(math.NaN()), Tokens: number(math.NaN())}
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("goodput: %w", err)
	}
	*g = Goodput{w.Asked, w.Good, w.GoodSent, w.Tried, w.Share, w.Met, float64(w.Requests), float64(w.Tokens)}
	return nil
}

type errorCountJSON struct {
	Class string `json:"class"`
	Count int    `json:"count"`
	First string `json:"first,omitempty"`
}

// MarshalJSON gives the class by its name.
func (e ErrorCount) MarshalJSON() ([]byte, error) {
	return json.Marshal(errorCountJSON{e.Class.String(), e.Count, e.First})
}

// UnmarshalJSON reads it back; a class that this version doesn't know is an error.
func (e *ErrorCount) UnmarshalJSON(b []byte) error {
	var w errorCountJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("error count: %w", err)
	}
	for c := request.OK; c < request.Classes; c++ {
		if c.String() == w.Class {
			*e = ErrorCount{c, w.Count, w.First}
			return nil
		}
	}
	return fmt.Errorf("error count: %q is no class of errors that this version knows", w.Class)
}

// plainScore is a Score without its methods.
type plainScore Score

// scoreJSON has the fields that may be NaN once more; the outer ones are taken.
type scoreJSON struct {
	plainScore
	Merged       number `json:"merged"`
	Guessed      number `json:"guessed"`
	MeanInFlight number `json:"mean_in_flight"`
}

// MarshalJSON gives the score with null for what there is none of.
func (s Score) MarshalJSON() ([]byte, error) {
	return json.Marshal(scoreJSON{plainScore(s), number(s.Merged), number(s.Guessed), number(s.MeanInFlight)})
}

// UnmarshalJSON reads it back.
func (s *Score) UnmarshalJSON(b []byte) error {
	nan := number(math.NaN())
	w := scoreJSON{Merged: nan, Guessed: nan, MeanInFlight: nan}
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("score: %w", err)
	}
	*s = Score(w.plainScore)
	s.Merged, s.Guessed, s.MeanInFlight = float64(w.Merged), float64(w.Guessed), float64(w.MeanInFlight)
	return nil
}
