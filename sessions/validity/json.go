package validity

import (
	"encoding/json"
	"fmt"
	"math"
)

// plainRow is a Row without its methods.
type plainRow Row

// rowJSON has the numbers that may be missing once more, null for NaN; the outer ones are taken.
type rowJSON struct {
	plainRow
	Ours       *float64 `json:"ours"`
	Own        *float64 `json:"own"`
	Server     *float64 `json:"server"`
	AtFrom     *float64 `json:"at_from"`
	AtTo       *float64 `json:"at_to"`
	Difference *float64 `json:"difference"`
}

func known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func orNaN(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

// MarshalJSON gives the row with null for what there is none of.
func (r Row) MarshalJSON() ([]byte, error) {
	return json.Marshal(rowJSON{plainRow(r), known(r.Ours), known(r.Own), known(r.Server), known(r.AtFrom), known(r.AtTo), known(r.Difference)})
}

// UnmarshalJSON reads it back.
func (r *Row) UnmarshalJSON(b []byte) error {
	var w rowJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return fmt.Errorf("row of a table: %w", err)
	}
	*r = Row(w.plainRow)
	r.Ours, r.Own, r.Server = orNaN(w.Ours), orNaN(w.Own), orNaN(w.Server)
	r.AtFrom, r.AtTo, r.Difference = orNaN(w.AtFrom), orNaN(w.AtTo), orNaN(w.Difference)
	return nil
}
