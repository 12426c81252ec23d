package sim

import (
	"net/http"
	"strconv"
	"time"
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
func (g *generation) chunk(b []byte, a *answer, text *unfolding, sent, produced int, done bool) []byte {
	tokens := a.tokens[sent:produced]
	b = g.chunkHead(b)
	if g.chat {
		b = append(b, `{"index":0,"delta":{"content":`...)
		b = appendJSON(b, text.add(tokens, done))
		b = append(b, `},"logprobs":`...)
	} else {
		b = append(b, `{"index":0,"text":`...)
		b = appendJSON(b, text.add(tokens, done))
		b = append(b, `,"logprobs":`...)
	}
	b = g.logprobs(b, a, sent, produced)
	b = append(b, `,"finish_reason":`...)
	b = g.finish(b, a, done)
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
func (g *generation) finish(b []byte, a *answer, done bool) []byte {
	if !done {
		b = append(b, "null"...)
		if !g.chat {
			b = append(b, `,"stop_reason":null`...)
		}
		return b
	}
	b = append(b, '"')
	b = append(b, a.reason.String()...)
	b = append(b, `","stop_reason":`...)
	return appendJSON(b, a.stopReason)
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
func (g *generation) usageChunk(b []byte, a *answer) []byte {
	b = g.chunkHead(b)
	b = append(b, ']')
	b = g.usage(b, len(a.tokens), false)
	b = b[:len(b)-1]
	b = g.tokenDetails(b, "")
	b = append(b, '}')
	b = g.fingerprint(b)
	if g.s.options.RequestMetrics {
		b = g.times(append(b, `,"metrics":`...), len(a.tokens), "")
	}
	return append(b, "}\n\n"...)
}

// whole writes the answer to a request that did not ask for a stream.
func (g *generation) whole(w http.ResponseWriter, a *answer) {
	var b []byte
	text := &unfolding{t: g.s.tokens, whole: a.text}
	said := text.add(a.tokens, true)
	if g.chat {
		b = g.head(b, "chat.completion")
		b = append(b, `{"index":0,"message":{"role":"assistant","content":`...)
		b = appendJSON(b, said)
		b = append(b, `,"refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null},"logprobs":`...)
		b = g.logprobs(b, a, 0, len(a.tokens))
		b = append(b, `,"finish_reason":`...)
		b = g.finish(b, a, true)
		b = append(b, `,"token_ids":`...)
		b = g.ids(b, a.tokens)
	} else {
		b = g.head(b, "text_completion")
		b = append(b, `{"index":0,"text":`...)
		b = appendJSON(b, said)
		b = append(b, `,"logprobs":`...)
		b = g.logprobs(b, a, 0, len(a.tokens))
		b = append(b, `,"finish_reason":`...)
		b = g.finish(b, a, true)
		b = append(b, `,"token_ids":`...)
		b = g.ids(b, a.tokens)
		b = append(b, `,"prompt_logprobs":null,"prompt_token_ids":`...)
		b = g.ids(b, g.prompt)
	}
	b = append(b, `,"routed_experts":null}],"service_tier":null`...)
	b = g.fingerprint(b)
	b = append(b, `,"usage":{"prompt_tokens":`...)
	b = strconv.AppendInt(b, int64(len(g.prompt)), 10)
	b = append(b, `,"total_tokens":`...)
	b = strconv.AppendInt(b, int64(len(g.prompt)+len(a.tokens)), 10)
	b = append(b, `,"completion_tokens":`...)
	b = strconv.AppendInt(b, int64(len(a.tokens)), 10)
	if g.s.options.TokenDetails {
		b = g.tokenDetails(b, `,"multimodal_tokens":null`)
		b = append(b, `,"completion_tokens_details":null}`...)
	} else {
		b = append(b, `,"prompt_tokens_details":null,"completion_tokens_details":null}`...)
	}
	if g.chat {
		b = append(b, `,"prompt_logprobs":null,"prompt_token_ids":`...)
		b = g.ids(b, g.prompt)
		b = append(b, `,"prompt_text":null`...)
	}
	b = append(b, `,"kv_transfer_params":null,"ec_transfer_params":null,"metrics":`...)
	if g.s.options.RequestMetrics {
		b = g.times(b, len(a.tokens), `,"speculative_decoding":null`)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, '}')
	writeJSON(w, http.StatusOK, b)
}

// tokenDetails writes how many of the prompt's tokens the prefix cache had, where that was turned on. The cached tokens that
// a chat's answer itself made are 0, as in every capture.
func (g *generation) tokenDetails(b []byte, more string) []byte {
	if !g.s.options.TokenDetails {
		return b
	}
	t := g.s.driver.of(g.req)
	b = append(b, `,"prompt_tokens_details":{"cached_tokens":`...)
	b = strconv.AppendInt(b, int64(t.cached), 10)
	if g.chat {
		b = append(b, `,"created_cache_tokens":0`...)
		b = append(b, more...)
	}
	return append(b, '}')
}

// times writes the request's own times in milliseconds, as --enable-per-request-metrics defines them: time_to_first_token_ms
// counts from the scheduling, so it is the prefill's time and does not contain the queue.
func (g *generation) times(b []byte, tokens int, more string) []byte {
	t := g.s.driver.of(g.req)
	value := func(name string, v float64, known bool) {
		b = append(append(append(b, '"'), name...), `":`...)
		if !known {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendFloat(b, v, 'g', -1, 64)
		}
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	b = append(b, '{')
	value("time_to_first_token_ms", ms(t.First-t.Scheduled), t.First > 0)
	b = append(b, ',')
	value("generation_time_ms", ms(t.Last-t.First), t.First > 0)
	b = append(b, ',')
	value("queue_time_ms", ms(t.Scheduled-t.Queued), t.Scheduled > 0)
	b = append(b, ',')
	value("mean_itl_ms", ms(t.Last-t.First)/float64(max(1, tokens-1)), t.First > 0 && tokens > 1)
	b = append(b, ',')
	value("tokens_per_second", float64(tokens)/max(1e-9, (t.Last-t.Scheduled).Seconds()), t.First > 0)
	b = append(b, more...)
	return append(b, '}')
}
