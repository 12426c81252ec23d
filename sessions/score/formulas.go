package score

// Formula is how one number is defined, for whoever shows it.
type Formula struct {
	// Key is the number's key in the JSON of a Score, Name how it stands on a screen.
	Key, Name string
	// Formula is in the letters of Legend; Unit is what Score holds it in.
	Formula, Unit string
	// Note is what the formula alone doesn't say.
	Note string
	// Elsewhere is what other tools call this very number: tool to name. Names of theirs that mean something else are told in
	// Note.
	Elsewhere []Alias
}

// Alias is another tool's name for the same number.
type Alias struct{ Tool, Name string }

// Legend explains the letters of the formulas.
const Legend = "t_sched when it was due, t_sent just before its first byte was written, t_first and t_last arrival of the first and last chunk with tokens, " +
	"k_i tokens of chunk i, N output tokens; arrivals by the kernel's receive stamp where there is one"

// Formulas lists every number of a Score with its definition, in the order in which tables show them.
func Formulas() []Formula {
	return []Formula{
		{Key: "ttft", Name: "TTFT", Formula: "t_first − t_sent", Unit: "s",
			Note:      "the first chunk with tokens (text, reasoning or tool call); vLLM bench takes the role-only chunk of a chat for it",
			Elsewhere: []Alias{{"vllm bench serve", "ttft"}, {"GuideLLM", "time_to_first_token_ms"}, {"AIPerf", "time_to_first_token"}}},
		{Key: "ttft_sched", Name: "TTFT from schedule", Formula: "t_first − t_sched", Unit: "s",
			Note: "a sender that is late, or waits for its turn, cannot hide in it (no coordinated omission)"},
		{Key: "tpot", Name: "TPOT", Formula: "(t_last − t_first) / (N − k_first)", Unit: "s/token",
			Note:      "per request; answers of a single chunk have none. GuideLLM's time_per_output_token_ms is something else: normalized latency",
			Elsewhere: []Alias{{"vllm bench serve", "tpot"}, {"GuideLLM", "inter_token_latency_ms"}, {"AIPerf", "inter_token_latency"}}},
		{Key: "itl", Name: "ITL", Formula: "(t_i − t_i−1) / k_i, k_i times", Unit: "s/token",
			Note: "pooled over all tokens after the first chunk, so long answers count more"},
		{Key: "chunk_gap", Name: "chunk gap", Formula: "t_i − t_i−1", Unit: "s",
			Note:      "pooled over all chunks after the first, whatever they carry; what a reader sees stutter",
			Elsewhere: []Alias{{"vllm bench serve", "itl"}, {"AIPerf", "inter_chunk_latency"}}},
		{Key: "e2e", Name: "E2E", Formula: "t_last − t_sent", Unit: "s",
			Note:      "usage and end mark are not in it; of an unstreamed answer t_end − t_sent",
			Elsewhere: []Alias{{"vllm bench serve", "e2el"}, {"GuideLLM", "request_latency (to the stream's end)"}, {"AIPerf", "request_latency"}}},
		{Key: "e2e_sched", Name: "E2E from schedule", Formula: "t_last − t_sched", Unit: "s"},
		{Key: "normalized", Name: "normalized latency", Formula: "E2E / N", Unit: "s/token",
			Elsewhere: []Alias{{"GuideLLM", "time_per_output_token_ms"}, {"llmperf", "inter_token_latency_s"}}},
		{Key: "send_lag", Name: "send lag", Formula: "t_sent − t_sched", Unit: "s", Note: "the client's own lateness, not the server's"},
		{Key: "queue", Name: "queue", Formula: "as the server tells", Unit: "s", Note: "only the wait inside the scheduler; vLLM: --enable-per-request-metrics"},
		{Key: "prefill", Name: "prefill", Formula: "as the server tells", Unit: "s", Note: "from being scheduled to the first token"},
		{Key: "rest", Name: "rest of TTFT", Formula: "TTFT − queue − prefill", Unit: "s", Note: "network, HTTP and tokenising, and waiting for a running step"},
		{Key: "request_rate", Name: "requests", Formula: "requests that ended OK, each by the share of t_sent … t_end in the steady window / its length", Unit: "1/s",
			Note:      "so that a burst of answers at an edge is not half a round too many; vLLM bench and AIPerf divide by the whole run, ramp and tail included",
			Elsewhere: []Alias{{"GuideLLM", "requests_per_second"}}},
		{Key: "output_rate", Name: "output tokens", Formula: "Σ k_i that arrived in the steady window / its length", Unit: "tokens/s",
			Note:      "those of requests that failed later too, those of answers in one piece by the share of t_sent … t_end; vLLM bench's output_throughput is of completed requests over the whole run, its peak counts chunks as tokens",
			Elsewhere: []Alias{{"GuideLLM", "output_tokens_per_second"}}},
		{Key: "total_rate", Name: "all tokens", Formula: "(prompt tokens, by the share of t_sent … t_first, + Σ k_i) in the steady window / its length", Unit: "tokens/s",
			Elsewhere: []Alias{{"GuideLLM", "tokens_per_second"}}},
		{Key: "goodput", Name: "goodput", Formula: "requests that met the SLO / (requests sent − cancelled by us)", Unit: "share",
			Note:      "judged from t_sched; failures and missing numbers are not good. Good requests a second stand beside it",
			Elsewhere: []Alias{{"vllm bench serve", "request_goodput (a second)"}, {"AIPerf", "good_request_fraction"}}},
	}
}
