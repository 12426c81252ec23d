package sim

import (
	"net/http"
	"strconv"
)

// The bodies below are written field by field, because the order of the keys and which of them are null or absent is part of
// the protocol that clients meet; the captures of a real 0.32.0 in testdata are what the tests hold them against.

func (g *generation) chunkHead(b []byte) []byte {
	object := "text_completion"
	if g.chat {
		object = "chat.completion.chunk"
	}
	return g.head(append(b, "data: "...), object)
}

func (g *generation) head(b []byte, object string) []byte {
	b = append(b, `{"id":`...)
	b = appendJSON(b, g.id)
	b = append(b, `,"object":"`...)
	b = append(b, object...)
	b = append(b, `","created":`...)
	b = strconv.AppendInt(b, g.created, 10)
	b = append(b, `,"model":`...)
	b = appendJSON(b, g.s.options.Model)
	return append(b, `,"choices":[`...)
}

// roleChunk is a chat stream's first: it has no token.
func (g *generation) roleChunk(b []byte) []byte {
	b = g.chunkHead(b)
	b = append(b, `{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]`...)
	if g.wants.everyUsage() {
		b = g.usage(b, 0, true)
	}
	b = append(b, `,"prompt_token_ids":`...)
	b = g.ids(b, g.prompt)
	return append(b, `,"prompt_text":null}`+"\n\n"...)
}

// chunk carries the tokens from sent to produced.
func (g *generation) chunk(b []byte, text *unfolding, sent, produced int, done bool) []byte {
	tokens := g.answer.tokens[sent:produced]
	b = g.chunkHead(b)
	if g.chat {
		b = append(b, `{"index":0,"delta":{"content":`...)
		b = appendJSON(b, text.add(tokens, done))
		b = append(b, `},"logprobs":null,"finish_reason":`...)
	} else {
		b = append(b, `{"index":0,"text":`...)
		b = appendJSON(b, text.add(tokens, done))
		b = append(b, `,"logprobs":null,"finish_reason":`...)
	}
	b = g.finish(b, done)
	if !g.chat {
		b = append(b, `,"prompt_token_ids":`...)
		if sent == 0 {
			b = g.ids(b, g.prompt)
		} else {
			b = append(b, "null"...)
		}
	}
	b = append(b, `,"token_ids":`...)
	b = g.ids(b, tokens)
	b = append(b, `}]`...)
	if g.wants.everyUsage() {
		b = g.usage(b, produced, g.chat)
	}
	if done && !g.wants.includeUsage() {
		b = g.fingerprint(b)
	}
	return append(b, "}\n\n"...)
}

// finish writes the reason, and the stop reason where the shape has one: in every completion, and at a chat's end.
func (g *generation) finish(b []byte, done bool) []byte {
	if !done {
		b = append(b, "null"...)
		if !g.chat {
			b = append(b, `,"stop_reason":null`...)
		}
		return b
	}
	b = append(b, '"')
	b = append(b, g.answer.reason.String()...)
	b = append(b, `","stop_reason":`...)
	return appendJSON(b, g.answer.stopReason)
}

// ids writes token ids, or null where the client did not ask for them.
func (g *generation) ids(b []byte, ids []int) []byte {
	if !g.wants.ReturnTokenIDs {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return append(b, ']')
}

func (g *generation) usage(b []byte, produced int, details bool) []byte {
	b = append(b, `,"usage":{"prompt_tokens":`...)
	b = strconv.AppendInt(b, int64(len(g.prompt)), 10)
	b = append(b, `,"total_tokens":`...)
	b = strconv.AppendInt(b, int64(len(g.prompt)+produced), 10)
	b = append(b, `,"completion_tokens":`...)
	b = strconv.AppendInt(b, int64(produced), 10)
	if details {
		b = append(b, `,"completion_tokens_details":null`...)
	}
	return append(b, '}')
}

func (g *generation) fingerprint(b []byte) []byte {
	b = append(b, `,"system_fingerprint":`...)
	return appendJSON(b, g.s.fingerprint)
}

// usageChunk is the last before [DONE] where include_usage was asked for.
func (g *generation) usageChunk(b []byte) []byte {
	b = g.chunkHead(b)
	b = append(b, ']')
	b = g.usage(b, len(g.answer.tokens), false)
	b = g.fingerprint(b)
	return append(b, "}\n\n"...)
}

// whole writes the answer to a request that did not ask for a stream.
func (g *generation) whole(w http.ResponseWriter) {
	var b []byte
	text := &unfolding{t: g.s.tokens, whole: g.answer.text}
	said := text.add(g.answer.tokens, true)
	if g.chat {
		b = g.head(b, "chat.completion")
		b = append(b, `{"index":0,"message":{"role":"assistant","content":`...)
		b = appendJSON(b, said)
		b = append(b, `,"refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null},"logprobs":null,"finish_reason":`...)
		b = g.finish(b, true)
		b = append(b, `,"token_ids":`...)
		b = g.ids(b, g.answer.tokens)
	} else {
		b = g.head(b, "text_completion")
		b = append(b, `{"index":0,"text":`...)
		b = appendJSON(b, said)
		b = append(b, `,"logprobs":null,"finish_reason":`...)
		b = g.finish(b, true)
		b = append(b, `,"token_ids":`...)
		b = g.ids(b, g.answer.tokens)
		b = append(b, `,"prompt_logprobs":null,"prompt_token_ids":`...)
		b = g.ids(b, g.prompt)
	}
	b = append(b, `,"routed_experts":null}],"service_tier":null`...)
	b = g.fingerprint(b)
	b = append(b, `,"usage":{"prompt_tokens":`...)
	b = strconv.AppendInt(b, int64(len(g.prompt)), 10)
	b = append(b, `,"total_tokens":`...)
	b = strconv.AppendInt(b, int64(len(g.prompt)+len(g.answer.tokens)), 10)
	b = append(b, `,"completion_tokens":`...)
	b = strconv.AppendInt(b, int64(len(g.answer.tokens)), 10)
	b = append(b, `,"prompt_tokens_details":null,"completion_tokens_details":null}`...)
	if g.chat {
		b = append(b, `,"prompt_logprobs":null,"prompt_token_ids":`...)
		b = g.ids(b, g.prompt)
		b = append(b, `,"prompt_text":null`...)
	}
	b = append(b, `,"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}`...)
	writeJSON(w, http.StatusOK, b)
}
