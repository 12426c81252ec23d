package sim

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// said is an answer's token ids and log-probabilities.
type said struct {
	Choices []struct {
		Message  struct{ Content string }
		TokenIDs []int `json:"token_ids"`
		Logprobs struct {
			Content []struct {
				Token   string
				Logprob float64
				Top     []struct {
					Token   string
					Logprob float64
				} `json:"top_logprobs"`
			}
		}
	}
	Metrics map[string]float64
	Usage   struct {
		Details *struct {
			Cached int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	}
}

func ask(t testing.TB, s *Server, more string) said {
	t.Helper()
	_, _, body := do(t, s, http.MethodPost, "/v1/chat/completions", []byte(`{"messages": [{"role": "user", "content": "Name three colours."}], "return_token_ids": true, "ignore_eos": true, `+more+`}`))
	var out said
	if err := json.Unmarshal(body, &out); err != nil || len(out.Choices) != 1 {
		t.Fatalf("%v in %s", err, body)
	}
	return out
}

func TestLogProbabilitiesAreThoseOfADistribution(t *testing.T) {
	s := serve(t, nil)
	a := ask(t, s, `"max_tokens": 60, "temperature": 0, "logprobs": true, "top_logprobs": 5`)
	if len(a.Choices[0].Logprobs.Content) != 60 {
		t.Fatalf("%d places", len(a.Choices[0].Logprobs.Content))
	}
	text := ""
	for i, c := range a.Choices[0].Logprobs.Content {
		sum, seen := 0.0, map[string]bool{}
		for k, alt := range c.Top {
			sum += math.Exp(alt.Logprob)
			if alt.Logprob > 0 || k > 0 && alt.Logprob > c.Top[k-1].Logprob || seen[alt.Token] {
				t.Errorf("place %d: %+v", i, c.Top)
			}
			seen[alt.Token] = true
		}
		if len(c.Top) != 5 || sum > 1+1e-9 || c.Token != c.Top[0].Token || c.Logprob != c.Top[0].Logprob {
			t.Errorf("place %d: %+v adds up to %g", i, c, sum)
		}
		text += c.Token
	}
	if !strings.HasPrefix(a.Choices[0].Message.Content, text[:10]) {
		t.Errorf("%q is not the text %q", text, a.Choices[0].Message.Content)
	}
	b := ask(t, s, `"max_tokens": 60, "temperature": 0, "logprobs": true, "top_logprobs": 5`)
	if fmt.Sprint(a.Choices) != fmt.Sprint(b.Choices) {
		t.Error("the same greedy request has other log-probabilities")
	}
	if plain := ask(t, s, `"max_tokens": 3, "logprobs": true`); len(plain.Choices[0].Logprobs.Content[0].Top) != 0 {
		t.Error("alternatives that nobody asked for")
	}
}

// together sends the same greedy request so many times at once.
func together(t testing.TB, s *Server, n int) [][]int {
	t.Helper()
	out := make([][]int, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { out[i] = ask(t, s, `"max_tokens": 200, "temperature": 0`).Choices[0].TokenIDs })
	}
	all.Wait()
	return out
}

func TestGreedyAnswersDependOnTheBatchOnlyWhereAFlipRateSaysSo(t *testing.T) {
	differing := func(rate float64) (n int) {
		s := serve(t, func(o *Options) { o.FlipRate = rate })
		alone := ask(t, s, `"max_tokens": 200, "temperature": 0`).Choices[0].TokenIDs
		if again := ask(t, s, `"max_tokens": 200, "temperature": 0`).Choices[0].TokenIDs; !slices.Equal(alone, again) {
			t.Errorf("rate %g: alone it does not repeat", rate)
		}
		for _, ids := range together(t, s, 12) {
			if len(ids) != 200 {
				t.Errorf("rate %g: %d tokens", rate, len(ids))
			}
			if !slices.Equal(ids, alone) {
				n++
			}
		}
		return n
	}
	if n := differing(0); n != 0 {
		t.Errorf("without a flip rate %d of 12 differ", n)
	}
	if n := differing(0.05); n < 6 {
		t.Errorf("at 5 %% a token only %d of 12 answers of 200 differ", n)
	}
}

func TestTokensFlipAsOftenAsTheRateSaysAndOnlyWhereTwoAreNear(t *testing.T) {
	for _, rate := range []float64{0, 0.001, 0.02, 0.2, 0.6, 1} {
		l := &lots{t: newTokenizer(), seed: 9, flipRate: rate}
		flips := 0
		const places = 40000
		for i := range places {
			best := idWords + i%300
			if l.flips(i, best, 1) {
				t.Fatalf("rate %g: place %d flips alone", rate, i)
			}
			if l.flips(i, best, 2+i%30) {
				flips++
				if two := l.draw(i, best, 2); two[0].logprob-two[1].logprob > marginStep+1e-9 {
					t.Fatalf("rate %g: place %d flips at a margin of %g", rate, i, two[0].logprob-two[1].logprob)
				}
			}
		}
		if got := float64(flips) / places; math.Abs(got-rate) > 0.003+0.03*rate {
			t.Errorf("rate %g: %g flip", rate, got)
		}
	}
}

func TestAFlippedAnswerShowsWhichTokenItMissed(t *testing.T) {
	g := &generation{s: &Server{tokens: newTokenizer()}, wants: &wants{Temperature: new(float64)}}
	g.s.config.BlockSize = DefaultBlockSize
	g.prompt = []int{1, 2, 3}
	g.lots = lots{g.s.tokens, 4, 1}
	g.answer = g.s.tokens.say(wish{max: 50, ignoreEOS: true, seed: 4})
	was := g.answer
	g.flip(10, 8)
	now := g.answer
	if !slices.Equal(was.tokens[:10], now.tokens[:10]) || was.tokens[10] == now.tokens[10] || now.flipped[10] != was.tokens[10] || len(now.tokens) != 50 {
		t.Fatalf("%v\n%v\n%v", was.tokens, now.tokens, now.flipped)
	}
	all, chosen := g.ranked(&now, 10, 2)
	if chosen.token != now.tokens[10] || all[0].token != was.tokens[10] || all[1] != chosen {
		t.Errorf("%+v of %+v", chosen, all)
	}
	g.answer = was
	g.flip(10, 8)
	if !slices.Equal(g.answer.tokens, now.tokens) {
		t.Error("the same flip says something else")
	}
}

func TestARequestsOwnTimesAreTheSchedulers(t *testing.T) {
	s := serve(t, func(o *Options) { o.RequestMetrics, o.TokenDetails = true, true })
	a := ask(t, s, `"max_tokens": 21`)
	m := a.Metrics
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-6*max(1, math.Abs(want)) {
			t.Errorf("%s is %g, want %g", what, got, want)
		}
	}
	f := scrape(t, s)
	near("queue_time_ms", m["queue_time_ms"], 1000*total(t, f, "vllm:request_queue_time_seconds"))
	near("time_to_first_token_ms", m["time_to_first_token_ms"], 1000*total(t, f, "vllm:request_prefill_time_seconds"))
	near("generation_time_ms", m["generation_time_ms"], 1000*total(t, f, "vllm:request_decode_time_seconds"))
	near("mean_itl_ms", m["mean_itl_ms"], m["generation_time_ms"]/20)
	near("tokens_per_second", m["tokens_per_second"], 21000/(m["generation_time_ms"]+m["time_to_first_token_ms"]))
	if a.Usage.Details == nil || a.Usage.Details.Cached != 0 {
		t.Errorf("%+v", a.Usage.Details)
	}
	if again := ask(t, s, `"max_tokens": 21`); again.Usage.Details == nil || again.Usage.Details.Cached == 0 {
		t.Errorf("asked again, the prompt is cached: %+v", again.Usage.Details)
	}
}
