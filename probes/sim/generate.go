package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// generation is one answer on its way to a client.
type generation struct {
	s       *Server
	wants   *wants
	chat    bool
	id      string
	created int64
	prompt  []int
	lots    lots
	hashes  []uint64 // of the whole blocks; the engine's owner has them
	req     *Request
	serial  uint64 // in the order of arrival over HTTP

	mu       sync.Mutex // guards those below, up to news
	answer   answer
	produced int
	done     bool
	ended    bool // without being finished, for endReason
	endedBy  FinishReason
	news     chan struct{}

	fault  *Fault // that spoils this answer; nil: none
	brings *Fault // that the engine meets when this request arrives; nil: none
	asked  bool   // the client asked for it
}

func (s *Server) chatCompletions(w http.ResponseWriter, r *http.Request) { s.generate(w, r, true) }
func (s *Server) completions(w http.ResponseWriter, r *http.Request)     { s.generate(w, r, false) }

func (s *Server) generate(w http.ResponseWriter, r *http.Request, chat bool) {
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	g, err := s.prepare(r, chat)
	if err == nil {
		err = s.spoil(g, r)
	}
	if err == nil {
		if err = s.driver.submit(g.req, g.brings); err != nil && g.wants.Stream && !errors.Is(err, errGone) {
			rejectInStream(w, err)
			return
		}
	}
	if err != nil {
		refuse(w, err)
		return
	}
	finished := false
	defer func() { s.driver.leave(g.req, finished) }()
	if g.wants.Stream {
		finished = g.stream(w, r)
		return
	}
	finished = g.answerWhole(w, r)
}

// rejectInStream refuses a stream for which the API server saw room at first: its status has been sent.
func rejectInStream(w http.ResponseWriter, err error) {
	startStream(w)
	_, _ = w.Write(append(refusalOf(err).chunk(), doneLine...)) // who has gone does not read an error either
}

func startStream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(http.StatusOK)
}

// answerWhole waits for the answer's end and sends it. It reports whether the engine finished it.
func (g *generation) answerWhole(w http.ResponseWriter, r *http.Request) (finished bool) {
	for {
		select {
		case <-g.news:
		case <-g.s.stopped:
			engineGone().write(w)
			return false
		case <-r.Context().Done():
			return false
		}
		switch p := g.progress(); {
		case p.ended && p.by == Errored:
			engineGone().write(w)
			return false
		case p.ended:
			g.cutShort(&p)
			g.whole(w, &p.answer)
			return false
		case g.strikes(p.produced, p.done):
			if !g.strike(r, w, nil) {
				return false
			}
			g.fault = nil
			g.call()
		case p.done:
			g.whole(w, &p.answer)
			return true
		}
	}
}

func refuse(w http.ResponseWriter, err error) {
	refusalOf(err).write(w)
}

func refusalOf(err error) *refusal {
	var r *refusal
	switch {
	case errors.Is(err, errGone):
		return engineGone()
	case errors.As(err, &r):
		return r
	}
	return badValue("", "%s", err)
}

// prepare reads a request and decides what will be answered.
func (s *Server) prepare(r *http.Request, chat bool) (*generation, error) {
	var ask wants
	if err := readBody(r, &ask); err != nil {
		return nil, err
	}
	if err := ask.check(s.options.Model, chat); err != nil {
		return nil, err
	}
	// vLLM looks whether there is room before it looks at the rest of the parameters.
	if err := s.driver.preflight(ask.n()); err != nil {
		return nil, err
	}
	if err := ask.checkSampling(chat); err != nil {
		return nil, err
	}
	g := &generation{s: s, wants: &ask, chat: chat, created: time.Now().Unix(), news: make(chan struct{}, 1)}
	whenUnasked := 16 // OpenAI's default for completions
	if chat {
		turns, err := ask.turns()
		if err != nil {
			return nil, err
		}
		g.prompt = s.tokens.chat(turns)
		whenUnasked = max(1, s.config.MaxModelLen-len(g.prompt))
	} else {
		var err error
		if g.prompt, err = ask.promptTokens(s.tokens); err != nil {
			return nil, err
		}
	}
	room, err := ask.room(len(g.prompt), s.config.MaxModelLen, whenUnasked)
	if err != nil {
		return nil, err
	}
	stops, err := ask.stops()
	if err != nil {
		return nil, err
	}
	serial := s.serial.Add(1)
	g.serial = serial
	g.answer = s.tokens.say(wish{
		max: room, min: ask.MinTokens, ignoreEOS: ask.IgnoreEOS, stop: stops, stopTokens: ask.StopTokenIDs,
		includeStop: ask.IncludeStop, seed: g.seed(serial), medianLength: 220,
	})
	g.name(r.Header.Get("X-Request-Id"), serial)
	g.lots = lots{s.tokens, g.seed(serial), s.options.FlipRate}
	g.hashes = chain(ask.CacheSalt, g.prompt, g.answer.tokens, s.config.BlockSize)
	g.req = &Request{
		Name: g.id, Prompt: len(g.prompt), Output: len(g.answer.tokens), Reason: g.answer.reason, MaxTokens: room,
		Hash: func(i int) uint64 { return g.hashes[i] }, Progress: g.told, Ended: g.over,
	}
	return g, nil
}

// seed makes greedy and seeded requests repeatable, and all others different.
func (g *generation) seed(serial uint64) uint64 {
	h := g.s.options.Seed
	for _, id := range g.prompt {
		h = mix(h, uint64(id))
	}
	switch {
	case g.wants.greedy():
		return h
	case g.wants.Seed != nil:
		return mix(h, uint64(*g.wants.Seed)+1)
	}
	return mix(h, serial^0x73616d706c65)
}

func (g *generation) name(given string, serial uint64) {
	prefix := "cmpl-"
	if g.chat {
		prefix = "chatcmpl-"
	}
	if given == "" {
		given = fmt.Sprintf("%016x", mix(g.s.options.Seed^0x6964, serial))
	}
	g.id = prefix + given
}

// chain names each whole block of a sequence by its tokens and all before; the salt goes into the first.
func chain(salt *string, prompt, output []int, size int) []uint64 {
	h := uint64(0x68747470) // content that came over HTTP never equals that of the traffic
	if salt != nil {
		for _, b := range []byte(*salt) {
			h = mix(h, uint64(b)+1<<32)
		}
	}
	at := func(i int) int {
		if i < len(prompt) {
			return prompt[i]
		}
		return output[i-len(prompt)]
	}
	n := len(prompt) + len(output)
	hashes := make([]uint64, n/size)
	for i := range hashes {
		for j := range size {
			h = mix(h, uint64(at(i*size+j)))
		}
		hashes[i] = h
	}
	return hashes
}

// told is the engine's word that there are more tokens.
func (g *generation) told(produced int, done bool, batch int) {
	g.mu.Lock()
	if g.lots.flipRate > 0 {
		g.flip(produced-1, batch)
	}
	g.produced, g.done = produced, done
	g.mu.Unlock()
	g.call()
}

// over is the engine's word that there will be no more tokens.
func (g *generation) over(by FinishReason) {
	g.mu.Lock()
	g.ended, g.endedBy = true, by
	g.mu.Unlock()
	g.call()
}

func (g *generation) call() {
	select {
	case g.news <- struct{}{}:
	default:
	}
}

// progress is how far the engine is with an answer.
type progress struct {
	produced    int
	done, ended bool
	by          FinishReason // of ended
	answer      answer
}

func (g *generation) progress() progress {
	g.mu.Lock()
	defer g.mu.Unlock()
	return progress{g.produced, g.done, g.ended, g.endedBy, g.answer}
}

// cutShort makes the answer what there is of it when the engine gave it up.
func (g *generation) cutShort(p *progress) {
	a := &p.answer
	a.tokens = a.tokens[:p.produced]
	a.reason, a.stopReason = p.by, nil
	said := g.s.tokens.decode(a.tokens, false)
	a.text = said[:min(len(said), len(a.text))]
}

// stream sends server-sent events as tokens come. It reports whether the engine finished the answer.
func (g *generation) stream(w http.ResponseWriter, r *http.Request) (finished bool) {
	startStream(w)
	out := http.NewResponseController(w)
	_ = out.Flush() // an error shows at the next write
	send := func(b []byte) bool {
		if _, err := w.Write(b); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	text := &unfolding{t: g.s.tokens, hold: g.holdBack()}
	sent := 0
	for {
		select {
		case <-g.news:
		case <-g.s.stopped:
			// A planned stop looks like a crash in vLLM's streams: an error, and still [DONE].
			send(append(engineGone().chunk(), doneLine...))
			return false
		case <-r.Context().Done():
			return false
		}
		p := g.progress()
		if p.ended && p.by == Errored {
			send(append(engineGone().chunk(), doneLine...))
			return false
		}
		if p.ended {
			g.cutShort(&p)
		}
		text.whole = p.answer.text
		strikes := g.strikes(p.produced, p.done)
		if strikes {
			p.produced, p.done = max(sent, min(p.produced, g.fault.After)), false
		}
		last := p.done || p.ended
		if !last && !strikes && !g.due(sent, p.produced) {
			continue
		}
		var b []byte
		if sent == 0 && g.chat {
			b = g.roleChunk(b)
		}
		if sent == 0 && g.wants.StreamInterval > 1 && p.produced > 1 {
			b = g.chunk(b, &p.answer, text, 0, 1, false) // the first token is always alone
			sent = 1
		}
		if last || p.produced > sent {
			b = g.chunk(b, &p.answer, text, sent, p.produced, last)
			sent = p.produced
		}
		if last {
			if g.wants.includeUsage() {
				b = g.usageChunk(b, &p.answer)
			}
			return send(append(b, doneLine...)) && p.done
		}
		if len(b) > 0 && !send(b) {
			return false
		}
		if strikes {
			if !g.strike(r, w, send) {
				return false
			}
			g.fault = nil
			g.call() // there may be more by now
		}
	}
}

const doneLine = "data: [DONE]\n\n"

// due tells whether enough tokens have come for a chunk.
func (g *generation) due(sent, produced int) bool {
	return produced > sent && (sent == 0 || produced-sent >= g.wants.StreamInterval)
}

// holdBack is how many bytes of text are withheld because they may be the start of a stop string.
func (g *generation) holdBack() int {
	n := 0
	stops, _ := g.wants.stops() // checked before
	for _, s := range stops {
		n = max(n, len(s)-1)
	}
	return n
}

// unfolding gives an answer's text bit by bit: no character is cut, no start of a stop string is shown.
type unfolding struct {
	t     *tokenizer
	whole string // what may be shown in all
	hold  int
	bytes int // produced so far, shown or not
	shown int
}

func (u *unfolding) add(tokens []int, done bool) string {
	for _, id := range tokens {
		u.bytes += len(u.t.append(nil, id))
	}
	end := min(u.bytes-u.hold, len(u.whole))
	if done {
		end = len(u.whole)
	}
	if end <= u.shown {
		return ""
	}
	if !done {
		// Step back over a character that is not complete.
		for i := 0; i < utf8.UTFMax-1 && end > u.shown && end < len(u.whole) && !utf8.RuneStart(u.whole[end]); i++ {
			end--
		}
		if end == len(u.whole) {
			end -= incomplete(u.whole)
		}
	}
	if end <= u.shown {
		return ""
	}
	text := u.whole[u.shown:end]
	u.shown = end
	return text
}

// incomplete is the length of an unfinished character at the end of s.
func incomplete(s string) int {
	for n := 1; n < utf8.UTFMax && n <= len(s); n++ {
		if c := s[len(s)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRuneInString(s[len(s)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// appendJSON writes any value as Pydantic does: compact, characters as they are.
func appendJSON(b []byte, v any) []byte {
	var s strings.Builder
	enc := json.NewEncoder(&s)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return append(b, "null"...) // strings and integers: cannot happen
	}
	return append(b, strings.TrimSuffix(s.String(), "\n")...)
}
