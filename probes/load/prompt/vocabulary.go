package prompt

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"pitwall/probes/load/seed"
)

// words.txt holds frequent English words: most vocabularies have most of them as one token each.
//
//go:embed words.txt
var wordList string

// Vocabulary is what was learned of one model's tokenizer. It doesn't change and may be shared; learn it once per server and model.
type Vocabulary struct {
	// words are tokens of their own after a space, ids their ids in the same order; without ids nothing was learned.
	words []string
	ids   []int32
	byID  map[int32]int32
	// user is a conversation of one message from the user, system one with a system message before it; nil where the server
	// takes none, or where its template does more to a text than put something around it.
	user, system *template
	// turn is how many tokens an assistant's message and the user's next one add beside their words; Unknown if that isn't so.
	turn  int
	lacks []string
}

// template is how many tokens a chat template adds, with the lead word of each message.
type template struct {
	// before is how many tokens stand before the first word, between how many between the first message's words and the second's
	// (with a system message), around all that are no words.
	before, between, around int
}

// lead begins every message of a chat: templates trim texts, and a first word without its space would be another token.
const lead = "Please"

// fewest is how many words it takes to make prompts that are told apart by their first few.
const fewest = 64

// Learn finds words that are one token each, and how many tokens the chat template adds, by asking t about ten times. limit is
// the server's max_model_len, 0 if not known: texts are kept below it. It checks what it found on random texts, and what does
// not hold is not used: Lacks says so. The error is the tokenizer's, when it can't be asked at all.
func Learn(ctx context.Context, t Tokenizer, limit int) (*Vocabulary, error) {
	if limit <= 0 {
		limit = 2048
	}
	l := &learner{t: t, limit: limit, v: &Vocabulary{turn: Unknown}}
	if err := l.words(ctx); err != nil {
		return nil, err
	}
	if l.v.ids == nil {
		u := Unlearned()
		u.lacks = append(l.v.lacks, u.lacks[1:]...)
		return u, nil
	}
	if err := l.chat(ctx); err != nil {
		return nil, err
	}
	return l.v, nil
}

// Unlearned is the vocabulary for a server that has no tokenizer to ask: plain English words, and no count is known before the
// server's usage tells.
func Unlearned() *Vocabulary {
	return &Vocabulary{words: strings.Fields(wordList), turn: Unknown, lacks: []string{
		"the server has no tokenizer to ask",
		"prompts have as many words as tokens were asked for; how many tokens that came to is known from the server's usage alone",
	}}
}

// Lacks are the reasons, one sentence each, why lengths are not exact; empty if they are.
func (v *Vocabulary) Lacks() []string { return slices.Clone(v.lacks) }

// Words is how many words are known to be one token each; 0 if nothing was learned.
func (v *Vocabulary) Words() int { return len(v.ids) }

// learner asks.
type learner struct {
	t     Tokenizer
	limit int
	v     *Vocabulary
	tried uint64
}

// words finds the words that are one token: in a text where a word that is one stands between all others, whatever lies between
// two of it is the token or the tokens of the other. That takes a few questions for hundreds of words.
func (l *learner) words(ctx context.Context) error {
	comma, all := "", strings.Fields(wordList)
	var mark int32
	for _, w := range []string{"the", "of", "a"} {
		ids, err := l.t.Tokens(ctx, strings.Repeat(" "+w, 4))
		if err != nil {
			return fmt.Errorf("asking the server's tokenizer: %w", err)
		}
		if len(ids) == 4 && ids[0] == ids[1] && ids[1] == ids[2] && ids[2] == ids[3] {
			comma, mark = " "+w, ids[0]
			break
		}
	}
	if comma == "" {
		l.v.lacks = append(l.v.lacks, "the model's tokenizer has no common English word as one token")
		return nil
	}
	l.v.words, l.v.ids, l.v.byID = nil, nil, map[int32]int32{}
	for batch := range slices.Chunk(all, max(1, min(450, l.limit/4))) {
		if err := l.batch(ctx, comma, mark, batch); err != nil {
			return err
		}
	}
	if len(l.v.ids) < fewest {
		l.v.lacks = append(l.v.lacks, fmt.Sprintf("the model's tokenizer has only %d common English words as one token each", len(l.v.ids)))
		l.v.ids = nil
		return nil
	}
	// What holds for each word beside the mark has to hold for any two of them.
	text, want := l.sample(min(200, l.limit/4))
	ids, err := l.t.Tokens(ctx, text)
	if err != nil {
		return fmt.Errorf("asking the server's tokenizer: %w", err)
	}
	if !slices.Equal(ids, want) {
		l.v.lacks = append(l.v.lacks, "the model's tokenizer joins words: lengths can't be made by counting them")
		l.v.ids = nil
	}
	return nil
}

// batch asks about some words. Where one of them holds the mark, or was joined with it, the stretches don't tell whose they are: then
// about each half, down to a few words, which are given up.
func (l *learner) batch(ctx context.Context, comma string, mark int32, batch []string) error {
	var text strings.Builder
	var asked []string
	text.WriteString(comma)
	for _, w := range batch {
		if " "+w != comma {
			asked = append(asked, w)
			text.WriteString(" " + w + comma)
		}
	}
	ids, err := l.t.Tokens(ctx, text.String())
	if err != nil {
		return fmt.Errorf("asking the server's tokenizer: %w", err)
	}
	if l.take(asked, ids, mark) || len(batch) < 50 {
		return nil
	}
	half := len(batch) / 2
	if err := l.batch(ctx, comma, mark, batch[:half]); err != nil {
		return err
	}
	return l.batch(ctx, comma, mark, batch[half:])
}

// take keeps the words whose stretch between two marks is one token that no other word has; false: there are more or fewer stretches
// than words.
func (l *learner) take(asked []string, ids []int32, mark int32) bool {
	var stretches [][]int32
	from := -1
	for i, id := range ids {
		if id != mark {
			continue
		}
		if from >= 0 {
			stretches = append(stretches, ids[from:i])
		}
		from = i + 1
	}
	if len(stretches) != len(asked) || len(ids) == 0 || ids[0] != mark || from != len(ids) {
		return false
	}
	for i, s := range stretches {
		if len(s) != 1 || s[0] < 0 {
			continue
		}
		if _, taken := l.v.byID[s[0]]; taken {
			continue
		}
		l.v.byID[s[0]] = int32(len(l.v.ids))
		l.v.words, l.v.ids = append(l.v.words, asked[i]), append(l.v.ids, s[0])
	}
	return true
}

// sample is a text of n random words, and its ids; another one each time.
func (l *learner) sample(n int) (string, []int32) {
	r := seed.Rand(0, seed.Learning, l.tried)
	l.tried++
	var text strings.Builder
	ids := make([]int32, n)
	for i := range ids {
		k := r.IntN(len(l.v.ids))
		text.WriteString(" " + l.v.words[k])
		ids[i] = l.v.ids[k]
	}
	return text.String(), ids
}

// chat measures the template. Each measure is made twice, with other words and another number of them, and counts only when both
// agree and the words' own ids stand in one piece where they should.
func (l *learner) chat(ctx context.Context) error {
	lack := func(what string) { l.v.lacks = append(l.v.lacks, what) }
	var user, system [2]*template
	var noSystem error
	// A template may be longer than many a prompt: it must fit, and so must its words.
	short := max(1, min(40, l.limit/8))
	for i := range 2 {
		n := 3 + i*short
		text, words := l.sample(n)
		ids, err := l.t.Chat(ctx, []Message{{"user", lead + text}})
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("asking the server's tokenizer: %w", err)
			}
			lack("a chat's prompts can't be counted before they are sent: " + err.Error())
			return nil
		}
		if at := find(ids, words); at >= 0 {
			user[i] = &template{before: at, around: len(ids) - n}
		}
	}
	if user[0] == nil || user[1] == nil || *user[0] != *user[1] {
		lack("the chat template does more to a text than to put something around it: a chat's prompts can't be counted before they are sent")
		return nil
	}
	l.v.user = user[0]
	for i := range 2 {
		n, m := 3+i*short, 5+i*short/2
		first, firstIDs := l.sample(n)
		then, thenIDs := l.sample(m)
		ids, err := l.t.Chat(ctx, []Message{{"system", lead + first}, {"user", lead + then}})
		if err != nil {
			noSystem = err
			break
		}
		a, b := find(ids, firstIDs), find(ids, thenIDs)
		if a >= 0 && b >= a+n {
			system[i] = &template{before: a, between: b - a - n, around: len(ids) - n - m}
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case noSystem == nil && system[0] != nil && system[1] != nil && *system[0] == *system[1]:
		l.v.system = system[0]
	}
	return l.turns(ctx, short)
}

// turns measures what a further turn adds. The assistant's words of the measure begin with a lead word too; a real answer doesn't,
// so that its tokens are taken out.
func (l *learner) turns(ctx context.Context, short int) error {
	leads, err := l.t.Tokens(ctx, lead)
	if err != nil {
		return fmt.Errorf("asking the server's tokenizer: %w", err)
	}
	var turn [2]int
	for i := range turn {
		n := [3]int{3 + i, 4 + i*short/2, 5 + i*short/2}
		var texts [3]string
		for j := range n {
			texts[j], _ = l.sample(n[j])
		}
		ids, err := l.t.Chat(ctx, []Message{{"user", lead + texts[0]}, {"assistant", lead + texts[1]}, {"user", lead + texts[2]}})
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("asking the server's tokenizer: %w", err)
			}
			return nil
		}
		turn[i] = len(ids) - l.v.user.around - n[0] - n[1] - n[2] - len(leads)
	}
	if turn[0] == turn[1] && turn[0] >= 0 {
		l.v.turn = turn[0]
	}
	return nil
}

// find is where part stands in whole, -1 if it doesn't.
func find(whole, part []int32) int {
	for i := 0; i+len(part) <= len(whole); i++ {
		if slices.Equal(whole[i:i+len(part)], part) {
			return i
		}
	}
	return -1
}
