package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// heads are the HELP and TYPE lines of a page, and the label names and bucket edges of each family's series.
func heads(page string) (lines []string, series map[string][]string) {
	series = map[string][]string{}
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			lines = append(lines, line)
			continue
		}
		name, rest, labelled := strings.Cut(line, "{")
		var names []string
		if !labelled {
			name, _, _ = strings.Cut(line, " ")
		} else {
			for l := range strings.SplitSeq(rest[:strings.LastIndex(rest, "}")], `",`) {
				key, value, _ := strings.Cut(l, `="`)
				if key == "le" || key == "reason" || key == "source" || key == "finished_reason" || key == "sleep_state" || key == "generation" {
					key += "=" + strings.TrimSuffix(value, `"`)
				}
				names = append(names, key)
			}
		}
		series[name] = append(series[name], strings.Join(names, ","))
	}
	return lines, series
}

func TestThePageIsThatOfARealServer(t *testing.T) {
	raw, err := os.ReadFile("testdata/metrics_idle_fresh.prom")
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, nil)
	do(t, s, http.MethodGet, "/v1/models", nil) // as on the captured server
	status, header, got := do(t, s, http.MethodGet, "/metrics", nil)
	if status != 200 || header.Get("Content-Type") != "text/plain; version=1.0.0; charset=utf-8" {
		t.Fatalf("%d %s", status, header.Get("Content-Type"))
	}
	wantLines, wantSeries := heads(string(raw))
	lines, series := heads(string(got))
	if n := len(lines); n < 2 || !strings.HasPrefix(lines[n-2], "# HELP pitwall_simulated ") || lines[n-1] != "# TYPE pitwall_simulated gauge" {
		t.Fatalf("the page does not end with pitwall_simulated")
	}
	if slices.Compare(lines[:len(lines)-2], wantLines) != 0 {
		for i := range min(len(lines), len(wantLines)) {
			if lines[i] != wantLines[i] {
				t.Fatalf("line %d of HELP and TYPE: %q, want %q", i, lines[i], wantLines[i])
			}
		}
		t.Fatalf("%d HELP and TYPE lines, want %d", len(lines)-2, len(wantLines))
	}
	delete(series, "pitwall_simulated")
	if len(series) != len(wantSeries) {
		t.Errorf("%d names, want %d", len(series), len(wantSeries))
	}
	for name, want := range wantSeries {
		if fmt.Sprint(series[name]) != fmt.Sprint(want) {
			t.Errorf("%s:\n%v\nwant\n%v", name, series[name], want)
		}
	}
}

// scrape reads the page as a Prometheus client does.
func scrape(t testing.TB, s *Server) map[string]*dto.MetricFamily {
	t.Helper()
	_, _, page := do(t, s, http.MethodGet, "/metrics", nil)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// total adds up a family over its labels; of a histogram the sum.
func total(t testing.TB, families map[string]*dto.MetricFamily, name string) float64 {
	t.Helper()
	f := families[name]
	if f == nil {
		t.Fatalf("no %s", name)
	}
	sum := 0.0
	for _, m := range f.GetMetric() {
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
	}
	return sum
}

func TestCountersAgreeExactlyWithTheUsageOfTheAnswers(t *testing.T) {
	s := serve(t, nil)
	var mu sync.Mutex
	var prompt, completion, requests float64
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			body := fmt.Sprintf(`{"prompt": "%s", "max_tokens": %d, "stream": %v}`, strings.Repeat("token ", 1+i*7%90), 1+i*13%70, i%2 == 0)
			body = strings.Replace(body, `"stream": true`, `"stream": true, "stream_options": {"include_usage": true}`, 1)
			_, _, answer := do(t, s, http.MethodPost, "/v1/completions", []byte(body))
			if i%2 == 0 {
				events := strings.Split(strings.TrimSpace(string(answer)), "\n\n")
				answer = []byte(strings.TrimPrefix(events[len(events)-2], "data: "))
			}
			var use struct {
				Usage struct {
					Prompt     float64 `json:"prompt_tokens"`
					Completion float64 `json:"completion_tokens"`
				}
			}
			if err := json.Unmarshal(answer, &use); err != nil {
				t.Errorf("%v in %s", err, answer)
			}
			mu.Lock()
			defer mu.Unlock()
			prompt += use.Usage.Prompt
			completion += use.Usage.Completion
			requests++
		})
	}
	all.Wait()
	f := scrape(t, s)
	for name, want := range map[string]float64{
		"vllm:prompt_tokens_total": prompt, "vllm:generation_tokens_total": completion, "vllm:request_success_total": requests,
		"vllm:request_prompt_tokens": prompt, "vllm:request_generation_tokens": completion,
		"vllm:prefix_cache_queries_total": prompt, "vllm:prompt_tokens_by_source_total": prompt,
		"vllm:iteration_tokens_total": prompt + completion, "http_requests_total": requests,
		"vllm:num_requests_running": 0, "vllm:num_requests_waiting": 0, "vllm:kv_cache_usage_perc": 0,
	} {
		if got := total(t, f, name); got != want {
			t.Errorf("%s: %g, want %g", name, got, want)
		}
	}
	if hits := total(t, f, "vllm:prefix_cache_hits_total"); hits == 0 || int(hits)%DefaultBlockSize != 0 ||
		hits != total(t, f, "vllm:prompt_tokens_cached_total") || hits != total(t, f, "vllm:prompt_tokens_cached_by_source_total") {
		t.Errorf("%g hits, %g cached tokens", hits, total(t, f, "vllm:prompt_tokens_cached_total"))
	}
}

func TestASaltIsolatesThePrefixCache(t *testing.T) {
	s := serve(t, nil)
	ask := func(salt string) float64 {
		before := total(t, scrape(t, s), "vllm:prefix_cache_hits_total")
		do(t, s, http.MethodPost, "/v1/completions", []byte(`{"max_tokens": 2, "prompt": "`+strings.Repeat(" word", 100)+`"`+salt+"}"))
		return total(t, scrape(t, s), "vllm:prefix_cache_hits_total") - before
	}
	for _, c := range []struct {
		name, salt string
		want       float64
	}{
		{"nothing is cached at first", "", 0},
		{"the same prompt hits 6 blocks", "", 96},
		{"with a salt it hits nothing", `, "cache_salt": "A"`, 0},
		{"with the same salt it hits again", `, "cache_salt": "A"`, 96},
		{"with another salt nothing", `, "cache_salt": "B"`, 0},
	} {
		if got := ask(c.salt); got != c.want {
			t.Errorf("%s: %g hits", c.name, got)
		}
	}
}

func BenchmarkPage(b *testing.B) {
	s := serve(b, nil)
	for range b.N {
		s.metrics()
	}
}
