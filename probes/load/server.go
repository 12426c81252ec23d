package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"pitwall/probes/engine"
	"pitwall/probes/load/prompt"
	"pitwall/probes/load/shape"
)

// Server is a target that has been examined. It is never changed afterwards, and may be shared.
type Server struct {
	// URL is its address without user-info, Instance its host:port as the engine's series have it.
	URL, Instance string
	// Engine is the dialect's name ("vllm"), Title how it writes itself ("vLLM"), Version what it says; empty where it says
	// nothing.
	Engine, Title, Version string
	// Model is what is asked for, Models all that it lists, adapters too.
	Model  string
	Models []string
	// MaxModelLen is the most tokens of prompt and answer together, 0 if it does not say.
	MaxModelLen int
	// Local is whether it is on this host, Simulated whether it says that no model runs there.
	Local, Simulated bool
	// Chat and Completions are whether it can be asked so. API is which of them Auto takes.
	Chat, Completions bool
	API               shape.API
	// Lacks are what it can't do, and what is done instead.
	Lacks []Lack

	noChat string // why Chat is false
	can    abilities
	words  *prompt.Vocabulary
	base   url.URL
	host   string // the Host header
	tls    *tls.Config
	header http.Header // of every request; holds secrets
	hidden func(string) string
}

// Examine asks a server what it is and what it serves. It sends no prompt and generates no token: what a server can do is known
// from which engine it is and which version, and how it counts tokens from a dozen small questions to its tokenizer.
// The error says what kept it from answering, and holds no secret.
func Examine(ctx context.Context, t Target) (*Server, error) {
	guest, err := engine.NewGuest(t.URL, t.Access)
	if err != nil {
		return nil, err
	}
	defer guest.Close()
	in, err := guest.Introduce(ctx)
	if err != nil {
		return nil, fmt.Errorf("examining the server before load is sent: %w", err)
	}
	base := guest.Base()
	s := &Server{
		URL: base.String(), Instance: guest.Instance(), Engine: in.Dialect.Name, Title: in.Dialect.Title, Version: in.Version,
		Local: in.Local, Simulated: in.Simulated, MaxModelLen: in.MaxModelLen,
		can: abilitiesOf(in.Dialect.Name, in.Version), base: base, tls: guest.TLS(), header: guest.Header(), hidden: guest.Hidden,
	}
	s.host = base.Host
	if h := s.header.Get("Host"); h != "" {
		s.host = h
		s.header.Del("Host")
	}
	if err := s.pick(in.Models, t.Model); err != nil {
		return nil, err
	}
	if err := s.learn(ctx, guest); err != nil {
		return nil, err
	}
	s.lacks(guest)
	return s, nil
}

// pick takes the model asked for, or the first that is no adapter.
func (s *Server) pick(models []engine.Model, want string) error {
	for _, m := range models {
		s.Models = append(s.Models, m.ID)
	}
	i := slices.IndexFunc(models, func(m engine.Model) bool { return want == m.ID || want == "" && m.Parent == "" })
	switch {
	case i < 0 && want == "":
		i = 0
	case i < 0:
		return &NoModelError{URL: s.URL, Model: want, Models: s.Models}
	}
	s.Model = models[i].ID
	if n := models[i].MaxModelLen; n > 0 {
		s.MaxModelLen = n
	}
	return nil
}

// NoModelError says that a server doesn't serve the model that is asked for.
type NoModelError struct {
	URL, Model string
	// Models are those that it serves.
	Models []string
}

// Error names those that it serves.
func (e *NoModelError) Error() string {
	return fmt.Sprintf("%s serves no model %q: it has %s", e.URL, e.Model, e.Served())
}

// Served lists the models in a few words: adapters may be hundreds.
func (e *NoModelError) Served() string {
	const most = 8
	s := strings.Join(e.Models[:min(len(e.Models), most)], ", ")
	if n := len(e.Models) - most; n > 0 {
		s += fmt.Sprintf(" and %d more", n)
	}
	return s
}

// learn asks the tokenizer how it counts, and by that whether the model can chat: one without a template can't render any.
func (s *Server) learn(ctx context.Context, guest *engine.Guest) error {
	s.Chat, s.Completions, s.API = true, true, shape.Chat
	s.words = prompt.Unlearned()
	if s.can.Tokenize.Path == "" {
		return nil
	}
	t := &tokenizer{guest, s.can.Tokenize, s.Model}
	if s.can.Tokenize.Messages {
		_, err := t.Chat(ctx, []prompt.Message{{Role: "user", Content: "hello"}})
		if err != nil && strings.Contains(err.Error(), "chat template") {
			s.Chat, s.API, s.noChat = false, shape.Completions, "the model has no chat template: "+err.Error()
		}
	}
	words, err := prompt.Learn(ctx, t, s.MaxModelLen)
	if ctx.Err() != nil {
		return fmt.Errorf("learning how the server counts tokens: %w", context.Cause(ctx))
	}
	if err != nil {
		s.lack("a tokenizer that can be asked ("+err.Error()+")", "lengths of prompts are guessed from words; what the server counts stands in each record")
		return nil
	}
	s.words = words
	for _, l := range words.Lacks() {
		s.lack("prompts of an exact length", l)
	}
	return nil
}

func (s *Server) lack(what, instead string) { s.Lacks = append(s.Lacks, Lack{what, instead}) }

// lacks lists what the abilities leave out.
func (s *Server) lacks(guest *engine.Guest) {
	can := s.can
	if s.noChat != "" {
		s.lack("chat ("+s.noChat+")", "completions are asked for")
	}
	if can.Tokenize.Path == "" {
		s.lack("a tokenizer that can be asked", "lengths of prompts are guessed from words; what the server counts stands in each record")
	}
	if can.PromptIDs == nil {
		s.lack("prompts as token ids", "completions get text")
	}
	if !can.Lengths.IgnoreEOS && !can.Lengths.MinTokens {
		s.lack("answers of an exact length (neither ignore_eos nor min_tokens is known to work)",
			"max_tokens bounds them, and one that ends by itself is shorter: lengths are not checked")
	}
	switch {
	case can.Each == (each{}) && can.IDs.Field == "":
		s.lack("the number of tokens in each chunk", "a chunk counts as one token, so gaps between tokens are guessed; the totals are the server's usage")
	case can.IDs.Field == "":
		s.lack("token ids of answers", "where text is kept, only the text is")
	}
	if can.Cold == (cold{}) {
		s.lack("a way to ask around the prefix cache", "a cold cache is made sure of by unique first tokens")
	}
	switch {
	case can.Times.Object == "":
		s.lack("its own times for each request", "queue and prefill are in the server's histograms only")
	case can.Times.Flag != "":
		s.lack("its own times for each request, unless it was started with "+can.Times.Flag, "queue and prefill are in the server's histograms only; answers that have them are read")
	case can.Times.Queue == "":
		s.lack("the time that a request waited, among its own times", "prefill and decode are read, the queue is unknown")
	}
	if can.CachedFlag != "" {
		s.lack("cached tokens of each request, unless it was started with "+can.CachedFlag, "the server's counters tell them for all requests together")
	}
	if s.MaxModelLen == 0 {
		s.lack("its limit (max_model_len)", "lengths are not checked before they are sent")
	}
	if p := guest.Proxy(); p != nil {
		s.lack("a way past the proxy "+p.Host+" for load", "load is sent to the server directly: a proxy would be measured too")
	}
}

// Target tells it in words for a session: url, engine, version, model.
func (s *Server) Target() map[string]string {
	t := map[string]string{"url": s.URL, "engine": s.Engine, "version": s.Version, "model": s.Model}
	if s.Simulated {
		t["simulated"] = "yes"
	}
	return t
}

// reserved are fields of the body that are set here beside those that package shape knows, or would change what is counted.
var reserved = []string{"cache_prompt", "timings_per_token", "echo", "best_of", "use_beam_search", "n_predict", "id_slot"}

// Check says why a point can't be executed against this server: what Point.Validate finds, lengths beyond MaxModelLen, body
// fields or headers that would replace what is set here, an API that it doesn't have, prompts that can't be made (shorter than the
// chat template), more clients than this process may have connections. Nothing is sent. Its errors are shape.Problems.
func (s *Server) Check(p shape.Point) error {
	p = p.Filled()
	if err := p.Validate(); err != nil {
		return err
	}
	limits := shape.Limits{MaxModelLen: s.MaxModelLen}
	if !s.Chat {
		limits.NoChat = s.noChat
	}
	found := []error{p.Check(limits)}
	for _, k := range reserved {
		if _, taken := p.Body[k]; taken {
			found = append(found, &shape.Problem{Where: "body." + k, What: "pitwall sets it itself, or could not count what it does"})
		}
	}
	for k := range p.Headers {
		own := http.CanonicalHeaderKey(k)
		if _, taken := s.header[own]; taken || own == "Accept" || own == "X-Request-Id" {
			found = append(found, &shape.Problem{Where: "headers." + k, What: "pitwall sets it itself"})
		}
	}
	found = append(found, s.files(p, openFileLimit()))
	if err := errors.Join(found...); err != nil {
		return err
	}
	words := s.words
	if words == nil { // of a server that nobody examined
		words = prompt.Unlearned()
	}
	_, err := prompt.New(p, words, s.prompts(p, 0))
	return err
}

// prompts says what the server can do with a point's prompts.
func (s *Server) prompts(p shape.Point, nonce uint64) prompt.Options {
	return prompt.Options{
		API: s.api(p), IDs: s.can.PromptIDs != nil, Salt: s.can.Cold.Salt, NoCache: s.can.Cold.NoCache, Nonce: nonce, Limit: s.MaxModelLen,
	}
}

// files says that a closed loop has more clients than there may be files; may is that limit, 0 where it is not known.
func (s *Server) files(p shape.Point, may int) error {
	need := s.most(p) + spareFiles
	if p.Arrival.Kind != shape.Closed || may == 0 || need <= may {
		return nil
	}
	return &shape.Problem{
		Where: "arrival.clients", What: fmt.Sprintf("%d clients need %d open files, and this process may have %d", s.most(p), need, may),
		Hint: fmt.Sprintf("ulimit -n %d", need),
	}
}

// most is how many clients a closed loop has at most.
func (s *Server) most(p shape.Point) int {
	n := p.Arrival.Clients
	for _, st := range p.Arrival.Steps {
		n = max(n, int(st.To))
	}
	return n
}

// api is what a point's Auto comes to.
func (s *Server) api(p shape.Point) shape.API {
	if p.API != shape.Auto {
		return p.API
	}
	return s.API
}

// lengths says whether an answer's length can be asked for.
func (s *Server) lengths() bool { return s.can.Lengths.IgnoreEOS || s.can.Lengths.MinTokens }
