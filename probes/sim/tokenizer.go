package sim

import (
	"strings"
	"unicode/utf8"
)

// The vocabulary has Llama 3's size and special tokens, but not its merges: a simulated engine needs text that takes about
// as many tokens as real text does, and ids that turn back into that text, not Llama's own ids. Every id is computed, so
// there is no table to ship: the 256 bytes, common words with and without a space before them, runs of three letters,
// numbers of three digits, pairs of printable characters, and single East Asian characters.
const (
	vocabulary = 128256
	beginText  = 128000
	endText    = 128001
	startHead  = 128006
	endHead    = 128007
	endTurn    = 128009
)

const commonWords = `
the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one
you were all her she there would their we him been has when who will no more if out so what up said about other into
than its time only could new them man some these then two first may any like now my such make over our even most me
state after also made many did must before back see through way where get much go well your know should down work year
because come people just say each those take day good how long little own use men here between both life being under
three never same another while last might great world still hand part high place small large number system house fact
point end off does against school set every water group home line without during again since room general want given
order important city present best whole course possible second light side often case early program result power study
model engine memory token cache block queue step batch request answer question prompt latency throughput server client
hardware driver kernel weight layer attention context window length stream speed clock sensor signal track race lap
corner tyre wing brake fuel pit wall team strategy weather rain wind data chart graph value unit error reason cause
effect test measure compare change steady warm cold fast slow low left right open close start stop wait run keep hold
read write find show help need try turn move call ask tell explain describe list name four five six seven eight nine
ten hundred thousand colour colours red blue green yellow white black capital country France Paris London Berlin Rome
Spain Italy Japan China river mountain sea ocean island bridge road train car plane ship tree flower bird dog cat
horse fish food bread milk coffee tea sugar salt fruit apple music song book paper letter word page story film game
play art science physics chemistry biology history language plus minus equal zero sum mean median percent rate count
total average maximum minimum limit budget cost price money market company office job task plan goal idea rule law
wrong true false yes maybe always usually sometimes rarely quickly slowly clearly simply exactly roughly however
therefore moreover instead although despite within across along around behind beside beyond toward upon hello please
thanks welcome
`

// Ranges of ids, each starting where the one before ends.
const (
	idBytes   = 0
	idWords   = idBytes + 256
	maxWords  = 512
	idSpaced  = idWords + maxWords // the same words after a space
	idPairs   = idSpaced + maxWords
	idLower   = idPairs + 95*95
	idLowerSp = idLower + 26*26*26
	idUpper   = idLowerSp + 26*26*26
	idUpperSp = idUpper + 26*26*26
	idDigits  = idUpperSp + 26*26*26
	idCJK     = idDigits + 1000
	idHangul  = idCJK + 0xA000 - 0x4E00
	idCJKB    = idHangul + 0xD7A4 - 0xAC00
)

var specials = map[string]int{
	"<|begin_of_text|>": beginText, "<|end_of_text|>": endText,
	"<|start_header_id|>": startHead, "<|end_header_id|>": endHead, "<|eot_id|>": endTurn,
}

// tokenizer turns text into ids and back. It has no state after newTokenizer.
type tokenizer struct {
	words []string
	index map[string]int
}

func newTokenizer() *tokenizer {
	t := &tokenizer{words: strings.Fields(commonWords), index: map[string]int{}}
	for i, w := range t.words {
		t.index[w] = i
	}
	return t
}

// encode always gives ids that decode gives the text back for, byte by byte.
func (t *tokenizer) encode(text string) []int {
	ids := make([]int, 0, len(text)/3+1)
	for len(text) > 0 {
		id, n := t.first(text)
		ids = append(ids, id)
		text = text[n:]
	}
	return ids
}

// first finds the longest piece at the start of a text that is not empty, and its length in bytes.
func (t *tokenizer) first(text string) (id, n int) {
	if strings.HasPrefix(text, "<|") {
		for s, id := range specials {
			if strings.HasPrefix(text, s) {
				return id, len(s)
			}
		}
	}
	space := 0
	if text[0] == ' ' {
		space = 1
	}
	run := space
	for run < len(text) && isLetter(text[run]) {
		run++
	}
	if i, ok := t.index[text[space:run]]; ok {
		return idWords + space*maxWords + i, run
	}
	if run-space >= 3 {
		a := text[space : space+3]
		if v, ok := trigram(a); ok {
			return idLower + space*26*26*26 + v, space + 3
		}
		if v, ok := trigram(strings.ToLower(a[:1]) + a[1:]); ok {
			return idUpper + space*26*26*26 + v, space + 3
		}
	}
	if len(text) >= 3 && isDigit(text[0]) && isDigit(text[1]) && isDigit(text[2]) {
		return idDigits + int(text[0]-'0')*100 + int(text[1]-'0')*10 + int(text[2]-'0'), 3
	}
	// A space belongs to the word after it, as in every tokenizer that looks at words first.
	if len(text) >= 2 && isPrintable(text[0]) && isPrintable(text[1]) && (space == 0 && text[1] != ' ' || space == 1 && run == 1) {
		return idPairs + int(text[0]-' ')*95 + int(text[1]-' '), 2
	}
	switch r, n := utf8.DecodeRuneInString(text); {
	case r >= 0x4E00 && r < 0xA000:
		return idCJK + int(r-0x4E00), n
	case r >= 0xAC00 && r < 0xD7A4:
		return idHangul + int(r-0xAC00), n
	case r >= 0x20000 && idCJKB+int(r-0x20000) < beginText:
		return idCJKB + int(r-0x20000), n
	}
	return idBytes + int(text[0]), 1
}

// append adds the bytes of a token to b. Special tokens have none, as where special tokens are skipped.
func (t *tokenizer) append(b []byte, id int) []byte {
	three := func(space bool, upper bool, v int) []byte {
		if space {
			b = append(b, ' ')
		}
		c := byte('a')
		if upper {
			c = 'A'
		}
		return append(b, c+byte(v/676), 'a'+byte(v/26%26), 'a'+byte(v%26))
	}
	word := func(i int) []byte {
		if i >= len(t.words) { // room left for more words: ids that encode never gives
			return utf8.AppendRune(b, utf8.RuneError)
		}
		return append(b, t.words[i]...)
	}
	switch {
	case id < idWords:
		return append(b, byte(id))
	case id < idSpaced:
		return word(id - idWords)
	case id < idPairs:
		b = append(b, ' ')
		return word(id - idSpaced)
	case id < idLower:
		return append(b, ' '+byte((id-idPairs)/95), ' '+byte((id-idPairs)%95))
	case id < idLowerSp:
		return three(false, false, id-idLower)
	case id < idUpper:
		return three(true, false, id-idLowerSp)
	case id < idUpperSp:
		return three(false, true, id-idUpper)
	case id < idDigits:
		return three(true, true, id-idUpperSp)
	case id < idCJK:
		v := id - idDigits
		return append(b, '0'+byte(v/100), '0'+byte(v/10%10), '0'+byte(v%10))
	case id < idHangul:
		return utf8.AppendRune(b, rune(id-idCJK+0x4E00))
	case id < idCJKB:
		return utf8.AppendRune(b, rune(id-idHangul+0xAC00))
	case id < beginText:
		return utf8.AppendRune(b, rune(id-idCJKB+0x20000))
	}
	return b
}

// decode gives the text of ids. withSpecials writes special tokens out, as /detokenize does.
func (t *tokenizer) decode(ids []int, withSpecials bool) string {
	var b []byte
	for _, id := range ids {
		if withSpecials && id >= beginText {
			for s, sid := range specials {
				if sid == id {
					b = append(b, s...)
				}
			}
			continue
		}
		b = t.append(b, id)
	}
	return string(b)
}

// message is one turn of a conversation.
type message struct{ role, content string }

// chat applies Llama 3's chat template, with the header of the answer at the end.
func (t *tokenizer) chat(messages []message) []int {
	ids := []int{beginText}
	header := func(role string) {
		ids = append(ids, startHead)
		ids = append(ids, t.encode(role)...)
		ids = append(ids, endHead)
		ids = append(ids, t.encode("\n\n")...)
	}
	for _, m := range messages {
		header(m.role)
		ids = append(ids, t.encode(strings.TrimSpace(m.content))...)
		ids = append(ids, endTurn)
	}
	header("assistant")
	return ids
}

func trigram(s string) (int, bool) {
	v := 0
	for i := range 3 {
		if s[i] < 'a' || s[i] > 'z' {
			return 0, false
		}
		v = v*26 + int(s[i]-'a')
	}
	return v, true
}

func isLetter(c byte) bool    { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool     { return c >= '0' && c <= '9' }
func isPrintable(c byte) bool { return c >= ' ' && c <= '~' }
