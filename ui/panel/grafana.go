package panel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// The parts of a Grafana board that panels are made of; everything else of it is left alone. Boards have grown for ten
// years, so whatever changed its type on the way is read by flexible.
type board struct {
	Title      string                     `json:"title"`
	Panels     []boardPanel               `json:"panels"`
	Rows       []boardRow                 `json:"rows"` // before schema version 16
	Templating struct{ List []boardVar }  `json:"templating"`
	Elements   map[string]json.RawMessage `json:"elements"` // the new schema
	Dashboard  *board                     `json:"dashboard"`
	Spec       json.RawMessage            `json:"spec"`
}

type boardRow struct {
	Title  flexible     `json:"title"`
	Panels []boardPanel `json:"panels"`
}

type boardPanel struct {
	Type            string          `json:"type"`
	Title           flexible        `json:"title"`
	Description     flexible        `json:"description"`
	Datasource      json.RawMessage `json:"datasource"`
	Targets         []boardTarget   `json:"targets"`
	Panels          []boardPanel    `json:"panels"`
	Repeat          flexible        `json:"repeat"`
	TimeFrom        flexible        `json:"timeFrom"`
	TimeShift       flexible        `json:"timeShift"`
	Transformations []struct {
		ID string `json:"id"`
	} `json:"transformations"`
	FieldConfig struct {
		Defaults  boardField        `json:"defaults"`
		Overrides []json.RawMessage `json:"overrides"`
	} `json:"fieldConfig"`
	Options struct {
		Calculate     bool `json:"calculate"`
		ReduceOptions struct {
			Calcs []string `json:"calcs"`
		} `json:"reduceOptions"`
		FieldOptions struct {
			Calcs    []string   `json:"calcs"`
			Defaults boardField `json:"defaults"`
		} `json:"fieldOptions"`
		YAxis struct {
			Unit flexible `json:"unit"`
		} `json:"yAxis"`
	} `json:"options"`
	// The old graph and singlestat.
	Stack  bool     `json:"stack"`
	Fill   flexible `json:"fill"`
	Format flexible `json:"format"`
	YAxes  []struct {
		Format flexible `json:"format"`
		Min    flexible `json:"min"`
		Max    flexible `json:"max"`
	} `json:"yaxes"`
	YAxis struct {
		Format flexible `json:"format"`
	} `json:"yAxis"`
	Thresholds json.RawMessage `json:"thresholds"`
}

type boardField struct {
	Unit       flexible `json:"unit"`
	Min        *float64 `json:"min"`
	Max        *float64 `json:"max"`
	Thresholds struct {
		Mode  string `json:"mode"`
		Steps []struct {
			Value *float64 `json:"value"`
			Color string   `json:"color"`
		} `json:"steps"`
	} `json:"thresholds"`
	Custom struct {
		DrawStyle   string  `json:"drawStyle"`
		FillOpacity float64 `json:"fillOpacity"`
		Stacking    struct {
			Mode string `json:"mode"`
		} `json:"stacking"`
		ThresholdsStyle struct {
			Mode string `json:"mode"`
		} `json:"thresholdsStyle"`
	} `json:"custom"`
}

type boardTarget struct {
	RefID        string          `json:"refId"`
	Expr         string          `json:"expr"`
	LegendFormat flexible        `json:"legendFormat"`
	Hide         bool            `json:"hide"`
	Datasource   json.RawMessage `json:"datasource"`
	Type         string          `json:"type"`
	Expression   string          `json:"expression"`
}

type boardVar struct {
	Name    string          `json:"name"`
	Type    string          `json:"type"`
	Query   json.RawMessage `json:"query"`
	Current struct {
		Value json.RawMessage `json:"value"`
	} `json:"current"`
}

// flexible is a text that some boards write as a number, null or something else.
type flexible string

// UnmarshalJSON implements json.Unmarshaler.
func (f *flexible) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*f = flexible(s)
		return nil
	}
	if b = bytes.TrimSpace(b); len(b) > 0 && (b[0] == '-' || b[0] >= '0' && b[0] <= '9') {
		*f = flexible(b)
	}
	return nil
}

// readBoard finds the board in what Grafana exports: the board itself, or wrapped by its API.
func readBoard(data []byte) (*board, error) {
	if len(data) > maxBoard {
		return nil, fmt.Errorf("larger than %d MiB: no board", maxBoard>>20)
	}
	var b board
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, jsonError(data, err)
	}
	if b.Dashboard != nil {
		b = *b.Dashboard
	}
	if len(b.Spec) > 0 && len(b.Panels) == 0 {
		var in board
		if err := json.Unmarshal(b.Spec, &in); err != nil {
			return nil, jsonError(data, err)
		}
		b = in
	}
	if len(b.Elements) > 0 {
		return nil, errors.New("this is a board of Grafana's new schema (elements): export it as classic JSON")
	}
	if len(b.Panels) == 0 && len(b.Rows) == 0 {
		return nil, errors.New("no panels in it: this is no Grafana board")
	}
	return &b, nil
}

// maxBoard is the largest board that is read, in bytes.
const maxBoard = 32 << 20

func jsonError(data []byte, err error) error {
	var se *json.SyntaxError
	var te *json.UnmarshalTypeError
	at := int64(-1)
	switch {
	case errors.As(err, &se):
		at = se.Offset
	case errors.As(err, &te):
		at = te.Offset
		err = fmt.Errorf("%s: not %s", te.Field, te.Value)
	}
	if at < 0 || at > int64(len(data)) {
		return fmt.Errorf("no JSON: %w", err)
	}
	return fmt.Errorf("line %d: no board: %w", bytes.Count(data[:at], []byte("\n"))+1, err)
}

// source tells the kind of a datasource: "prometheus", another kind, or "" for one that isn't said.
func (b *board) source(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return b.named(s)
	}
	var o struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	}
	if json.Unmarshal(raw, &o) != nil {
		return ""
	}
	switch {
	case o.Type == "datasource" || strings.HasPrefix(o.UID, "-- "):
		return b.named(o.UID)
	case o.Type != "":
		return o.Type
	}
	return b.named(o.UID)
}

func (b *board) named(s string) string {
	switch s {
	case "-- Dashboard --", "-- Grafana --", "-- Mixed --", "__expr__":
		return s
	}
	for _, v := range b.Templating.List {
		if v.Type == "datasource" && strings.Trim(s, "${}") == v.Name {
			var q string
			_ = json.Unmarshal(v.Query, &q) // no text: then the kind isn't said
			return q
		}
	}
	return ""
}
