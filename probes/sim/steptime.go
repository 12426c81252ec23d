package sim

import "time"

// Llama-3-8B in bf16, from the model's own card and config.json: 8.03 billion parameters; 32 layers with 8 KV heads of
// dimension 128, so a token takes 2·32·8·128·2 = 131,072 bytes of KV cache.
const (
	parameters      = 8.03e9
	weightBytes     = 2 * parameters
	kvBytesPerToken = 131072
)

// A100-SXM4-80GB, from NVIDIA's data sheet (nvidia-a100-datasheet-us-nvidia-1758950): 2,039 GB/s of HBM2e, 312 dense
// bf16 TFLOPS, 400 W.
const (
	peakBandwidth = 2.039e12 // bytes/s
	peakCompute   = 312e12   // floating point operations per second
)

// What vLLM gets out of it.
const (
	// bandwidthShare: J. Musgrave, "vLLM throughput-latency sweep on NVIDIA A100" (johnmusgrave.com), measured 75 tokens/s
	// for Llama-3.1-8B bf16 at one request, 77 % of that card's memory ceiling. Launching kernels, sampling and the
	// scheduler between two steps are inside that share.
	bandwidthShare = 0.77
	// computeShare (model FLOPS utilisation) of a prefill chunk. FlashAttention-2 (Dao, 2023) reaches 72 % on an A100 in
	// training, where the sequences are long and the shapes are chosen; a serving engine's mixed chunks of 2,048 tokens
	// stay below.
	computeShare = 0.55
	// perSequence is the engine's own work for each sequence of a step: block tables, sampling, output.
	perSequence = 8 * time.Microsecond
)

// StepTime is how long one engine step of Llama-3-8B takes on one A100-SXM4-80GB: prefillTokens of prompts are computed, and
// decodeSeqs sequences get one token each, over contextTokens tokens of KV cache that attention reads. It is the roofline of
// the two: the time to read all weights and that cache, or the time for 2 operations per parameter and token, whichever is
// longer. Attention's own operations are left out (13 % at 8k of context); computeShare is chosen with them in mind. Zero
// for a step without tokens.
func StepTime(prefillTokens, decodeSeqs, contextTokens int) time.Duration {
	if prefillTokens+decodeSeqs == 0 {
		return 0
	}
	s := max(memoryTime(contextTokens), computeTime(prefillTokens+decodeSeqs))
	return time.Duration(s*float64(time.Second)) + time.Duration(decodeSeqs+1)*perSequence
}

// memoryTime is how long reading the weights and the cache of so many tokens takes, in seconds.
func memoryTime(contextTokens int) float64 {
	return (weightBytes + kvBytesPerToken*float64(contextTokens)) / (peakBandwidth * bandwidthShare)
}

// computeTime is how long the matrix products for so many tokens take, in seconds.
func computeTime(tokens int) float64 {
	return 2 * parameters * float64(tokens) / (peakCompute * computeShare)
}
