package sim

// Config is the size of an engine. Zero fields take the values of Llama-3-8B in bf16 on an A100-SXM4-80GB with vLLM's
// defaults for that card.
type Config struct {
	// MaxModelLen is the most tokens that a sequence may have; 8192.
	MaxModelLen int
	// MaxNumSeqs is how many sequences run at once; 256.
	MaxNumSeqs int
	// MaxNumBatchedTokens is how many tokens a step may compute; 2048.
	MaxNumBatchedTokens int
	// Blocks is the number of KV blocks, the reserved one included; 28193, which is what 0.9 of the card's memory leaves
	// (451,088 tokens). BlockSize is how many tokens a block holds; DefaultBlockSize.
	Blocks, BlockSize int
	// MaxNumQueuedReqs is how many requests there may be, those that run included, and MaxNumQueuedTokens how many prompt tokens
	// may wait for their first token, before more are refused with a 503; no limit if 0 (vLLM, where none is the default too,
	// would refuse all at 0).
	MaxNumQueuedReqs, MaxNumQueuedTokens int
	// NoPrefixCache turns the prefix cache off.
	NoPrefixCache bool
	// Steps is how long steps take; nil for the embedded figures (StepTimesYAML).
	Steps *StepTimes
	// Traffic, if set, is asked for the requests that arrive by themselves.
	Traffic *Traffic
	// Trace is how many happenings are remembered; none if 0.
	Trace int
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.MaxModelLen, 8192)
	def(&c.MaxNumSeqs, 256)
	def(&c.MaxNumBatchedTokens, 2048)
	def(&c.Blocks, 28193)
	def(&c.BlockSize, DefaultBlockSize)
	if c.Steps == nil {
		c.Steps = defaultStepTimes()
	}
	return c
}
