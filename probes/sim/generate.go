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
	answer  answer
	req     *Request

	mu       sync.Mutex // guards the two below
	produced int
	done     bool
	news     chan struct{}
}

func (s *Server) chatCompletions(w http.ResponseWriter, r *http.Request) { s.generate(w, r, true) }
func (s *Server) completions(w http.ResponseWriter, r *http.Request)     { s.generate(w, r, false) }

func (s *Server) generate(w http.ResponseWriter, r *http.Request, chat bool) {
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	g, err := s.prepare(r, chat)
	if err == nil {
		err = s.driver.submit(g.req)
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
	for {
		select {
		case <-g.news:
			if _, finished = g.progress(); finished {
				g.whole(w)
				return
			}
		case <-s.stopped:
			engineGone().write(w)
			return
		case <-r.Context().Done():
			return
		}
	}
}

func refuse(w http.ResponseWriter, err error) {
	var r *refusal
	if !errors.As(err, &r) {
		r = badValue("", "%s", err)
	}
	r.write(w)
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
	g.answer = s.tokens.say(wish{
		max: room, min: ask.MinTokens, ignoreEOS: ask.IgnoreEOS, stop: stops, stopTokens: ask.StopTokenIDs,
		includeStop: ask.IncludeStop, seed: g.seed(serial), medianLength: 220,
	})
	g.name(r.Header.Get("X-Request-Id"), serial)
	hashes := chain(ask.CacheSalt, g.prompt, g.answer.tokens)
	g.req = &Request{
		Prompt: len(g.prompt), Output: len(g.answer.tokens), Reason: g.answer.reason, MaxTokens: room,
		Hash: func(i int) uint64 { return hashes[i] }, Progress: g.told,
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
func chain(salt *string, prompt, output []int) []uint64 {
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
	hashes := make([]uint64, n/BlockSize)
	for i := range hashes {
		for j := range BlockSize {
			h = mix(h, uint64(at(i*BlockSize+j)))
		}
		hashes[i] = h
	}
	return hashes
}

// told is the engine's word that there are more tokens.
func (g *generation) told(produced int, done bool) {
	g.mu.Lock()
	g.produced, g.done = produced, done
	g.mu.Unlock()
	select {
	case g.news <- struct{}{}:
	default:
	}
}

func (g *generation) progress() (produced int, done bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.produced, g.done
}

// stream sends server-sent events as tokens come. It reports whether the answer was sent to its end.
func (g *generation) stream(w http.ResponseWriter, r *http.Request) (finished bool) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	_ = out.Flush() // an error shows at the next write
	send := func(b []byte) bool {
		if _, err := w.Write(b); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	text := &unfolding{t: g.s.tokens, whole: g.answer.text, hold: g.holdBack()}
	sent := 0
	for {
		select {
		case <-g.news:
		case <-g.s.stopped:
			// A planned stop looks like a crash in vLLM's streams: an error, and still [DONE].
			send(append(engineGone().chunk(), "data: [DONE]\n\n"...))
			return false
		case <-r.Context().Done():
			return false
		}
		produced, done := g.progress()
		if !done && !g.due(sent, produced) {
			continue
		}
		var b []byte
		if sent == 0 && g.chat {
			b = g.roleChunk(b)
		}
		if sent == 0 && g.wants.StreamInterval > 1 && produced > 1 {
			b = g.chunk(b, text, 0, 1, false) // the first token is always alone
			sent = 1
		}
		b = g.chunk(b, text, sent, produced, done)
		sent = produced
		if done {
			if g.wants.includeUsage() {
				b = g.usageChunk(b)
			}
			return send(append(b, "data: [DONE]\n\n"...))
		}
		if !send(b) {
			return false
		}
	}
}

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
