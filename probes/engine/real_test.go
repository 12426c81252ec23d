package engine

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"pitwall/probes"
	"pitwall/probes/host"
)

// realURL is the address of a real vLLM to test against. .ci/run sets it up and names it here.
const realURL = "PITWALL_REAL_VLLM"

func TestARealVLLMIsFoundReadAndReady(t *testing.T) {
	url := os.Getenv(realURL)
	if url == "" {
		t.Skipf("NOT TESTED AGAINST A REAL ENGINE: %s is not set; .ci/run sets it to the vLLM that it starts", realURL)
	}
	w, err := Open(Options{Servers: func() ([]Server, error) {
		ps, err := host.Processes("/proc")
		return ServersOf(ps), err
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	// Found by its process, among others that may run here.
	at := slices.IndexFunc(w.Engines(), func(s *Scraper) bool { return s.URL() == url })
	if at < 0 {
		t.Fatalf("%s is not among the engines found: %s", url, instances(w))
	}
	s := w.Engines()[at]
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r := s.Read(ctx)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	_, instance := s.Target()
	for _, f := range []string{
		"url", "dialect", "version", "model", "models", "root", "max_model_len", "block_size", "num_gpu_blocks", "kv_tokens", "kv_max_concurrency",
		"cache_dtype", "prefix_caching", "gpu_memory_utilization", "started", "verified", "pid", "flags", "log",
	} {
		v, ok := r.Facts["engine/"+instance+"/"+f]
		if !ok {
			t.Errorf("fact %s is missing", f)
		}
		t.Logf("%-24s %s", f, v)
	}
	if got := r.Facts["engine/"+instance+"/verified"]; got != "verified on a running engine" {
		t.Errorf("verified is %q", got)
	}
	for k, v := range r.Absent {
		t.Logf("absent %-40s %s", k, v)
	}
	if st := s.Status().State; !st.Answers() {
		t.Errorf("state %s: %s", st, s.Status().Reason)
	}
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	// What a second reader of the page sees, counted without a parser: series of vLLM's own.
	var page strings.Builder
	if _, err := io.Copy(&page, resp.Body); err != nil {
		t.Fatal(err)
	}
	want := 0
	for line := range strings.Lines(page.String()) {
		if strings.HasPrefix(line, "vllm:") && !strings.Contains(line, "_created{") {
			want++
		}
	}
	got := 0
	for _, smp := range r.Samples {
		if strings.HasPrefix(smp.Labels.Get(model.MetricNameLabel), "vllm:") {
			got++
		}
	}
	if got != want || got == 0 {
		t.Errorf("%d series of vLLM, the page has %d", got, want)
	}
	// The second page comes over the kept connection.
	r = s.Read(ctx)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if v := value(t, r, "pitwall_engine_scrape_connect_seconds"); v != 0 {
		t.Errorf("the second scrape opened a connection (%v s)", v)
	}
	t.Logf("took %v, interval %v, %d samples", r.Took, s.Every(), len(r.Samples))
}

func TestARealVLLMsCountersMoveByWhatWasGenerated(t *testing.T) {
	url := os.Getenv(realURL)
	if url == "" {
		t.Skipf("NOT TESTED AGAINST A REAL ENGINE: %s is not set; .ci/run sets it to the vLLM that it starts", realURL)
	}
	s := scraper(t, url, Access{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	before := s.Read(ctx)
	if before.Err != nil {
		t.Fatal(before.Err)
	}
	_, instance := s.Target()
	model := before.Facts["engine/"+instance+"/model"]
	body := fmt.Sprintf(`{"model":%q,"prompt":[1,2,3,4,5,6,7],"max_tokens":9,"min_tokens":9,"temperature":0}`, model)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
		t.Fatalf("HTTP %d, %v", resp.StatusCode, err)
	}
	after := s.Read(ctx)
	if after.Err != nil {
		t.Fatal(after.Err)
	}
	// Others may use the server at the same time, so at least as much.
	for name, least := range map[string]float64{"vllm:prompt_tokens_total": 7, "vllm:generation_tokens_total": 9} {
		series := fmt.Sprintf(`{__name__=%q, engine="0", model_name=%q}`, name, model)
		if moved := value(t, after, series) - value(t, before, series); moved < least {
			t.Errorf("%s moved by %v, want %v", name, moved, least)
		}
	}
	if st := s.Status().State; st != Ready {
		t.Errorf("state %s", st)
	}
}

func value(t *testing.T, r probes.Reading, series string) float64 {
	t.Helper()
	for _, s := range r.Samples {
		if s.Labels.String() == series || s.Labels.Get(model.MetricNameLabel) == series && s.Labels.Len() == 1 {
			return s.Value
		}
	}
	t.Fatalf("no series %s in the reading", series)
	return 0
}
