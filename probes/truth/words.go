package truth

import (
	"encoding/json"
	"strconv"
	"strings"
)

// wording makes an answer's bytes, in the form of vLLM 0.32's.
type wording struct {
	chat, usage, continuous, ids bool
	input                        int
	promptIDs                    json.RawMessage // a prompt that came as ids, else nil

	lead  []byte // of each event, up to "choices"
	event []byte
}

func (w *wording) begin(id, model string, created int64, stream bool) {
	object, prefix := "text_completion", "cmpl-"
	if w.chat {
		object, prefix = "chat.completion", "chatcmpl-"
		if stream {
			object += ".chunk"
		}
	}
	quoted, _ := json.Marshal(prefix + id) // a string always can
	name, _ := json.Marshal(model)
	w.lead = append(w.lead[:0], `{"id":`...)
	w.lead = append(w.lead, quoted...)
	w.lead = append(w.lead, `,"object":"`+object+`","created":`...)
	w.lead = strconv.AppendInt(w.lead, created, 10)
	w.lead = append(w.lead, `,"model":`...)
	w.lead = append(append(w.lead, name...), `,"choices":[`...)
}

func (w *wording) head(b []byte, keep bool) []byte {
	b = append(b, "HTTP/1.1 200 OK\r\nserver: pitwall-truth\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n"...)
	if !keep {
		b = append(b, "connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}

// frame puts an event into a chunk of the transfer coding.
func frame(b, event []byte) []byte {
	b = strconv.AppendInt(b, int64(len(event)), 16)
	b = append(b, "\r\n"...)
	b = append(b, event...)
	return append(b, "\r\n"...)
}

func (w *wording) open() []byte { return append(append(w.event[:0], "data: "...), w.lead...) }

func (w *wording) close(e []byte, tokens int) []byte {
	e = append(e, ']')
	if w.continuous {
		e = w.counts(e, tokens)
	}
	return append(e, "}\n\n"...)
}

func (w *wording) counts(e []byte, tokens int) []byte {
	e = append(e, `,"usage":{"prompt_tokens":`...)
	e = strconv.AppendInt(e, int64(w.input), 10)
	e = append(e, `,"total_tokens":`...)
	e = strconv.AppendInt(e, int64(w.input+tokens), 10)
	e = append(e, `,"completion_tokens":`...)
	e = strconv.AppendInt(e, int64(tokens), 10)
	return append(e, '}')
}

func (w *wording) role(b []byte) []byte {
	e := append(w.open(), `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}`...)
	w.event = w.close(e, 0)
	return frame(b, w.event)
}

// An answer goes round these words. Each is one token, with the space before it, in every tokenizer in use, so that a client
// that counts with one of its own comes to the same number.
var (
	spoken   = strings.Fields("the of and to in that is was for it with as on be at by")
	spokenID = ids(spoken)
)

func ids(words []string) []int64 {
	out := make([]int64, len(words))
	for i, w := range words {
		out[i] = id(w)
	}
	return out
}

// token is the i-th token's id, as tokenize has it.
func token(i int) int64 { return spokenID[i%len(spokenID)] }

// text appends tokens from to from+k.
func text(e []byte, from, k int) []byte {
	for i := range k {
		e = append(append(e, ' '), spoken[(from+i)%len(spoken)]...)
	}
	return e
}

// piece is k tokens after the first so many; finish is the reason if they are the last.
func (w *wording) piece(b []byte, so, k int, finish string) []byte {
	e := w.open()
	if w.chat {
		e = text(append(e, `{"index":0,"delta":{"content":"`...), so, k)
		e = append(e, `"}`...)
	} else {
		e = append(text(append(e, `{"index":0,"text":"`...), so, k), '"')
	}
	e = append(e, `,"logprobs":null,"finish_reason":`...)
	if finish == "" {
		e = append(e, "null"...)
	} else {
		e = append(append(append(e, '"'), finish...), '"')
	}
	if !w.chat || finish != "" {
		e = append(e, `,"stop_reason":null`...)
	}
	if w.ids {
		if !w.chat {
			e = append(e, `,"prompt_token_ids":`...)
			if so == 0 && w.promptIDs != nil {
				e = append(e, w.promptIDs...)
			} else {
				e = append(e, "null"...)
			}
		}
		e = append(e, `,"token_ids":[`...)
		for i := range k {
			if i > 0 {
				e = append(e, ',')
			}
			e = strconv.AppendInt(e, token(so+i), 10)
		}
		e = append(e, ']')
	} else {
		e = append(e, `,"token_ids":null`...)
	}
	w.event = w.close(append(e, '}'), so+k)
	return frame(b, w.event)
}

// end is what comes after the last token: usage if it was asked for, the end mark, the end of the coding.
func (w *wording) end(b []byte, tokens int, marked bool) []byte {
	if w.usage {
		e := append(w.open(), ']')
		w.event = append(w.counts(e, tokens), "}\n\n"...)
		b = frame(b, w.event)
	}
	if marked {
		b = frame(b, []byte("data: [DONE]\n\n"))
	}
	return append(b, "0\r\n\r\n"...)
}

func (w *wording) failure(b []byte) []byte {
	return frame(b, []byte("data: "+`{"error": {"message": "EngineCore encountered an issue. (a fault of the truth server)", "type": "InternalServerError", "param": null, "code": 500}}`+"\n\n"))
}

func (w *wording) garbage(b []byte) []byte { return frame(b, []byte("data: {\"choices\":[{\x00\n\n")) }

// whole is an answer that is no stream.
func (w *wording) whole(b []byte, tokens int, fault Trouble, keep bool) []byte {
	e := append(w.event[:0], w.lead...)
	finish := "length"
	if fault == Short || fault == Empty {
		finish = "stop"
	}
	if w.chat {
		e = append(text(append(e, `{"index":0,"message":{"role":"assistant","content":"`...), 0, tokens), `"}`...)
	} else {
		e = append(text(append(e, `{"index":0,"text":"`...), 0, tokens), '"')
	}
	e = append(e, `,"logprobs":null,"finish_reason":"`+finish+`","stop_reason":null`...)
	if w.ids {
		e = append(e, `,"token_ids":[`...)
		for i := range tokens {
			if i > 0 {
				e = append(e, ',')
			}
			e = strconv.AppendInt(e, token(i), 10)
		}
		e = append(e, ']')
	}
	e = append(w.counts(append(e, "}]"...), tokens), '}')
	switch fault {
	case Garbage:
		e = e[:len(e)/2]
	case Error:
		e = append(e[:0], `{"error": {"message": "EngineCore encountered an issue. (a fault of the truth server)", "type": "InternalServerError", "param": null, "code": 500}}`...)
	}
	w.event = e
	return reply(b, 200, "application/json", e, keep)
}
