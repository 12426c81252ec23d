package load

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"pitwall/probes/load/prompt"
	"pitwall/probes/load/shape"
	"pitwall/probes/load/wire"
)

// form makes the bytes of one point's requests: everything but the prompt is the same in each, and is made once.
type form struct {
	s      *Server
	path   string
	header http.Header
	begin  []byte // {"model":…,
	end    []byte // what follows the lengths, with the closing brace
	eos    bool   // ignore_eos and min_tokens are sent where an answer's length is asked for
	nonce  string
}

// newForm prepares a point, which must be Filled and checked.
func newForm(s *Server, p shape.Point, run uint32, nonce string) (*form, error) {
	f := &form{s: s, path: s.base.EscapedPath() + "/v1/completions", header: s.header.Clone(), eos: !p.Output.Free && s.lengths()}
	if s.api(p) == shape.Chat {
		f.path = s.base.EscapedPath() + "/v1/chat/completions"
	}
	for k, v := range p.Headers {
		f.header.Set(k, v)
	}
	f.header.Set("Content-Type", "application/json")
	f.header.Set("Accept", "text/event-stream")
	if p.Unstreamed {
		f.header.Set("Accept", "application/json")
	}
	f.nonce = fmt.Sprintf("pitwall-%s-%d-", nonce, run)
	model, err := json.Marshal(s.Model)
	if err != nil {
		return nil, err
	}
	f.begin = append(append([]byte(`{"model":`), model...), ',')

	end := append([]byte(nil), `,"temperature":`...)
	end = strconv.AppendFloat(end, *p.Sampling.Temperature, 'g', -1, 64)
	end = append(end, `,"top_p":`...)
	end = strconv.AppendFloat(end, *p.Sampling.TopP, 'g', -1, 64)
	if p.Sampling.Seed != nil {
		end = append(end, `,"seed":`...)
		end = strconv.AppendInt(end, *p.Sampling.Seed, 10)
	}
	can := s.can
	ids := can.IDs.Field != "" && (p.KeepText || !can.Each.Usage && can.Each.Field == "")
	if p.Unstreamed {
		end = append(end, `,"stream":false`...)
		ids = ids && p.KeepText
	} else {
		end = append(end, `,"stream":true,"stream_options":{"include_usage":true`...)
		if can.Each.Usage && !ids {
			end = append(end, `,"continuous_usage_stats":true`...)
		}
		end = append(end, '}')
		if can.Each.Field != "" {
			end = append(append(append(end, `,"`...), can.Each.Field...), `":true`...)
		}
	}
	if ids {
		end = append(append(append(end, `,"`...), can.IDs.Field...), `":true`...)
	}
	if len(p.Body) > 0 {
		more, err := json.Marshal(p.Body)
		if err != nil {
			return nil, &shape.Problem{Where: "body", What: "it can't be written as JSON: " + err.Error()}
		}
		end = append(append(end, ','), more[1:]...)
	} else {
		end = append(end, '}')
	}
	f.end = end
	if _, err := f.head("x", 0); err != nil {
		return nil, &shape.Problem{Where: "headers", What: s.hidden(err.Error())}
	}
	return f, nil
}

// body is one request's JSON.
func (f *form) body(p *prompt.Prompt) []byte {
	size := len(f.begin) + len(f.end) + 96 + len(p.Text) + 7*len(p.IDs) + len(p.Raw)
	for i := range p.Messages {
		size += len(p.Messages[i].Content) + 48
	}
	b := append(make([]byte, 0, size), f.begin...)
	b = p.Append(b)
	b = append(b, `,"max_tokens":`...)
	b = strconv.AppendInt(b, int64(p.Output), 10)
	if f.eos && f.s.can.Lengths.MinTokens {
		b = append(b, `,"min_tokens":`...)
		b = strconv.AppendInt(b, int64(p.Output), 10)
	}
	if f.eos && f.s.can.Lengths.IgnoreEOS {
		b = append(b, `,"ignore_eos":true`...)
	}
	return append(b, f.end...)
}

// head is one request's head. The id is one that nobody else has, so that a request can be found in the server's log.
func (f *form) head(id string, body int) ([]byte, error) {
	h := f.header
	if id != "" {
		h = h.Clone()
		h.Set("X-Request-Id", f.nonce+id)
	}
	return wire.Head(http.MethodPost, f.path, f.s.host, h, body)
}
