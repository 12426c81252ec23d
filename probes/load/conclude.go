package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	openai "github.com/sashabaranov/go-openai"

	"pitwall/probes/load/wire"
	"pitwall/probes/request"
)

// event is what counts of a chunk, or of an answer that was not streamed.
type event struct {
	Choices []struct {
		Text         string  `json:"text"`
		Delta        *said   `json:"delta"`
		Message      *said   `json:"message"`
		FinishReason *string `json:"finish_reason"`
		TokenIDs     []int32 `json:"token_ids"`
	} `json:"choices"`
	Usage *openai.Usage   `json:"usage"`
	Error json.RawMessage `json:"error"`
}

type said struct {
	Content          string `json:"content"`
	Reasoning        string `json:"reasoning"`
	ReasoningContent string `json:"reasoning_content"`
}

// conclude completes the record of a request that has ended: off the timing path, once.
func (o *order) conclude() {
	if o.concluded {
		return
	}
	o.concluded = true
	r, x := &o.rec, &o.x
	r.Sent, r.Wrote, r.FirstByte, r.End = x.Sent, x.Wrote, x.FirstByte, x.End
	r.Connect, r.Fresh = x.Connect, x.Opened
	r.Stamped, r.LateMean, r.LateMax = x.Stamped, x.LateMean, x.LateMax
	r.Status = uint16(min(max(x.Status, 0), 1<<16-1))
	r.Counting = o.count.By()
	broken := o.decode()
	r.Class, r.Message = o.class(broken)
	if r.Message != "" {
		r.Message = oneLine(o.of.c.s.hidden(r.Message))
	}
	o.tail, o.empty, o.all, o.fault, o.x.Body, o.x.Header = [tailEvents][]byte{}, nil, nil, nil, nil, nil
}

// decode reads what the answer says beside its tokens. The error is about an answer that is none of the API.
func (o *order) decode() error {
	if o.x.Status != http.StatusOK {
		return nil
	}
	if !o.rec.Streamed {
		return o.whole()
	}
	if o.all != nil {
		o.text()
	}
	var broken error
	for _, data := range o.empty {
		if !json.Valid(data) {
			broken = fmt.Errorf("an event of the stream is no chunk: %.80q", data)
		}
	}
	for i := max(0, o.seen-tailEvents); i < o.seen; i++ {
		data := o.tail[i%tailEvents]
		var e event
		if err := json.Unmarshal(data, &e); err != nil {
			broken = fmt.Errorf("an event of the stream is no chunk: %w: %.80q", err, data)
			continue
		}
		o.take(&e)
	}
	if o.seen > 0 {
		o.times(o.tail[(o.seen-1)%tailEvents])
	}
	return broken
}

// take reads usage and reason to finish.
func (o *order) take(e *event) {
	if u := e.Usage; u != nil {
		o.rec.InputTokens, o.rec.OutputTokens = counted(u.PromptTokens), counted(u.CompletionTokens)
		if d := u.PromptTokensDetails; d != nil {
			o.rec.CachedTokens = counted(d.CachedTokens)
		}
	}
	for _, c := range e.Choices {
		if c.FinishReason != nil {
			o.rec.Finish = *c.FinishReason
		}
	}
}

// counted is a number of tokens that a server told; one that can't be true is Unknown.
func counted(n int) int32 {
	if n < 0 || n > math.MaxInt32 {
		return request.Unknown
	}
	return int32(n)
}

// whole reads an answer that came in one piece.
func (o *order) whole() error {
	var e event
	if err := json.Unmarshal(o.x.Body, &e); err != nil {
		return fmt.Errorf("the answer is no JSON of the API: %w: %.80s", err, o.x.Body)
	}
	if len(e.Error) > 0 && string(e.Error) != "null" {
		o.fault = o.x.Body
		return nil
	}
	if e.Choices == nil {
		return fmt.Errorf("the answer has no choices: %.80s", o.x.Body)
	}
	o.take(&e)
	o.times(o.x.Body)
	for _, c := range e.Choices {
		text := c.Text + c.Message.all()
		o.said = o.said || text != ""
		if o.keep {
			o.rec.Text += text
			o.rec.IDs = append(o.rec.IDs, c.TokenIDs...)
		}
	}
	return nil
}

// text puts the answer together from its chunks.
func (o *order) text() {
	var b strings.Builder
	for data := range bytes.Lines(o.all) {
		var e event
		if json.Unmarshal(data, &e) != nil {
			continue // what is broken is told elsewhere
		}
		for _, c := range e.Choices {
			b.WriteString(c.Text)
			b.WriteString(c.Delta.all())
			o.rec.IDs = append(o.rec.IDs, c.TokenIDs...)
		}
	}
	o.rec.Text = b.String()
}

func (s *said) all() string {
	if s == nil {
		return ""
	}
	return s.Reasoning + s.ReasoningContent + s.Content
}

// times reads the server's own times of the request.
func (o *order) times(data []byte) {
	t := o.of.c.s.can.Times
	if t.Object == "" || !bytes.Contains(data, []byte(`"`+t.Object+`"`)) {
		return
	}
	var all map[string]json.RawMessage
	var of map[string]any
	if json.Unmarshal(data, &all) != nil || json.Unmarshal(all[t.Object], &of) != nil {
		return
	}
	ms := func(name string) time.Duration {
		if v, ok := of[name].(float64); ok && name != "" && v >= 0 && v < 1e12 {
			return time.Duration(v * float64(time.Millisecond))
		}
		return request.Unknown
	}
	o.rec.Queue, o.rec.Prefill, o.rec.Decode = ms(t.Queue), ms(t.Prefill), ms(t.Decode)
}

// class says how the request ended, and in which words where that was not well. What the server said counts more than how the
// connection ended: an engine that dies says so, and then ends its stream properly, or not.
func (o *order) class(broken error) (request.Class, string) {
	var failed *wire.Error
	if o.err != nil && !errors.As(o.err, &failed) {
		failed = &wire.Error{Class: request.Malformed, Err: o.err}
	}
	r := &o.rec
	switch {
	case failed != nil && failed.Class == request.Cancelled:
		return request.Cancelled, failed.Error()
	case o.fault != nil:
		return request.InStream, said200(o.fault)
	case o.x.Status != 0 && o.x.Status != http.StatusOK:
		return request.Status, o.of.c.s.refused(o.x.Status, o.x.Body)
	case failed != nil:
		return failed.Class, failed.Error()
	case broken != nil:
		return request.Malformed, broken.Error()
	case r.Streamed && o.x.Body != nil:
		return request.Malformed, fmt.Sprintf("a stream was asked for, and a whole answer came: %.80s", o.x.Body)
	case r.Finish == "error":
		return request.InStream, `the server ended it with the reason "error"`
	case r.Finish == "abort":
		return request.Cut, `the server gave it up: finish reason "abort"`
	}
	n := r.Tokens()
	switch {
	case n == 0 || n == request.Unknown && (r.Streamed || !o.said):
		return request.Empty, "the answer ended well, and without a single token"
	case r.Asked > 0 && n != int(r.Asked) && (r.OutputTokens >= 0 || r.Counting != request.Guessed):
		return request.WrongLength, fmt.Sprintf("%d tokens came, %d were asked for (finish reason %q)", n, r.Asked, r.Finish)
	}
	return request.OK, ""
}

// said200 words an error that came under the status 200, in any of the shapes that servers have.
func said200(body []byte) string {
	if m := errorMessage(body); m != "" {
		return m
	}
	return string(body[:min(len(body), maxMessage)])
}

// errorMessage finds the message in {"error": {"message": …, "code": …}}, {"error": "…"}, {"object": "error", "message": …} and
// {"detail": …}; empty if it has none of these.
func errorMessage(body []byte) string {
	var e struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  any             `json:"detail"`
		Code    any             `json:"code"`
	}
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	var in struct {
		Message string `json:"message"`
		Code    any    `json:"code"`
	}
	text, code := e.Message, e.Code
	if len(e.Error) > 0 {
		if json.Unmarshal(e.Error, &in) == nil {
			text, code = in.Message, in.Code
		} else {
			_ = json.Unmarshal(e.Error, &text) // what is neither is told as it came
		}
	}
	if d, ok := e.Detail.(string); ok && text == "" {
		text = d
	}
	if text == "" {
		return ""
	}
	switch c := code.(type) {
	case float64:
		return fmt.Sprintf("%.0f: %s", c, text)
	case string:
		return c + ": " + text
	}
	return text
}

// refused words an answer whose status is not 200.
func (s *Server) refused(status int, body []byte) string {
	words := strings.TrimSpace(fmt.Sprintf("HTTP %d %s", status, http.StatusText(status)))
	if m := errorMessage(body); m != "" {
		words += ": " + m
	}
	return words
}

// maxMessage is how many bytes of an error are kept.
const maxMessage = 300

// oneLine makes a text from outside short and one line. Control characters are for whoever draws it to make harmless.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "�")), " ")
	if len(s) <= maxMessage {
		return s
	}
	cut := maxMessage
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
