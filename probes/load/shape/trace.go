package shape

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Entry is one request of a trace.
type Entry struct {
	// Line is its line in the file, from 1.
	Line int
	// After is when it is due, since the start; entries are in this order.
	After time.Duration
	// Input and Output are lengths in tokens; Output is 0 where the trace says none.
	Input, Output int
	// Prefix names the group whose shared part the prompt begins with; empty: none.
	Prefix string
	// Blocks are a Mooncake trace's hashes: prompts whose lists begin alike begin with the same tokens, BlockTokens a hash. Nil in
	// other traces.
	Blocks []uint64
}

// BlockTokens is how many tokens a hash of a Mooncake trace stands for.
const BlockTokens = 512

// ReadTrace reads a trace, in the order of its times. Three forms are told apart by what stands in the file:
//
//   - JSON lines: {"time": seconds, "input": tokens, "output": tokens, "prefix": "group"}; output and prefix may be left out
//   - CSV with a first line that names the columns time, input, output and prefix, in any order; the last two may be missing
//   - JSON lines of Mooncake's open traces: {"timestamp": milliseconds, "input_length", "output_length", "hash_ids"}
//
// Times count from the earliest; that they fall is for Validate to say. Empty lines don't count. The error is a *Problem that names the first wrong line.
func ReadTrace(path string) ([]Entry, error) {
	r := &traceReader{}
	err := lines(path, func(n int, line string) error {
		if strings.TrimSpace(line) == "" {
			return nil
		}
		e, ok, err := r.line(line)
		if err != nil || !ok {
			return err
		}
		e.Line = n
		r.entries = append(r.entries, e)
		return nil
	})
	if err == nil && len(r.entries) == 0 {
		err = &Problem{Where: path, What: "holds no request"}
	}
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(r.entries, func(a, b Entry) int { return int(max(-1, min(1, a.After-b.After))) })
	first := r.entries[0].After
	for i := range r.entries {
		r.entries[i].After -= first
	}
	return r.entries, nil
}

type traceReader struct {
	columns []string // of a CSV file, once its first line was read
	json    bool
	entries []Entry
}

// line reads one; it is no request if it is a header.
func (r *traceReader) line(line string) (e Entry, ok bool, err error) {
	if r.columns == nil && !r.json {
		if r.json = strings.HasPrefix(strings.TrimSpace(line), "{"); !r.json {
			return Entry{}, false, r.header(line)
		}
	}
	if r.json {
		e, err = parseEntry([]byte(line))
	} else {
		e, err = r.row(line)
	}
	if err == nil && e.Input == 0 {
		err = errors.New("no input length: at least 1 token")
	}
	return e, err == nil, err
}

var traceColumns = []string{"time", "input", "output", "prefix"}

func (r *traceReader) header(line string) error {
	cells, err := fields(line)
	if err != nil {
		return err
	}
	for i, c := range cells {
		c = strings.TrimSpace(c)
		cells[i] = c
		switch {
		case !slices.Contains(traceColumns, c):
			return fmt.Errorf("column %.40q%s", c, didYouMean(c, traceColumns))
		case slices.Index(cells, c) < i:
			return fmt.Errorf("column %q is there twice", c)
		}
	}
	for _, c := range traceColumns[:2] {
		if !slices.Contains(cells, c) {
			return fmt.Errorf("no column %q; the first line names the columns %s", c, list(traceColumns))
		}
	}
	r.columns = cells
	return nil
}

func fields(line string) ([]string, error) {
	c := csv.NewReader(strings.NewReader(line))
	cells, err := c.Read()
	if err != nil {
		var pe *csv.ParseError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, err
	}
	return cells, nil
}

func (r *traceReader) row(line string) (Entry, error) {
	cells, err := fields(line)
	if err != nil {
		return Entry{}, err
	}
	if len(cells) != len(r.columns) {
		return Entry{}, fmt.Errorf("%d columns, and the first line names %d", len(cells), len(r.columns))
	}
	var e Entry
	for i, column := range r.columns {
		cell := strings.TrimSpace(cells[i])
		if column == "prefix" {
			e.Prefix = cell
			continue
		}
		if cell == "" && column == "output" {
			continue
		}
		v, err := number(cell)
		if err != nil {
			return Entry{}, fmt.Errorf("%s: %w", column, err)
		}
		switch column {
		case "time":
			e.After, err = offset(v, time.Second)
		case "input":
			e.Input, err = count(v)
		default:
			e.Output, err = count(v)
		}
		if err != nil {
			return Entry{}, fmt.Errorf("%s: %w", column, err)
		}
	}
	return e, nil
}

func parseEntry(line []byte) (Entry, error) {
	var o struct {
		Time      *float64 `json:"time"`
		Input     *float64 `json:"input"`
		Output    *float64 `json:"output"`
		Prefix    string   `json:"prefix"`
		Timestamp *float64 `json:"timestamp"`
		InputLen  *float64 `json:"input_length"`
		OutputLen *float64 `json:"output_length"`
		Hashes    []uint64 `json:"hash_ids"`
	}
	if err := decodeJSON(line, &o, append(traceColumns[:4:4], "timestamp", "input_length", "output_length", "hash_ids")); err != nil {
		return Entry{}, err
	}
	own, mooncake := o.Time != nil || o.Input != nil || o.Output != nil || o.Prefix != "", o.Timestamp != nil || o.InputLen != nil || o.OutputLen != nil || o.Hashes != nil
	at, in, out, unit, names := o.Time, o.Input, o.Output, time.Second, [2]string{"time", "input"}
	switch {
	case own && mooncake:
		return Entry{}, errors.New("time, input, output and timestamp, input_length, output_length are two forms: one of them")
	case mooncake:
		at, in, out, unit, names = o.Timestamp, o.InputLen, o.OutputLen, time.Millisecond, [2]string{"timestamp", "input_length"}
	}
	if at == nil || in == nil {
		return Entry{}, fmt.Errorf("%q and %q are wanted", names[0], names[1])
	}
	e := Entry{Prefix: o.Prefix, Blocks: o.Hashes}
	var err error
	if e.After, err = offset(*at, unit); err != nil {
		return Entry{}, err
	}
	if e.Input, err = count(*in); err != nil {
		return Entry{}, err
	}
	if out != nil {
		if e.Output, err = count(*out); err != nil {
			return Entry{}, err
		}
	}
	if n := len(e.Blocks); n > 0 && e.Input > n*BlockTokens {
		return Entry{}, fmt.Errorf("%d hash_ids are for at most %d tokens, and the input has %d", n, n*BlockTokens, e.Input)
	}
	return e, nil
}

// offset is a time out of a trace: since when doesn't matter, so that seconds since 1970 will do.
func offset(v float64, unit time.Duration) (time.Duration, error) {
	ns := v * float64(unit)
	if math.IsNaN(ns) || math.Abs(ns) > math.MaxInt64/4 {
		return 0, fmt.Errorf("%v is no time", v)
	}
	return time.Duration(math.Round(ns)), nil
}
