package prompt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pitwall/probes/load/shape"
)

// fake is a tokenizer in the manner of byte pair encoding: a known word with the space before it is one token, everything else is a
// token a byte. What it does otherwise is what models do.
type fake struct {
	noSystem  bool // refuses a system message, as Gemma's template does
	system    bool // puts a system message of its own where there is none, as SmolLM's does
	thinking  bool // adds something that depends on the text's length
	joins     bool // makes one token of many pairs of words
	bytes     bool // knows no words
	few       bool // knows few words
	stutters  bool // has a word that holds another
	noChat    bool
	down      bool
	turnsOdd  bool // drops what an assistant said earlier, as reasoning models' templates do with thoughts
	questions int
}

func (f *fake) id(word string) (int32, bool) {
	h := int32(17)
	for i := range len(word) {
		h = (h*31 + int32(word[i])) & 0xfffff
	}
	if f.bytes || f.few && h%16 != 0 && word != "the" {
		return 0, false
	}
	return 1000 + h, known()[word]
}

var known = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(wordList) {
		m[w] = true
	}
	return m
})

func (f *fake) encode(text string) (out []int32) {
	for len(text) > 0 {
		end := 1
		for end < len(text) && text[end] >= 'a' && text[end] <= 'z' {
			end++
		}
		if f.stutters && text[:end] == " world" {
			the, _ := f.id("the")
			out = append(out, the, 'w')
			text = text[end:]
			continue
		}
		if id, ok := f.id(text[1:end]); ok && text[0] == ' ' && end > 1 {
			the, _ := f.id("the")
			if n := len(out); f.joins && n > 0 && out[n-1] > 1000 && (out[n-1]+id)%3 == 0 && out[n-1] != the && id != the {
				out[n-1] = 1<<22 + id
			} else {
				out = append(out, id)
			}
			text = text[end:]
			continue
		}
		out = append(out, int32(text[0]))
		text = text[1:]
	}
	return out
}

func (f *fake) Tokens(_ context.Context, text string) ([]int32, error) {
	f.questions++
	if f.down {
		return nil, errors.New("503")
	}
	return f.encode(text), nil
}

func (f *fake) Chat(_ context.Context, messages []Message) ([]int32, error) {
	f.questions++
	if f.noChat {
		return nil, errors.New("no chat template")
	}
	var out []int32
	if f.system && messages[0].Role != "system" {
		messages = append([]Message{{"system", "You are a helpful AI"}}, messages...)
	}
	for i, m := range messages {
		if m.Role == "system" && f.noSystem {
			return nil, errors.New("System role not supported")
		}
		out = append(out, 1)
		out = append(out, f.encode(m.Role+"\n")...)
		text := f.encode(strings.TrimSpace(m.Content))
		if f.thinking {
			out = append(out, make([]int32, len(text)/7)...)
		}
		if !(f.turnsOdd && m.Role == "assistant" && i < len(messages)-1) {
			out = append(out, text...)
		}
		out = append(out, 2, '\n')
	}
	return append(append(out, 1), f.encode("assistant\n")...), nil
}

func learn(t testing.TB, f *fake) *Vocabulary {
	t.Helper()
	v, err := Learn(context.Background(), f, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func made(t testing.TB, p shape.Point, v *Vocabulary, o Options) *Maker {
	t.Helper()
	if err := p.Filled().Validate(); err != nil {
		t.Fatal(err)
	}
	m, err := New(p, v, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func point(in string, edits ...func(*shape.Point)) shape.Point {
	l, err := shape.ParseLength(in)
	if err != nil {
		panic(err)
	}
	p := shape.Point{Arrival: shape.Arrival{Kind: shape.Closed, Clients: 1}, Prompt: shape.Prompt{Length: l}, Output: shape.Output{Length: shape.Tokens(8)}}
	for _, e := range edits {
		e(&p)
	}
	return p
}

func shared(n, groups int) func(*shape.Point) {
	return func(p *shape.Point) { p.Prompt.Shared, p.Prompt.Groups = n, groups }
}
func turns(n int) func(*shape.Point)         { return func(p *shape.Point) { p.Prompt.Turns = n } }
func cache(c shape.Cache) func(*shape.Point) { return func(p *shape.Point) { p.Cache = c } }
func seeded(s uint64) func(*shape.Point)     { return func(p *shape.Point) { p.Seed = s } }
func chat(o ...func(*Options)) Options       { return with(Options{API: shape.Chat}, o) }
func completions(o ...func(*Options)) Options {
	return with(Options{API: shape.Completions, IDs: true}, o)
}
func salt(o *Options)               { o.Salt = true }
func noCache(o *Options)            { o.NoCache = true }
func nonce(n uint64) func(*Options) { return func(o *Options) { o.Nonce = n } }
func with(o Options, es []func(*Options)) Options {
	for _, e := range es {
		e(&o)
	}
	return o
}

// ids is what the server makes of a prompt.
func ids(t testing.TB, f *fake, p Prompt) []int32 {
	t.Helper()
	switch {
	case p.IDs != nil:
		return p.IDs
	case p.Messages != nil:
		got, err := f.Chat(context.Background(), p.Messages)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	return f.encode(p.Text)
}

func common(a, b []int32) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

func TestLearning(t *testing.T) {
	for _, tt := range []struct {
		name  string
		f     fake
		words bool
		lack  string // part of the first lack
	}{
		{"a common tokenizer is learned", fake{}, true, ""},
		{"one with a system message of its own too", fake{system: true}, true, ""},
		{"one that takes no system message too", fake{noSystem: true}, true, ""},
		{"one that joins words can't be", fake{joins: true}, false, "joins words"},
		{"one where a word holds another costs some words", fake{stutters: true}, true, ""},
		{"one of bytes can't be", fake{bytes: true}, false, "no common English word as one token"},
		{"one with few words can't be", fake{few: true}, false, "common English words as one token each"},
		{"without a chat template there are completions", fake{noChat: true}, true, "no chat template"},
		{"a template that does more than to wrap is told", fake{thinking: true}, true, "does more to a text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := learn(t, &tt.f)
			if (v.Words() > 0) != tt.words {
				t.Errorf("%d words", v.Words())
			}
			lacks := strings.Join(v.Lacks(), "; ")
			if !strings.Contains(lacks, tt.lack) || (tt.lack == "") != (lacks == "") {
				t.Errorf("lacks %q, want %q", lacks, tt.lack)
			}
			if tt.f.questions > 14 && !tt.f.stutters || tt.f.questions > 30 {
				t.Errorf("it took %d questions", tt.f.questions)
			}
		})
	}
	t.Run("a server that is down is an error", func(t *testing.T) {
		if _, err := Learn(context.Background(), &fake{down: true}, 0); err == nil || !strings.Contains(err.Error(), "503") {
			t.Error(err)
		}
	})
	t.Run("a small context is not exceeded", func(t *testing.T) {
		small := limited{&fake{}, 300}
		v, err := Learn(context.Background(), small, 300)
		if err != nil || v.Words() < 500 {
			t.Errorf("%d words, %v", v.Words(), err)
		}
	})
}

// limited refuses texts longer than a context, as servers do.
type limited struct {
	*fake
	limit int
}

func (l limited) check(ids []int32, err error) ([]int32, error) {
	if len(ids) > l.limit {
		return nil, fmt.Errorf("%d tokens are more than %d", len(ids), l.limit)
	}
	return ids, err
}
func (l limited) Tokens(ctx context.Context, text string) ([]int32, error) {
	return l.check(l.fake.Tokens(ctx, text))
}
func (l limited) Chat(ctx context.Context, m []Message) ([]int32, error) {
	return l.check(l.fake.Chat(ctx, m))
}

// TestPromptsAreAsLongAsAsked counts them by the tokenizer itself.
func TestPromptsAreAsLongAsAsked(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    fake
		p    shape.Point
		o    Options
	}{
		{"a fixed length of ids", fake{}, point("512"), completions()},
		{"one token", fake{}, point("1"), completions()},
		{"a drawn length of ids", fake{}, point("uniform:1-900"), completions()},
		{"ids with a shared part", fake{}, point("lognormal:300,0.1", shared(100, 3)), completions()},
		{"a chat", fake{}, point("100"), chat()},
		{"the shortest chat there is", fake{}, point("30"), chat()},
		{"a chat with the template's own system message", fake{system: true}, point("normal:200,30"), chat()},
		{"a chat with a shared system message", fake{}, point("uniform:200-400", shared(128, 2)), chat()},
		{"a shared system message in place of the template's", fake{system: true}, point("200", shared(128, 2)), chat()},
		{"a shared part where no system message is taken", fake{noSystem: true}, point("200", shared(128, 2)), chat()},
		{"a cold chat without salt", fake{}, point("150", cache(shape.Cold)), chat(nonce(7))},
		{"cold ids without salt", fake{}, point("20", cache(shape.Cold)), completions(nonce(7))},
		{"a cold shared part", fake{}, point("200", shared(128, 2), cache(shape.Cold)), chat(nonce(8))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := made(t, tt.p, learn(t, &tt.f), tt.o)
			least, most := tt.p.Prompt.Length.Bounds()
			groups := map[int32][]int32{}
			for n := range uint32(60) {
				p := m.Prompt(n)
				got := ids(t, &tt.f, p)
				if len(got) != p.Tokens || float64(p.Tokens) < least-1 || float64(p.Tokens) > most+1 {
					t.Fatalf("prompt %d says %d tokens, has %d, asked were %v", n, p.Tokens, len(got), tt.p.Prompt.Length)
				}
				if p.Output != 8 {
					t.Fatalf("output %d", p.Output)
				}
				if tt.p.Prompt.Shared == 0 {
					continue
				}
				// All of a group begin alike for exactly the asked number of tokens, now and then for one or two more by chance.
				if first, ok := groups[p.Group]; !ok {
					groups[p.Group] = got
				} else if c := common(first, got); c < tt.p.Prompt.Shared || c > tt.p.Prompt.Shared+2 {
					t.Fatalf("prompt %d shares %d tokens with its group, want %d", n, c, tt.p.Prompt.Shared)
				}
			}
			if tt.p.Prompt.Shared > 0 && len(groups) != tt.p.Prompt.Groups {
				t.Errorf("%d groups", len(groups))
			}
			if err := m.Verify(context.Background(), &tt.f); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("Verify sees a template that has changed since", func(t *testing.T) {
		m := made(t, point("200"), learn(t, &fake{}), chat())
		if err := m.Verify(context.Background(), &fake{system: true}); err == nil || !strings.Contains(err.Error(), "made to be 200 tokens long is 2") {
			t.Error(err)
		}
	})
}

func TestThePromptOfANumberIsAlwaysTheSame(t *testing.T) {
	f := &fake{}
	v := learn(t, f)
	for _, o := range []Options{chat(), completions()} {
		p := point("uniform:100-300", seeded(5))
		a, b := made(t, p, v, o), made(t, p, v, o)
		want := make([]Prompt, 100)
		for i := range want {
			want[i] = a.Prompt(uint32(i))
		}
		// Another maker is asked from the end, by several at a time.
		got := make([]Prompt, 100)
		var all sync.WaitGroup
		for w := range 4 {
			all.Go(func() {
				for i := 99 - w; i >= 0; i -= 4 {
					got[i] = b.Prompt(uint32(i))
				}
			})
		}
		all.Wait()
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		other := made(t, point("uniform:100-300", seeded(6)), v, o)
		same := 0
		for i := range want {
			if other.Prompt(uint32(i)).Tokens == want[i].Tokens {
				same++
			}
		}
		if same > 10 {
			t.Errorf("another seed gave %d of 100 lengths again", same)
		}
	}
}

// TestColdPromptsBeginLikeNoneBefore compares what two runs with one seed send: nothing of it may be in a cache.
func TestColdPromptsBeginLikeNoneBefore(t *testing.T) {
	f := &fake{}
	v := learn(t, f)
	head := v.user.before
	for _, tt := range []struct {
		name string
		p    shape.Point
		o    func(uint64) Options
		cold string
		head int // tokens that all prompts begin with whatever is done
	}{
		{"by salt", point("200", cache(shape.Cold)), func(n uint64) Options { return chat(salt, nonce(n)) }, "cache_salt", 0},
		{"by salt in preference to all else", point("200", cache(shape.Cold)), func(n uint64) Options { return completions(salt, noCache, nonce(n)) }, "cache_salt", 0},
		{"by telling the server not to use its cache", point("200", cache(shape.Cold)), func(n uint64) Options { return chat(noCache, nonce(n)) }, "cache_prompt: false", 0},
		{"by unique words", point("200", cache(shape.Cold)), func(n uint64) Options { return completions(nonce(n)) }, "unique first words", 0},
		{"by unique words after the template", point("200", cache(shape.Cold)), func(n uint64) Options { return chat(nonce(n)) }, "unique first words", head},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := map[string]bool{}
			for run := range uint64(3) {
				m := made(t, tt.p, v, tt.o(run))
				if m.Cold() != tt.cold {
					t.Fatalf("cold by %q", m.Cold())
				}
				for n := range uint32(500) {
					p := m.Prompt(n)
					if p.NoCache {
						continue
					}
					got := ids(t, f, p)
					// A cache's block has at least 16 tokens; here even 10 after the head never come twice.
					key := fmt.Sprint(p.Salt, got[:tt.head+10])
					if seen[key] {
						t.Fatalf("prompt %d of run %d begins like one before", n, run)
					}
					seen[key] = true
				}
			}
		})
	}
	t.Run("neighbours differ in their first word", func(t *testing.T) {
		m := made(t, point("200", cache(shape.Cold)), v, completions())
		for n := range uint32(500) {
			if m.Prompt(n).IDs[0] == m.Prompt(n + 1).IDs[0] {
				t.Fatal(n)
			}
		}
	})
	t.Run("a shared part is shared within the run and not with another", func(t *testing.T) {
		for _, o := range []func(uint64) Options{func(n uint64) Options { return chat(salt, nonce(n)) }, func(n uint64) Options { return chat(noCache, nonce(n)) }} {
			p := point("300", shared(200, 1), cache(shape.Cold))
			a, b := made(t, p, v, o(1)), made(t, p, v, o(2))
			x, y, z := a.Prompt(0), a.Prompt(1), b.Prompt(0)
			if c := common(ids(t, f, x), ids(t, f, y)); x.Salt != y.Salt || c < 200 || x.NoCache {
				t.Errorf("within a run %d tokens are shared, salts %q and %q", c, x.Salt, y.Salt)
			}
			if c := common(ids(t, f, x), ids(t, f, z)); x.Salt == z.Salt && c > v.system.before {
				t.Errorf("two runs share %d tokens", c)
			}
		}
	})
	t.Run("warm prompts carry nothing and come again", func(t *testing.T) {
		p := point("200", cache(shape.Warm))
		a, b := made(t, p, v, chat(salt, nonce(1))), made(t, p, v, chat(salt, nonce(2)))
		if d := cmp.Diff(a.Prompt(3), b.Prompt(3)); d != "" || a.Cold() != "" || a.Prompt(3).Salt != "" {
			t.Errorf("%s, cold by %q", d, a.Cold())
		}
	})
}

func TestConversations(t *testing.T) {
	f := &fake{}
	v := learn(t, f)
	t.Run("a chat grows by exactly what a turn has and the answer", func(t *testing.T) {
		m := made(t, point("uniform:100-140", shared(60, 1), turns(4)), v, chat())
		p, n := m.Prompt(2), 0
		before := len(ids(t, f, p))
		for {
			const answer = " answer of five words and more"
			next, more := m.Next(p, Answer{Text: strings.TrimSpace(answer)})
			if !more {
				break
			}
			n++
			got := len(ids(t, f, next))
			// The answer's first word has no space before it: six bytes, and five words.
			grown := got - before - (6 + 5)
			if grown < 40 || grown > 80 || int(next.Turn) != n || next.Number != 2 || next.Group != 0 || next.Tokens != Unknown {
				t.Fatalf("turn %d of prompt %d in group %d grew by %d", next.Turn, next.Number, next.Group, grown)
			}
			if c := common(ids(t, f, p), ids(t, f, next)); c < before-v.user.around {
				t.Fatalf("turn %d has only %d tokens of the turn before", n, c)
			}
			p, before = next, got
		}
		if n != 3 {
			t.Errorf("%d further turns", n)
		}
	})
	t.Run("ids go on as ids and stay exact", func(t *testing.T) {
		m := made(t, point("50", turns(3)), v, completions())
		p := m.Prompt(0)
		next, _ := m.Next(p, Answer{IDs: []int32{7, 8, 9}, Text: "x"})
		if next.Tokens != 103 || len(next.IDs) != 103 || common(p.IDs, next.IDs) != 50 || next.IDs[50] != 7 {
			t.Errorf("%d tokens: %v", next.Tokens, next.IDs)
		}
		if again, _ := m.Next(p, Answer{IDs: []int32{7, 8, 9}, Text: "x"}); cmp.Diff(next, again) != "" {
			t.Error("the same turn came out differently")
		}
	})
	t.Run("ids go on as text where the answer is text", func(t *testing.T) {
		m := made(t, point("50", turns(3)), v, completions())
		p := m.Prompt(0)
		next, _ := m.Next(p, Answer{Text: " the answer"})
		if got := f.encode(next.Text); next.IDs != nil || common(p.IDs, got) != 50 || len(got) != 102 || next.Tokens != Unknown {
			t.Errorf("%d tokens, %d as before: %q", len(got), common(p.IDs, got), next.Text)
		}
		third, _ := m.Next(next, Answer{Text: " yes"})
		if !strings.HasPrefix(third.Text, next.Text+" yes ") {
			t.Errorf("%q", third.Text)
		}
	})
	t.Run("one that grew beyond the server's limit is over", func(t *testing.T) {
		m := made(t, point("50", turns(3)), v, completions(func(o *Options) { o.Limit = 200 }))
		p := m.Prompt(0)
		if _, more := m.Next(p, Answer{Text: "x", Total: 142}); !more { // 142 + 50 + 8 fit exactly
			t.Error("ended too early")
		}
		if _, more := m.Next(p, Answer{Text: "x", Total: 143}); more {
			t.Error("went on")
		}
	})
	t.Run("a template that forgets answers is told", func(t *testing.T) {
		m := made(t, point("50", turns(3)), learn(t, &fake{turnsOdd: true}), chat())
		if l := strings.Join(m.Lacks(), ""); !strings.Contains(l, "earlier turns") {
			t.Errorf("lacks %q", l)
		}
	})
}

func TestWhatCannotBeMade(t *testing.T) {
	f := &fake{}
	v := learn(t, f)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	from := func(path string, c shape.Cache) shape.Point {
		p := point("", cache(c))
		p.Prompt = shape.Prompt{File: path}
		return p
	}
	messages := file("m.jsonl", `{"messages":[{"role":"user","content":"x"}]}`)
	numbers := file("i.jsonl", `{"prompt":[1,2]}`)
	for _, tt := range []struct {
		name string
		p    shape.Point
		o    Options
		want string
	}{
		{"a chat shorter than its template", point("10"), chat(), "prompt.length: 10 tokens, and what stands around every prompt takes 25 (the chat template): at least 26, or completions"},
		{"a shared part shorter than what the template shares", point("100", shared(5, 1)), chat(), "prompt.shared: 5 tokens, and the chat template alone puts 28 before the shared words' end: at least 28, or completions"},
		{"a shared part that leaves no room", point("105", shared(100, 1)), chat(), "prompt.length: 105 tokens, and what stands around every prompt takes 113 (the chat template): at least 114, or completions"},
		{"turns shorter than the template", point("90", shared(64, 1), turns(3)), chat(), "prompt.length: 26 new tokens a turn, and the chat template alone takes 27: at least 92, or completions"},
		{"messages for completions", from(messages, shape.Warm), completions(), "DIR/m.jsonl:1: messages, and the server is asked for completions: only a chat has messages"},
		{"ids for a chat", from(numbers, shape.Warm), chat(), "DIR/i.jsonl:1: token ids, and the server is asked for chats: only completions have them"},
		{"ids for a server that takes none", from(numbers, shape.Warm), Options{API: shape.Completions}, "DIR/i.jsonl:1: token ids, and this server takes none"},
		{"a file's prompts kept cold without salt", from(messages, shape.Cold), chat(), "cache: this server has no cache_salt, so that prompts from a file can't be kept out of its cache: choose warm"},
		{"a file that isn't there", from(filepath.Join(dir, "none"), shape.Warm), chat(), "DIR/none: no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.p, v, tt.o)
			if err == nil || strings.ReplaceAll(err.Error(), dir, "DIR") != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if len(shape.Problems(err)) != 1 {
				t.Error("it is no shape.Problem")
			}
		})
	}
	t.Run("drawn lengths below the template are made longer, and that is said", func(t *testing.T) {
		m := made(t, point("uniform:1-40"), v, chat(salt))
		for n := range uint32(100) {
			if p := m.Prompt(n); p.Tokens < 26 || p.Tokens > 40 || len(ids(t, f, p)) != p.Tokens {
				t.Fatalf("%d tokens", p.Tokens)
			}
		}
		if l := strings.Join(m.Lacks(), "|"); l != "prompts drawn shorter than 26 tokens are made that long: the chat template takes 25 of them" {
			t.Error(l)
		}
	})
	t.Run("without a tokenizer a prompt has as many words, and no count is claimed", func(t *testing.T) {
		for _, o := range []Options{chat(), completions()} {
			m := made(t, point("100", cache(shape.Warm)), Unlearned(), o)
			p := m.Prompt(0)
			text := p.Text
			if o.API == shape.Chat {
				text = strings.TrimPrefix(p.Messages[0].Content, lead)
			}
			if n := len(strings.Fields(text)); n != 100 || p.Tokens != Unknown || p.IDs != nil || len(m.Lacks()) != 2 {
				t.Errorf("%d words, %d tokens, lacks %q", n, p.Tokens, m.Lacks())
			}
		}
	})
	t.Run("a server that takes no ids gets text and claims nothing", func(t *testing.T) {
		m := made(t, point("100", cache(shape.Warm)), v, Options{API: shape.Completions})
		if p := m.Prompt(0); len(f.encode(p.Text)) != 100 || p.Tokens != Unknown || len(m.Lacks()) != 1 {
			t.Errorf("%+v, lacks %q", p, m.Lacks())
		}
	})
}

func TestFilesAndTraces(t *testing.T) {
	f := &fake{}
	v := learn(t, f)
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("a file's prompts come in turn and begin again", func(t *testing.T) {
		p := point("", cache(shape.Cold))
		p.Prompt = shape.Prompt{File: write("one\n{\"messages\": [{\"role\": \"user\", \"content\": \"two\"}]}\n")}
		m := made(t, p, v, chat(salt, nonce(3)))
		want := []string{
			`"messages":[{"role":"user","content":"one"}],"cache_salt":"pitwall-3-0"`,
			`"messages":[{"role":"user","content":"two"}],"cache_salt":"pitwall-3-1"`,
			`"messages":[{"role":"user","content":"one"}],"cache_salt":"pitwall-3-2"`,
		}
		for n, w := range want {
			got := m.Prompt(uint32(n))
			if s := string(got.Append(nil)); s != w || got.Tokens != Unknown {
				t.Errorf("%s, want %s", s, w)
			}
		}
	})
	t.Run("a trace says how long each is and what it shares", func(t *testing.T) {
		p := point("", shared(40, 0))
		p.Arrival = shape.Arrival{Kind: shape.Trace, Trace: write("time,input,output,prefix\n0,100,5,a\n1,90,,b\n2,60,7,a\n3,20,1,\n")}
		for _, o := range []Options{completions(), chat()} {
			m := made(t, p, v, o)
			var all []Prompt
			for n := range uint32(5) {
				q := m.Prompt(n)
				if n == 3 && o.API == shape.Chat { // shorter than the template
					if q.Tokens != 26 {
						t.Errorf("%d tokens", q.Tokens)
					}
				} else if want := []int{100, 90, 60, 20, 100}[n]; q.Tokens != want {
					t.Errorf("prompt %d has %d tokens, want %d", n, q.Tokens, want)
				}
				if len(ids(t, f, q)) != q.Tokens || q.Output != []int{5, 8, 7, 1, 5}[n] || q.Group != []int32{0, 1, 0, Unknown, 0}[n] {
					t.Errorf("prompt %d: %+v", n, q)
				}
				all = append(all, q)
			}
			if c := common(ids(t, f, all[0]), ids(t, f, all[2])); c < 40 || c > 42 {
				t.Errorf("one group shares %d tokens", c)
			}
			if c := common(ids(t, f, all[0]), ids(t, f, all[1])); c >= 40 {
				t.Errorf("two groups share %d tokens", c)
			}
		}
	})
	t.Run("a Mooncake trace's hashes are shared blocks", func(t *testing.T) {
		line := `{"timestamp": %d, "input_length": %d, "output_length": 1, "hash_ids": [%s]}` + "\n"
		p := point("")
		p.Arrival = shape.Arrival{Kind: shape.Trace, Trace: write(fmt.Sprintf(line, 0, 1300, "4,5,6") + fmt.Sprintf(line, 1, 1100, "4,5,7") + fmt.Sprintf(line, 2, 100, "9"))}
		for _, c := range []shape.Cache{shape.Warm, shape.Cold} {
			p.Cache = c
			m := made(t, p, v, completions(nonce(5)))
			a, b, z := m.Prompt(0).IDs, m.Prompt(1).IDs, m.Prompt(2).IDs
			if len(a) != 1300 || len(b) != 1100 || len(z) != 100 {
				t.Errorf("%d, %d, %d tokens", len(a), len(b), len(z))
			}
			if c := common(a, b); c < 1024 || c > 1026 {
				t.Errorf("%d tokens shared, want two blocks of 512", c)
			}
			if c := common(a, z); c > 2 {
				t.Errorf("%d tokens shared with a prompt of another hash", c)
			}
		}
	})
}

func TestAppendIsJSON(t *testing.T) {
	for _, p := range []Prompt{
		{IDs: []int32{1, 22, 333}, Salt: `a"b`},
		{Text: "plain"}, {Text: "tab\tquote\" \\ é \U0001f600 <b> \xff \u2028"}, {Text: ""},
		{Messages: []Message{{"system", "x"}, {"user", "line\nline"}}, NoCache: true},
		{Raw: []byte(`[{"role":"user","content":[{"type":"text","text":"x"}]}]`)},
	} {
		got := append(p.Append([]byte(`{"model":"m",`)), '}')
		var back struct {
			Prompt      json.RawMessage
			Messages    json.RawMessage
			CacheSalt   string `json:"cache_salt"`
			CachePrompt *bool  `json:"cache_prompt"`
		}
		if err := json.Unmarshal(got, &back); err != nil {
			t.Errorf("%s: %v", got, err)
			continue
		}
		var want []byte
		switch {
		case p.Raw != nil:
			want = p.Raw
		case p.Messages != nil:
			want, _ = json.Marshal(p.Messages)
		case p.IDs != nil:
			want, _ = json.Marshal(p.IDs)
		default:
			want, _ = json.Marshal(p.Text)
		}
		if have := append(append([]byte{}, back.Prompt...), back.Messages...); !bytes.Equal(have, want) {
			t.Errorf("%s, want %s", have, want)
		}
		if back.CacheSalt != p.Salt || (back.CachePrompt != nil) != p.NoCache {
			t.Errorf("%s", got)
		}
	}
}

// BenchmarkPrompt makes a prompt of 512 tokens and its JSON; the budget is 200 µs, and the peer in the same run is what encoding/json
// needs to write the same prompt, which is the least that a client without this package would pay.
func BenchmarkPrompt(b *testing.B) {
	f := &fake{}
	v := learn(b, f)
	for _, o := range []Options{completions(salt), chat(salt)} {
		m := made(b, point("512"), v, o)
		b.Run(string(o.API), func(b *testing.B) {
			var buf []byte
			for n := uint32(0); b.Loop(); n++ {
				p := m.Prompt(n)
				buf = p.Append(buf[:0])
			}
		})
		b.Run(string(o.API)+" peer", func(b *testing.B) {
			p := m.Prompt(0)
			for b.Loop() {
				if _, err := json.Marshal(map[string]any{"prompt": p.IDs, "messages": p.Messages}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
