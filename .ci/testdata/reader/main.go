// Reader is the least that a load client over net/http can be: so many clients, each sending its next request when the last
// answer is complete, that stamp what they read and count the events with text. No JSON is decoded, nothing is kept but the
// times. .ci/peers_load measures it beside the load generators. For each request it prints an object: its id, TTFT and TPOT in ms.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type result struct {
	ID   string  `json:"id"`
	TTFT float64 `json:"ttft_ms"`
	TPOT float64 `json:"tpot_ms"`
}

func main() {
	url := flag.String("url", "", "where")
	clients := flag.Int("c", 64, "clients")
	requests := flag.Int("n", 512, "requests")
	input := flag.Int("i", 64, "words of each prompt")
	output := flag.Int("o", 128, "tokens of each answer")
	flag.Parse()
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = *clients
	body := fmt.Sprintf(`{"messages":[{"role":"user","content":%q}],"max_tokens":%d,"ignore_eos":true,"stream":true}`, strings.Repeat("word ", *input), *output)
	results := make([]result, *requests)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range *clients {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= *requests {
					return
				}
				r, err := one(*url, body, fmt.Sprint("reader-", i))
				if err != nil {
					failed.Store(&err)
					return
				}
				results[i] = r
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		fmt.Fprintln(os.Stderr, "reader:", *err)
		os.Exit(1)
	}
	out := json.NewEncoder(os.Stdout)
	for _, r := range results {
		if err := out.Encode(r); err != nil {
			os.Exit(1)
		}
	}
}

func one(url, body, id string) (result, error) {
	req, err := http.NewRequest(http.MethodPost, url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		return result{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Request-Id", id)
	sent := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return result{}, err
	}
	defer resp.Body.Close()
	var first, last time.Time
	n := 0
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			break
		}
		if bytes.Contains(line, []byte(`"content":"`)) && !bytes.Contains(line, []byte(`"content":""`)) {
			last = time.Now()
			if n++; n == 1 {
				first = last
			}
		}
	}
	if n < 2 {
		return result{}, fmt.Errorf("status %d, %d events", resp.StatusCode, n)
	}
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	return result{id, ms(first.Sub(sent)), ms(last.Sub(first)) / float64(n-1)}, nil
}
