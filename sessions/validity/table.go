package validity

import "time"

// Table is a run beside what the server counted in the same stretch of time. It is stored as sessions.Run.Reconciled.
type Table struct {
	// From and To are the readings of the engine's page between which everything is counted; zero if there is none, and Why
	// says why.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// RestFrom and RestTo are whether nothing of ours was in flight at From and at To.
	RestFrom bool   `json:"rest_from"`
	RestTo   bool   `json:"rest_to"`
	Why      string `json:"why,omitempty"`
	Rows     []Row  `json:"rows,omitempty"`
}

// Row is one number: ours, the server's, the difference, and why.
type Row struct {
	// Key is a fixed word: "requests", "prompt_tokens", "cached_tokens", "output_tokens", "errors", "ttft_mean", "tpot_mean".
	Key string `json:"key"`
	// Name is what stands on a screen, Unit one of "requests", "tokens", "s".
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Ours is of our requests, of whatever run, that began after From and ended before To; of means, the mean over those
	// whose value fell between.
	Ours float64 `json:"ours"`
	// Crossing is of those in flight at From or To: the server counted each on one side or the other, or on both in part.
	Crossing float64 `json:"crossing"`
	// Unsure is of those that failed or were given up: the server may have counted all of it, or nothing.
	Unsure float64 `json:"unsure"`
	// Own is all of the run's own requests, wherever they began and ended: what Sum adds up.
	Own       float64 `json:"own"`
	OwnUnsure float64 `json:"own_unsure"`
	// Server is what the server counted between From and To, AtFrom and AtTo its counters; NaN where it doesn't tell.
	Server float64 `json:"server"`
	AtFrom float64 `json:"at_from"`
	AtTo   float64 `json:"at_to"`
	// Difference is Server − Ours.
	Difference float64 `json:"difference"`
	// Verdict is what the difference means, Why that in words.
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why"`
}

// Verdict is what a row's difference means.
type Verdict string

const (
	// Exact: there is none.
	Exact Verdict = "exact"
	// Explained: what crosses the edges, failed or was given up explains it; of means, what the two measure.
	Explained Verdict = "explained"
	// More: the server counted more than ours can explain: others use it too.
	More Verdict = "more"
	// Less: the server counted less than ours.
	Less Verdict = "less"
	// Untold: it can't be said, Why says why.
	Untold Verdict = "untold"
)
