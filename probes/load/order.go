package load

import (
	"strconv"

	"pitwall/probes/load/prompt"
	"pitwall/probes/load/wire"
	"pitwall/probes/load/wire/tokens"
	"pitwall/probes/request"
	"pitwall/probes/stream"
)

// order is one request from being made until its record is handed over. It belongs to one goroutine at a time: who makes it,
// who sends it, who decodes it.
type order struct {
	of     *phase
	prompt prompt.Prompt
	req    wire.Request
	rec    request.Record

	// What the answer leaves, in the order of arrival.
	count tokens.Counter
	last  request.Time // of the last chunk
	tail  [tailEvents][]byte
	seen  int      // events with data
	fault []byte   // the first error event
	empty [][]byte // the first events without tokens: they may be anything
	all   []byte   // every event, where text is kept, a newline behind each
	keep  bool

	x   wire.Exchange
	err error
	// first is whether it is the first of its closed loop's client in this point: that one's lag is of the burst of the start.
	first     bool
	concluded bool
	said      bool // an answer in one piece has text
}

// tailEvents is how many of an answer's last events are kept until it is decoded: the last tokens, the reason to finish and the
// usage come in up to three of them, and a server may add one.
const tailEvents = 4

// newOrder makes the n-th request.
func (ph *phase) newOrder(p prompt.Prompt) (*order, error) {
	o := &order{of: ph, prompt: p, keep: ph.keep}
	o.req = wire.Request{
		Body: ph.form.body(&p), Fresh: ph.point.Fresh, Stream: !ph.point.Unstreamed,
		FirstByteWithin: ph.point.FirstByteWithin, StallWithin: ph.point.StallWithin,
	}
	id := strconv.FormatUint(uint64(p.Number), 10)
	if p.Turn > 0 {
		id += "." + strconv.Itoa(int(p.Turn))
	}
	var err error
	if o.req.Head, err = ph.form.head(id, len(o.req.Body)); err != nil {
		return nil, err
	}
	o.rec = request.Record{
		Run: ph.run, Client: request.Unknown, Prompt: p.Number, Turn: p.Turn, Group: p.Group, Streamed: !ph.point.Unstreamed,
		InputTokens: request.Unknown, CachedTokens: request.Unknown, OutputTokens: request.Unknown,
		Queue: request.Unknown, Prefill: request.Unknown, Decode: request.Unknown,
	}
	if ph.form.eos {
		o.rec.Asked = int32(p.Output)
	}
	if p.Tokens > 0 {
		o.rec.AskedInput = int32(p.Tokens)
	}
	if o.rec.Streamed {
		o.rec.Chunks = make([]request.Chunk, 0, min(p.Output, maxChunksAhead))
	}
	// What is sent has no need of the prompt any more; a conversation goes on from it.
	if !ph.turns {
		o.prompt = prompt.Prompt{}
	}
	return o, nil
}

// maxChunksAhead bounds the chunks that there is room for before any came: 16 KB a request.
const maxChunksAhead = 1024

func (o *order) size() int { return len(o.req.Head) + len(o.req.Body) + 16*cap(o.rec.Chunks) }

// piece takes one event of the answer. This is the timing path: it counts, copies, and decodes nothing.
func (o *order) piece(p wire.Piece) {
	switch p.Kind {
	case stream.Done:
		return
	case stream.Error:
		if o.fault == nil {
			o.fault = append([]byte{}, p.Data...)
		}
		return
	}
	o.of.c.heard.Store(int64(p.At))
	if o.seen == 0 && !o.of.closed {
		o.of.c.own.lagged(p.Sent, p.Sent.Sub(o.rec.Scheduled), 0)
	}
	t := &o.tail[o.seen%tailEvents]
	*t = append((*t)[:0], p.Data...)
	o.seen++
	if o.keep {
		o.all = append(append(o.all, p.Data...), '\n')
	}
	n := o.count.Chunk(p.Data)
	if n == 0 {
		if len(o.empty) < tailEvents {
			o.empty = append(o.empty, append([]byte{}, p.Data...))
		}
		return
	}
	live := o.of.c.live
	c := request.Chunk{Tokens: uint16(min(n, 1<<16-1)), Merged: p.Merged}
	if len(o.rec.Chunks) == 0 {
		o.rec.FirstToken = p.At
		c.Gap = p.At.Sub(p.Sent)
		live.first(c.Gap, p.At.Sub(o.rec.Scheduled))
	} else {
		c.Gap = p.At.Sub(o.last)
		live.gap(c.Gap, n)
	}
	live.output(n)
	o.last, o.rec.LastToken = p.At, p.At
	o.rec.Chunks = append(o.rec.Chunks, c)
}
