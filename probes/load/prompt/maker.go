package prompt

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pitwall/probes/load/seed"
	"pitwall/probes/load/shape"
)

// Maker makes one point's prompts. It is safe for concurrent use.
type Maker struct {
	p       shape.Point
	v       *Vocabulary
	o       Options
	lines   []shape.Line   // of a file of prompts
	entries []shape.Entry  // of a trace
	named   map[string]int // a trace's groups
	input   shape.Length
	output  shape.Length
	// alone is the form of prompts that share nothing, group that of prompts that begin like others.
	alone, group form
	blocky       bool // a trace says by hashes what is shared
	// exact is whether Tokens can be told.
	exact bool
	cold  coldness
	// digits is how many words it takes to tell cold prompts apart.
	digits int
	lacks  []string
	shared sync.Map // group → []int32, its words
}

// form is what stands around the words of a first turn, and is 0 where nothing is known.
type form struct {
	system bool // the shared part is a system message
	// around is what is no words, head what of it stands before the shared part's end, so that shared words = Shared - head.
	around, head int
}

// coldness is how a cold cache is made sure of.
type coldness string

const (
	warm     coldness = ""
	bySalt   coldness = "cache_salt"
	byNoHits coldness = "cache_prompt: false"
	byWords  coldness = "unique first words"
)

// New checks that the point's prompts can be made at all (a chat shorter than its template cannot), and reads the files it names.
// The point must be one that Validate accepts; it need not be Filled. An error is a *shape.Problem.
func New(p shape.Point, v *Vocabulary, o Options) (*Maker, error) {
	p = p.Filled()
	m := &Maker{p: p, v: v, o: o}
	m.exact = v.ids != nil && (o.API == shape.Chat && v.user != nil || o.API == shape.Completions && o.IDs)
	m.digits = int(math.Ceil(64 / math.Log2(float64(len(v.words)))))
	m.lacks = slices.Clone(v.lacks)
	if o.API == shape.Completions && !o.IDs && v.ids != nil {
		m.lacks = append(m.lacks, "the server takes no token ids: prompts are text, and what it puts before them is known from its usage alone")
	}
	if err := m.read(); err != nil {
		return nil, err
	}
	if err := m.keepCold(); err != nil {
		return nil, err
	}
	if p.Prompt.File != "" {
		return m, nil
	}
	if o.API == shape.Chat {
		if t := v.user; t != nil {
			m.alone = form{around: t.around}
			m.group = form{around: t.around, head: t.before}
		}
		if t := v.system; t != nil {
			m.group = form{system: true, around: t.around, head: t.before + t.between}
		}
		if p.Prompt.Turns > 1 && v.turn == Unknown && v.user != nil {
			m.lacks = append(m.lacks, "the chat template treats earlier turns in a way of its own: how many tokens a further turn adds is known from the server's usage alone")
		}
	}
	return m, m.room()
}

// read reads the files that the point names.
func (m *Maker) read() (err error) {
	p := m.p
	if m.output, err = p.Output.Length.Read(); err != nil {
		return err
	}
	if m.input, err = p.Prompt.Length.Read(); err != nil {
		return err
	}
	if p.Arrival.Kind == shape.Trace {
		if m.entries, err = shape.ReadTrace(p.Arrival.Trace); err != nil {
			return err
		}
		for _, e := range m.entries {
			m.blocky = m.blocky || len(e.Blocks) > 0
			if _, known := m.named[e.Prefix]; !known && e.Prefix != "" {
				if m.named == nil {
					m.named = map[string]int{}
				}
				m.named[e.Prefix] = len(m.named)
			}
		}
	}
	if p.Prompt.File == "" {
		return nil
	}
	if m.lines, err = shape.ReadPrompts(p.Prompt.File); err != nil {
		return err
	}
	for _, l := range m.lines {
		where := fmt.Sprintf("%s:%d", p.Prompt.File, l.Number)
		switch {
		case l.Messages != nil && m.o.API != shape.Chat:
			return &shape.Problem{Where: where, What: "messages, and the server is asked for completions", Hint: "only a chat has messages"}
		case l.IDs != nil && m.o.API == shape.Chat:
			return &shape.Problem{Where: where, What: "token ids, and the server is asked for chats", Hint: "only completions have them"}
		case l.IDs != nil && !m.o.IDs:
			return &shape.Problem{Where: where, What: "token ids, and this server takes none"}
		}
	}
	m.lacks = append(slices.DeleteFunc(m.lacks, func(s string) bool { return slices.Contains(m.v.lacks, s) }),
		"the prompts come from a file: how many tokens they are is known from the server's usage alone")
	return nil
}

// shares says whether prompts of the point are meant to begin alike.
func (m *Maker) shares() bool {
	return m.p.Prompt.Shared > 0 || m.p.Prompt.Turns > 1 || m.blocky
}

func (m *Maker) keepCold() error {
	if m.p.Cache != shape.Cold {
		return nil
	}
	switch {
	case m.o.Salt:
		m.cold = bySalt
	case m.o.NoCache && !m.shares():
		m.cold = byNoHits
	case m.p.Prompt.File != "":
		return &shape.Problem{Where: "cache", What: "this server has no cache_salt, so that prompts from a file can't be kept out of its cache", Hint: "choose warm"}
	default:
		m.cold = byWords
		if m.o.API == shape.Chat {
			n := "first tokens"
			if t := m.v.user; t != nil {
				n = fmt.Sprintf("first %d tokens", t.before)
			}
			m.lacks = append(m.lacks, "this server has no cache_salt: the chat template's "+n+" are the same in every prompt, and may be cached")
		}
	}
	return nil
}

// room checks that the words fit.
func (m *Maker) room() error {
	p := m.p.Prompt
	if p.Shared > 0 && m.group.head > p.Shared {
		return &shape.Problem{Where: "prompt.shared", What: fmt.Sprintf("%d tokens, and the chat template alone puts %d before the shared words' end", p.Shared, m.group.head),
			Hint: fmt.Sprintf("at least %d, or completions", m.group.head)}
	}
	if m.entries != nil {
		m.traceRoom()
		return nil
	}
	least, _ := m.input.Bounds()
	fewest, need := int(max(1, math.Round(least))), m.least(p.Shared > 0)
	turn := max(0, m.v.turn) + 1
	switch {
	case fewest < need && m.input.Draw == shape.Fixed:
		return &shape.Problem{Where: "prompt.length", What: fmt.Sprintf("%d tokens, and what stands around every prompt takes %d (the chat template)", fewest, need-1),
			Hint: fmt.Sprintf("at least %d, or completions", need)}
	case fewest < need:
		m.lacks = append(m.lacks, fmt.Sprintf("prompts drawn shorter than %d tokens are made that long: the chat template takes %d of them", need, need-1))
	}
	if m.o.API == shape.Chat && p.Turns > 1 && fewest-p.Shared < turn {
		if m.input.Draw == shape.Fixed {
			return &shape.Problem{Where: "prompt.length", What: fmt.Sprintf("%d new tokens a turn, and the chat template alone takes %d", fewest-p.Shared, turn-1),
				Hint: fmt.Sprintf("at least %d, or completions", turn+p.Shared)}
		}
		m.lacks = append(m.lacks, fmt.Sprintf("turns drawn shorter than %d tokens are made that long: the chat template takes %d of them", turn, turn-1))
	}
	m.beginnings(max(fewest, need) - m.alone.around)
	return nil
}

// traceRoom says which of a trace's prompts are made longer than it has them.
func (m *Maker) traceRoom() {
	short, room := 0, math.MaxInt
	for _, e := range m.entries {
		need := m.least(e.Prefix != "")
		if e.Input < need {
			short++
		}
		room = min(room, max(e.Input, need)-m.alone.around)
	}
	if short > 0 {
		m.lacks = append(m.lacks, fmt.Sprintf("%d of the trace's %d prompts are shorter than the chat template, and are made one word longer than it", short, len(m.entries)))
	}
	m.beginnings(room)
}

// beginnings says where prompts have too few words to begin like none before.
func (m *Maker) beginnings(words int) {
	if m.cold == byWords && !m.shares() && words < m.digits {
		m.lacks = append(m.lacks, fmt.Sprintf("prompts of %d words have only so many different beginnings: %d words are needed to be sure that none was sent before", words, m.digits))
	}
}

// least is the shortest prompt that can be made, in tokens, with a shared part or without.
func (m *Maker) least(shared bool) int {
	if shared {
		return m.group.around + m.p.Prompt.Shared - m.group.head + 1
	}
	return m.alone.around + 1
}

// Lacks are what the prompts cannot be on this server, one sentence each: "the server has no tokenizer to ask". Empty if everything is
// as asked.
func (m *Maker) Lacks() []string { return slices.Clone(m.lacks) }

// Cold is how a cold cache is made sure of, in a few words ("cache_salt"); empty where it may be warm.
func (m *Maker) Cold() string { return string(m.cold) }

// Prompt makes the n-th prompt (the first turn of the n-th conversation). In a trace n is the number of the entry; a file's prompts
// and a trace's entries begin again after the last.
func (m *Maker) Prompt(n uint32) Prompt {
	out := Prompt{Number: n, Group: Unknown, Tokens: Unknown, Output: m.answer(n, 0)}
	m.salt(&out)
	if m.lines != nil {
		m.line(&out, m.lines[int(n)%len(m.lines)])
		return out
	}
	size := 0
	var blocks []uint64
	switch {
	case m.entries != nil:
		e := m.entries[int(n)%len(m.entries)]
		size, blocks = e.Input, e.Blocks
		if g, ok := m.named[e.Prefix]; ok {
			out.Group = int32(g)
		}
	default:
		size = m.length(n, 0)
		if m.p.Prompt.Shared > 0 {
			out.Group = int32(int(n) % m.p.Prompt.Groups)
		}
	}
	m.fill(&out, max(size, m.least(out.Group != Unknown)), blocks)
	return out
}

// fill gives a first turn its words: size tokens in all.
func (m *Maker) fill(out *Prompt, size int, blocks []uint64) {
	var shared []int32
	form := m.alone
	if out.Group != Unknown {
		form, shared = m.group, m.prefix(out.Group)
	}
	own := make([]int32, size-form.around-len(shared))
	if len(blocks) > 0 {
		m.blocks(own, blocks)
	} else {
		r := seed.Source(m.p.Seed, seed.Words, uint64(out.Number))
		m.draw(own, r)
		if m.cold == byWords && shared == nil {
			m.number(own, seed.Mix(m.o.Nonce)+uint64(out.Number))
		}
	}
	if m.exact {
		out.Tokens = size
	}
	switch {
	case m.o.API == shape.Chat && shared != nil && form.system:
		out.Messages = []Message{{"system", m.text(lead, shared)}, {"user", m.text(lead, own)}}
	case m.o.API == shape.Chat:
		out.Messages = []Message{{"user", m.text(lead, shared, own)}}
	case m.exact:
		out.IDs = make([]int32, 0, size)
		for _, part := range [][]int32{shared, own} {
			for _, w := range part {
				out.IDs = append(out.IDs, m.v.ids[w])
			}
		}
	default:
		out.Text = m.text("", shared, own)
	}
}

// Next makes the turn after one that got an answer: the conversation so far, that answer as the model gave it (as an agent would send
// it back), and as many new tokens as a turn has. False: the conversation is over, or has grown so long that the server would refuse it. How many tokens an answer's text is when it is read
// again is the tokenizer's matter, and need not be how many it was made of; so the count of a chat's later turns is Unknown, and the
// cost of that is that only usage tells it. An answer given back as ids is exact.
func (m *Maker) Next(last Prompt, answer Answer) (Prompt, bool) {
	if int(last.Turn)+1 >= m.p.Prompt.Turns {
		return Prompt{}, false
	}
	out := Prompt{Number: last.Number, Turn: last.Turn + 1, Group: last.Group, Salt: last.Salt, NoCache: last.NoCache, Tokens: Unknown}
	out.Output = m.answer(out.Number, out.Turn)
	size := m.length(out.Number, out.Turn) - m.p.Prompt.Shared
	if so := answer.Total; m.o.Limit > 0 && so > 0 && so+size+out.Output > m.o.Limit {
		return Prompt{}, false
	}
	if m.o.API == shape.Chat {
		size -= max(0, m.v.turn)
	}
	own := make([]int32, max(1, size))
	m.draw(own, seed.Source(m.p.Seed, seed.Words, uint64(out.Turn)<<32|uint64(out.Number)))
	switch {
	case m.o.API == shape.Chat:
		out.Messages = append(append(make([]Message, 0, len(last.Messages)+2), last.Messages...),
			Message{"assistant", answer.Text}, Message{"user", m.text(lead, own)})
	case last.IDs != nil && answer.IDs != nil:
		out.IDs = append(append(make([]int32, 0, len(last.IDs)+len(answer.IDs)+len(own)), last.IDs...), answer.IDs...)
		for _, w := range own {
			out.IDs = append(out.IDs, m.v.ids[w])
		}
		out.Tokens = len(out.IDs)
	default:
		// Ids and text can't be mixed in one prompt, so it goes on as text.
		text := last.Text
		if last.IDs != nil {
			words := make([]int32, len(last.IDs))
			for i, id := range last.IDs {
				words[i] = m.v.byID[id]
			}
			text = m.text("", words)
		}
		out.Text = text + answer.Text + m.text("", own)
	}
	return out, true
}

// line makes a prompt of a file's line.
func (m *Maker) line(out *Prompt, l shape.Line) {
	switch {
	case l.Messages != nil:
		out.Raw = l.Messages
	case l.IDs != nil:
		out.IDs, out.Tokens = l.IDs, len(l.IDs)
	case m.o.API == shape.Chat:
		out.Messages = []Message{{"user", l.Text}}
	default:
		out.Text = l.Text
	}
}

func (m *Maker) salt(out *Prompt) {
	switch {
	case m.cold == byNoHits:
		out.NoCache = true
	case m.cold == bySalt && (m.p.Prompt.Shared > 0 || m.entries != nil && m.shares()):
		out.Salt = "pitwall-" + strconv.FormatUint(m.o.Nonce, 36)
	case m.cold == bySalt:
		out.Salt = "pitwall-" + strconv.FormatUint(m.o.Nonce, 36) + "-" + strconv.FormatUint(uint64(out.Number), 10)
	}
}

func (m *Maker) length(n uint32, turn uint16) int {
	if m.input.Draw == shape.Fixed {
		return m.input.Whole(nil)
	}
	return m.input.Whole(seed.Rand(m.p.Seed, seed.Input, uint64(turn)<<32|uint64(n)))
}

func (m *Maker) answer(n uint32, turn uint16) int {
	if m.entries != nil {
		if out := m.entries[int(n)%len(m.entries)].Output; out > 0 {
			return out
		}
	}
	if m.output.Draw == shape.Fixed {
		return m.output.Whole(nil)
	}
	return m.output.Whole(seed.Rand(m.p.Seed, seed.Output, uint64(turn)<<32|uint64(n)))
}

// prefix is the words of a group's shared part, made once.
func (m *Maker) prefix(group int32) []int32 {
	if got, ok := m.shared.Load(group); ok {
		return got.([]int32)
	}
	words := make([]int32, m.p.Prompt.Shared-m.group.head)
	m.draw(words, seed.Source(m.p.Seed, seed.Prefix, uint64(group)))
	if m.cold == byWords {
		m.number(words, seed.Mix(m.o.Nonce)+uint64(group))
	}
	got, _ := m.shared.LoadOrStore(group, words)
	return got.([]int32)
}

// blocks fills in the words that a Mooncake trace's hashes stand for.
func (m *Maker) blocks(own []int32, hashes []uint64) {
	rest := own
	for _, h := range hashes {
		part := rest[:min(len(rest), shape.BlockTokens)]
		m.draw(part, seed.Source(m.p.Seed, seed.Block, h))
		rest = rest[len(part):]
	}
	if m.cold == byWords {
		m.number(own, seed.Mix(m.o.Nonce)+seed.Mix(hashes[0]))
	}
}

// draw fills words with random ones.
func (m *Maker) draw(words []int32, r interface{ Uint64() uint64 }) {
	n := uint64(len(m.v.words))
	for i := 0; i < len(words); i += 2 {
		// Two words of one draw: the upper half of a product of 32 bits is even enough over a thousand words (Lemire, Fast random
		// integer generation in an interval, 2019, without the rejection: off by less than one in a million).
		x := r.Uint64()
		words[i] = int32((x & 0xffffffff) * n >> 32)
		if i+1 < len(words) {
			words[i+1] = int32((x >> 32) * n >> 32)
		}
	}
}

// number writes x into the first words, lowest digit first, so that neighbours differ in their first word.
func (m *Maker) number(words []int32, x uint64) {
	n := uint64(len(m.v.words))
	for i := range words[:min(len(words), m.digits)] {
		words[i] = int32(x % n)
		x /= n
	}
}

// text is the words with a space before each, after a beginning.
func (m *Maker) text(begin string, parts ...[]int32) string {
	size := len(begin)
	for _, part := range parts {
		for _, w := range part {
			size += 1 + len(m.v.words[w])
		}
	}
	var b strings.Builder
	b.Grow(size)
	b.WriteString(begin)
	for _, part := range parts {
		for _, w := range part {
			b.WriteByte(' ')
			b.WriteString(m.v.words[w])
		}
	}
	return b.String()
}
