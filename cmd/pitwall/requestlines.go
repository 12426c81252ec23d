package main

import (
	"encoding/json"
	"strconv"
	"time"

	"pitwall/probes/request"
)

// requestLine is one request in requests --json: the columns of --csv, numbers as numbers, null for none.
type requestLine struct {
	session string
	names   []string
	cells   []string
	chunks  []chunkLine
	text    string
	ids     []int32
}

// chunkLine is one chunk of requests --json --chunks.
type chunkLine struct {
	Gap    float64 `json:"gap_ms"`
	Tokens uint16  `json:"tokens"`
	Merged bool    `json:"merged,omitempty"`
}

func requestLineOf(q *request.Record, session string, chunks bool) requestLine {
	l := requestLine{session: session, names: requestColumns(), cells: requestCells(q), text: q.Text, ids: q.IDs}
	if chunks {
		l.chunks = make([]chunkLine, len(q.Chunks))
		for i, c := range q.Chunks {
			l.chunks[i] = chunkLine{float64(c.Gap) / float64(time.Millisecond), c.Tokens, c.Merged}
		}
	}
	return l
}

// MarshalJSON writes the columns in their order.
func (l requestLine) MarshalJSON() ([]byte, error) {
	b := []byte(`{"session":` + strconv.Quote(l.session))
	add := func(name string, v any) error {
		text, err := json.Marshal(v)
		b = append(b, `,"`+name+`":`...)
		b = append(b, text...)
		return err
	}
	for i, name := range l.names {
		s := l.cells[i]
		var v any = s
		switch {
		case name == "class", name == "finish_reason", name == "message", name == "counting": // text, whatever it looks like
		case s == "":
			v = nil
		case s == "true", s == "false":
			v = s == "true"
		default:
			v = json.Number(s)
		}
		if err := add(name, v); err != nil {
			return nil, err
		}
	}
	if l.chunks != nil {
		if err := add("chunks", l.chunks); err != nil {
			return nil, err
		}
	}
	if l.text != "" {
		if err := add("text", l.text); err != nil {
			return nil, err
		}
	}
	if len(l.ids) > 0 {
		if err := add("token_ids", l.ids); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}
