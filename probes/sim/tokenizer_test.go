package sim

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextTakesAboutAsManyTokensAsWithLlama(t *testing.T) {
	tok := newTokenizer()
	for _, c := range []struct {
		text string
		want int
	}{
		{"The capital of France is", 5},
		{"Name three colours.", 5},
		{"café 🏁", 8},
		{"2026", 2},
		{"車輪", 2},
	} {
		if got := len(tok.encode(c.text)); got != c.want {
			t.Errorf("%q: %d tokens, want %d", c.text, got, c.want)
		}
	}
	english := strings.Repeat("The scheduler admits requests in order, and preempts the youngest when memory runs out. ", 20)
	if perToken := float64(len(english)) / float64(len(tok.encode(english))); perToken < 2.5 || perToken > 5 {
		t.Errorf("%.1f characters per token", perToken)
	}
}

func TestEveryIDHasTextAndStaysInTheVocabulary(t *testing.T) {
	tok := newTokenizer()
	if len(tok.words) > maxWords || idCJKB >= beginText {
		t.Fatalf("%d words, ranges end at %d", len(tok.words), idCJKB)
	}
	for id := range beginText {
		if len(tok.append(nil, id)) == 0 {
			t.Fatalf("id %d has no text", id)
		}
	}
}

func FuzzTextComesBackByteByByte(f *testing.F) {
	for _, s := range []string{"The capital of France is", "<|eot_id|><|", "  a  b", "é→🏁", "\xff\xfe", "1234 999", "Übergröße", "한글 漢字 𠀀"} {
		f.Add(s)
	}
	tok := newTokenizer()
	f.Fuzz(func(t *testing.T, text string) {
		ids := tok.encode(text)
		for _, id := range ids {
			if id < 0 || id >= vocabulary {
				t.Fatalf("id %d of %q is out of the vocabulary", id, text)
			}
		}
		if back := tok.decode(ids, true); back != text {
			t.Errorf("%q came back as %q", text, back)
		}
	})
}

func FuzzAStreamIsTheWholeTextInValidPieces(f *testing.F) {
	f.Add(uint64(1), "", uint8(40))
	f.Add(uint64(2), ".", uint8(200))
	f.Add(uint64(3), " →", uint8(255))
	tok := newTokenizer()
	f.Fuzz(func(t *testing.T, seed uint64, stop string, most uint8) {
		w := wish{max: int(most) + 1, seed: seed, ignoreEOS: true}
		hold := 0
		if stop != "" {
			w.stop, hold = []string{stop}, len(stop)-1
		}
		a := tok.say(w)
		if stop != "" && strings.Contains(a.text, stop) {
			t.Errorf("the text contains the stop string %q", stop)
		}
		u := &unfolding{t: tok, whole: a.text, hold: hold}
		rng := rand.New(rand.NewPCG(seed, 9))
		var got string
		for at := 0; at < len(a.tokens); {
			to := min(at+1+rng.IntN(3), len(a.tokens))
			piece := u.add(a.tokens[at:to], to == len(a.tokens))
			if to < len(a.tokens) && !utf8.ValidString(piece) {
				t.Errorf("piece %q is not valid", piece)
			}
			got += piece
			at = to
		}
		if got != a.text {
			t.Errorf("pieces give %q, the whole is %q", got, a.text)
		}
	})
}

func TestAnswersKeepToWhatWasAsked(t *testing.T) {
	tok := newTokenizer()
	for seed := range uint64(200) {
		w := wish{max: 40, seed: seed, medianLength: 30}
		if a := tok.say(w); len(a.tokens) > 40 || (a.reason == Stop) != (a.tokens[len(a.tokens)-1] == endTurn) {
			t.Fatalf("seed %d: %d tokens, %v", seed, len(a.tokens), a.reason)
		}
		w.ignoreEOS = true
		if a := tok.say(w); len(a.tokens) != 40 || a.reason != Length {
			t.Fatalf("seed %d, ignore_eos: %d tokens, %v; want 40, length", seed, len(a.tokens), a.reason)
		}
		w.ignoreEOS, w.min = false, 40
		if a := tok.say(w); len(a.tokens) != 40 {
			t.Fatalf("seed %d, min_tokens 40: %d tokens", seed, len(a.tokens))
		}
	}
	a, b := tok.say(wish{max: 50, seed: 5, ignoreEOS: true}), tok.say(wish{max: 50, seed: 5, ignoreEOS: true})
	if a.text != b.text {
		t.Error("equal seeds said different things")
	}
}
