package truth

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody bounds a request's body.
const maxBody = 32 << 20

// serve answers one connection's requests, one after the other.
func (s *Server) serve(c *net.TCPConn, number uint64) {
	st, err := newStamps(c, s.clock)
	if err != nil {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	in := bufio.NewReaderSize(st, 8<<10)
	for {
		if in.Buffered() == 0 {
			st.forget()
			if _, err := in.Peek(1); err != nil {
				return
			}
		}
		r, err := http.ReadRequest(in)
		if err != nil {
			_, _ = c.Write(fault(http.StatusBadRequest, "BadRequestError", "this is no HTTP/1.1 request: "+err.Error(), false))
			return
		}
		if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
			if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
				return
			}
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		if err != nil {
			return
		}
		if len(body) > maxBody {
			_, _ = c.Write(fault(http.StatusRequestEntityTooLarge, "BadRequestError", "the request's body is too large", false))
			return
		}
		keep := !r.Close
		switch r.URL.Path {
		case "/v1/completions", "/v1/chat/completions":
			f, refusal := s.flow(r, body, st, number)
			if refusal != nil {
				if _, err := c.Write(refusal); err != nil || !keep {
					return
				}
				continue
			}
			f.conn, f.raw = c, raw
			f.start()
			s.counters.begin()
			s.pacer.add(f)
			// What comes now is the next request, or the end of the connection; its stamp is the next request's.
			st.forget()
			_, err := in.Peek(1)
			if err != nil {
				f.gone.Store(true)
				s.pacer.look()
			}
			<-f.done
			if err != nil || !f.keep {
				return
			}
		default:
			if _, err := c.Write(s.other(r, body, keep)); err != nil || !keep {
				return
			}
		}
	}
}

// flow makes an answer of a request, or says why there is none.
func (s *Server) flow(r *http.Request, body []byte, st *stamps, number uint64) (*flow, []byte) {
	now := s.clock.Now()
	n := s.requests.Add(1)
	a := &Answer{
		ID: r.Header.Get("X-Request-Id"), N: n, Conn: number, Path: r.URL.Path,
		Arrived: st.first, Received: st.last, Stamped: st.of, Status: http.StatusOK,
	}
	if a.ID == "" {
		a.ID = "truth-" + strconv.FormatUint(n, 10)
	}
	if a.Arrived == 0 { // it came with the request before it
		a.Arrived, a.Received, a.Stamped = now, now, false
	}
	refuse := func(status int, kind, message string) []byte {
		a.Status, a.End = status, s.clock.Now()
		s.keep(a)
		return fault(status, kind, message, !r.Close)
	}
	if r.Method != http.MethodPost {
		return nil, refuse(http.StatusMethodNotAllowed, "BadRequestError", "Method Not Allowed")
	}
	wrong, err := s.trouble(r, n)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "BadRequestError", err.Error())
	}
	if wrong.Trouble == Refuse {
		a.Fault = wrong.String()
		return nil, refuse(wrong.After, "RefusedError", "refused on purpose (a fault of the truth server)")
	}
	var q ask
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, refuse(http.StatusBadRequest, "BadRequestError", "the body: "+err.Error())
	}
	chat := strings.HasSuffix(r.URL.Path, "/chat/completions")
	input, err := q.input(chat)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "BadRequestError", err.Error())
	}
	a.InputTokens = input
	tokens := q.output(s.plan.Tokens)
	switch {
	case q.Model != "" && q.Model != s.plan.Model:
		return nil, refuse(http.StatusNotFound, "NotFoundError", fmt.Sprintf("The model `%s` does not exist.", q.Model))
	case tokens < 1:
		return nil, refuse(http.StatusBadRequest, "BadRequestError", fmt.Sprintf("max_tokens must be at least 1, got %d.", tokens))
	case input+tokens > s.plan.MaxModelLen:
		return nil, refuse(http.StatusBadRequest, "BadRequestError",
			fmt.Sprintf("This model's maximum context length is %d tokens. However, you requested %d output tokens and your prompt contains %d input tokens.", s.plan.MaxModelLen, tokens, input))
	}
	f := &flow{
		server: s, plan: &s.plan, answer: a, stream: q.Stream, tokens: tokens, fault: wrong, keep: !r.Close, done: make(chan struct{}),
		words: wording{
			chat: chat, usage: q.Stream && q.Options.Usage, continuous: q.Stream && q.Options.Continuous, ids: q.IDs,
			input: input, promptIDs: q.ids(),
		},
	}
	f.words.begin(a.ID, s.plan.Model, int64(now)/int64(time.Second), q.Stream)
	if q.Stream {
		a.Chunks = make([]Chunk, 0, f.pieces())
	}
	return f, nil
}

// trouble is what goes wrong with the n-th request: what it asks for, else the plan's first fault that hits it.
func (s *Server) trouble(r *http.Request, n uint64) (Fault, error) {
	if h := r.Header.Get("X-Truth-Fault"); h != "" {
		return ParseFault(h)
	}
	for _, f := range s.plan.Faults {
		if f.hits(n) {
			return f, nil
		}
	}
	return Fault{}, nil
}

// other answers what is no request for tokens.
func (s *Server) other(r *http.Request, body []byte, keep bool) []byte {
	give := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			return fault(http.StatusInternalServerError, "InternalServerError", err.Error(), keep)
		}
		return reply(nil, http.StatusOK, "application/json", b, keep)
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /v1/models":
		return give(map[string]any{"object": "list", "data": []any{map[string]any{
			"id": s.plan.Model, "object": "model", "created": 0, "owned_by": "vllm", "root": s.plan.Model, "max_model_len": s.plan.MaxModelLen,
		}}})
	case "GET /health", "GET /ping":
		return reply(nil, http.StatusOK, "text/plain", nil, keep)
	case "GET /version":
		return give(map[string]string{"version": Poses})
	case "GET /metrics":
		return reply(nil, http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", s.page(), keep)
	case "POST /tokenize":
		var q ask
		if err := json.Unmarshal(body, &q); err != nil {
			return fault(http.StatusBadRequest, "BadRequestError", err.Error(), keep)
		}
		ids, err := q.tokenize()
		if err != nil {
			return fault(http.StatusBadRequest, "BadRequestError", err.Error(), keep)
		}
		return give(map[string]any{"count": len(ids), "max_model_len": s.plan.MaxModelLen, "tokens": ids})
	case "POST /detokenize":
		var q struct {
			Tokens []int64 `json:"tokens"`
		}
		if err := json.Unmarshal(body, &q); err != nil {
			return fault(http.StatusBadRequest, "BadRequestError", err.Error(), keep)
		}
		return give(map[string]any{"prompt": spell(q.Tokens)})
	case "GET /truth":
		return s.tell(r.URL.Query().Get("id"), keep)
	case "DELETE /truth":
		s.Forget()
		return reply(nil, http.StatusNoContent, "", nil, keep)
	}
	return fault(http.StatusNotFound, "NotFoundError", "Not Found", keep)
}

// tell is the kept answers, a line each, or the one with an id.
func (s *Server) tell(id string, keep bool) []byte {
	var all []Answer
	if id == "" {
		all, _ = s.Answers()
	} else if a, ok := s.Answer(id); ok {
		all = []Answer{a}
	} else {
		return fault(http.StatusNotFound, "NotFoundError", fmt.Sprintf("no request %q is over", id), keep)
	}
	var b []byte
	for i := range all {
		line, err := json.Marshal(&all[i])
		if err != nil {
			return fault(http.StatusInternalServerError, "InternalServerError", err.Error(), keep)
		}
		b = append(append(b, line...), '\n')
	}
	return reply(nil, http.StatusOK, "application/jsonl", b, keep)
}

// reply appends a whole answer.
func reply(b []byte, status int, kind string, body []byte, keep bool) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(append(b, ' '), http.StatusText(status)...)
	b = append(b, "\r\nserver: pitwall-truth\r\n"...)
	if status != http.StatusNoContent {
		b = append(b, "content-length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
		b = append(b, "\r\n"...)
	}
	if kind != "" {
		b = append(b, "content-type: "+kind+"\r\n"...)
	}
	if !keep {
		b = append(b, "connection: close\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, body...)
}

// fault is an answer with an error object as vLLM makes them.
func fault(status int, kind, message string, keep bool) []byte {
	b, err := json.Marshal(map[string]any{"error": map[string]any{"message": message, "type": kind, "param": nil, "code": status}})
	if err != nil {
		b = []byte("{}")
	}
	return reply(nil, status, "application/json", b, keep)
}
