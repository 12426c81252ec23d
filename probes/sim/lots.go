package sim

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxLogprobs is how many alternatives of a token a request may ask for, vLLM's default of --max-logprobs.
const maxLogprobs = 20

// A model's logits in bf16 lie on a grid; near the top its step is an eighth.
const marginStep = 0.125

// lots draws what a model would compute: for each place of an answer which tokens are likely, and how much. Equal seeds draw
// equally. No text comes from it; it belongs to the text.
type lots struct {
	t    *tokenizer
	seed uint64
	// flipRate is the probability that a place comes out differently because of the batch; see Options.FlipRate.
	flipRate float64
}

// candidate is one token with its log-probability.
type candidate struct {
	token   int
	logprob float64
}

func (l *lots) place(i, best int) uint64 { return mix(mix(l.seed, uint64(i)+1), uint64(best)) }

// unit makes a number from 0 to below 1 of a hash.
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// fragile tells whether the two best tokens of a place are so near that the order of sums can decide between them. Four times
// as many are as will flip.
func (l *lots) fragile(h uint64) bool { return l.flipRate > 0 && unit(mix(h, 'f')) < 4*l.flipRate }

// flips tells whether a place comes out differently in a batch of this size than alone.
func (l *lots) flips(i, best, batch int) bool {
	h := l.place(i, best)
	if batch < 2 || !l.fragile(h) {
		return false
	}
	return unit(mix(h, uint64(batch)<<8|'b')) < l.flipRate/min(1, 4*l.flipRate)
}

// draw gives the n likeliest tokens of a place whose likeliest is best, in falling order.
func (l *lots) draw(i, best, n int) []candidate {
	h := l.place(i, best)
	// The best leads by a quarter to seven, mostly by little; the others follow at growing distances.
	lead := unit(mix(h, 'm'))
	margin := marginStep * (2 + math.Floor(54*lead*lead))
	if l.fragile(h) {
		margin = marginStep * float64(mix(h, 'd')>>32&1)
	}
	out := append(make([]candidate, 0, maxLogprobs), candidate{best, 0})
	sum := 1.0
	for k := 1; len(out) < maxLogprobs; k++ {
		token := idSpaced + int(mix(h, uint64(k)<<16)%uint64(len(l.t.words)))
		if slices.ContainsFunc(out, func(c candidate) bool { return c.token == token }) {
			continue
		}
		out = append(out, candidate{token, -margin})
		sum += math.Exp(-margin)
		margin += marginStep * (8 + math.Floor(12*unit(mix(h, uint64(k)<<16|1))))
	}
	// What is left of the probability is for the rest of the vocabulary: a hundredth.
	whole := math.Log(1.01 * sum)
	for k := range out {
		out[k].logprob -= whole
	}
	return out[:n]
}

// piece gives a token as the API shows it: bytes that are no character of their own become U+FFFD.
func (t *tokenizer) piece(id int) (text string, raw []byte) {
	raw = t.append(nil, id)
	if !utf8.Valid(raw) {
		return string(utf8.RuneError), raw
	}
	return string(raw), raw
}

// logprobs writes the log-probabilities of the tokens from sent to produced, null where none were asked for.
func (g *generation) logprobs(b []byte, a *answer, sent, produced int) []byte {
	n, ok := g.wants.topLogprobs(g.chat)
	if !ok {
		return append(b, "null"...)
	}
	if g.chat {
		return g.chatLogprobs(b, a, sent, produced, n)
	}
	return g.completionLogprobs(b, a, sent, produced, n)
}

// ranked gives a place's likeliest tokens, at least so many that the one that came out is among them, and which that is.
func (g *generation) ranked(a *answer, i, n int) (all []candidate, chosen candidate) {
	best := a.tokens[i]
	if was, flipped := a.flipped[i]; flipped {
		best = was
	}
	all = g.lots.draw(i, best, max(2, n))
	chosen = all[0]
	if best != a.tokens[i] {
		chosen = all[1]
	}
	return all[:n], chosen
}

func (g *generation) chatLogprobs(b []byte, a *answer, sent, produced, n int) []byte {
	one := func(c candidate) {
		text, raw := g.s.tokens.piece(c.token)
		b = append(b, `{"token":`...)
		b = appendJSON(b, text)
		b = append(b, `,"logprob":`...)
		b = strconv.AppendFloat(b, c.logprob, 'g', -1, 64)
		b = append(b, `,"bytes":[`...)
		for i, x := range raw {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(x), 10)
		}
		b = append(b, ']')
	}
	b = append(b, `{"content":[`...)
	for i := sent; i < produced; i++ {
		if i > sent {
			b = append(b, ',')
		}
		all, chosen := g.ranked(a, i, n)
		one(chosen)
		b = append(b, `,"top_logprobs":[`...)
		for k, c := range all {
			if k > 0 {
				b = append(b, ',')
			}
			one(c)
			b = append(b, '}')
		}
		b = append(b, "]}"...)
	}
	return append(b, "]}"...)
}

func (g *generation) completionLogprobs(b []byte, a *answer, sent, produced, n int) []byte {
	var offsets, values, tokens, tops []string
	offset := 0
	for i := range produced {
		text, _ := g.s.tokens.piece(a.tokens[i])
		if i < sent {
			offset += utf8.RuneCountInString(text)
			continue
		}
		all, chosen := g.ranked(a, i, n)
		offsets = append(offsets, strconv.Itoa(offset))
		values = append(values, strconv.FormatFloat(chosen.logprob, 'g', -1, 64))
		tokens = append(tokens, string(appendJSON(nil, text)))
		var top []string
		seen := map[string]bool{}
		for _, c := range append(all, chosen) { // the one that came out is always among them
			name, _ := g.s.tokens.piece(c.token)
			if !seen[name] {
				seen[name] = true
				top = append(top, string(appendJSON(nil, name))+":"+strconv.FormatFloat(c.logprob, 'g', -1, 64))
			}
		}
		tops = append(tops, "{"+strings.Join(top, ",")+"}")
		offset += utf8.RuneCountInString(text)
	}
	list := func(name string, items []string) {
		b = append(append(append(append(b, '"'), name...), `":[`...), strings.Join(items, ",")...)
		b = append(b, ']')
	}
	b = append(b, '{')
	list("text_offset", offsets)
	b = append(b, ',')
	list("token_logprobs", values)
	b = append(b, ',')
	list("tokens", tokens)
	b = append(b, ',')
	list("top_logprobs", tops)
	return append(b, '}')
}

// flip makes the answer go another way from its i-th token on if the batch makes it. What it says after that depends on the
// place alone, so that two that flip at the same place say the same. The engine's owner waits; mu is held.
func (g *generation) flip(i, batch int) {
	if !g.wants.greedy() || len(g.wants.Stop) > 0 || len(g.wants.StopTokenIDs) > 0 || !g.lots.flips(i, g.answer.tokens[i], batch) {
		return
	}
	old := g.answer
	if old.tokens[i] == endTurn {
		return // the length of an answer is settled before it begins
	}
	fresh := answer{reason: old.reason, stopReason: old.stopReason, flipped: map[int]int{i: old.tokens[i]}}
	for place, was := range old.flipped {
		fresh.flipped[place] = was
	}
	fresh.tokens = append(fresh.tokens, old.tokens[:i]...)
	fresh.tokens = append(fresh.tokens, g.lots.draw(i, old.tokens[i], 2)[1].token)
	speech := newSpeech(g.s.tokens, mix(g.lots.seed, uint64(i)<<20|0x666c6970))
	for len(fresh.tokens) < len(old.tokens) {
		fresh.tokens = append(fresh.tokens, speech.next())
	}
	if last := len(old.tokens) - 1; last > i && old.tokens[last] == endTurn {
		fresh.tokens[last] = endTurn
	}
	fresh.text = g.s.tokens.decode(fresh.tokens, false)
	g.answer = fresh
	g.hashes = chain(g.wants.CacheSalt, g.prompt, fresh.tokens, g.s.config.BlockSize)
}
