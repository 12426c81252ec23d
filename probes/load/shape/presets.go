package shape

import "time"

// Presets are the built-in ones: small enough to be turned on without thought, and each of another character. They are starting
// points to be turned up, not benchmarks that others have published.
func Presets() []Preset {
	closed := func(clients, in, out int) Point {
		return Point{
			Arrival: Arrival{Kind: Closed, Clients: clients}, Prompt: Prompt{Length: Tokens(in)}, Output: Output{Length: Tokens(out)}, Cache: Cold,
		}
	}
	chat := closed(4, 512, 128)
	chat.SLO = SLO{TTFT: 500 * time.Millisecond, TPOT: 50 * time.Millisecond}
	long := closed(2, 1536, 64)
	long.SLO = SLO{TTFT: 2 * time.Second}
	summarise := closed(4, 0, 0)
	summarise.Prompt.Length = Length{Draw: Uniform, A: 800, B: 1600}
	summarise.Output.Length = Length{Draw: Uniform, A: 64, B: 192}
	summarise.SLO = SLO{E2E: 10 * time.Second}
	agent := closed(4, 640, 64)
	agent.Prompt.Shared, agent.Prompt.Turns, agent.Cache = 512, 6, Warm
	agent.SLO = SLO{TTFT: 500 * time.Millisecond, TPOT: 50 * time.Millisecond}
	return []Preset{
		{"chat", "four people ask and read: medium prompts that nobody sent before, short answers; TTFT and TPOT matter alike", chat},
		{"long prompt", "two clients send long prompts for a few words back: prefill decides, and decoding of others stutters", long},
		{"summarise", "four clients send documents of differing length and want a paragraph: a mix of prefill and decode, the whole time matters", summarise},
		{"agent turns", "four agents with one system prompt in conversations of six turns that grow: the prefix cache decides", agent},
	}
}
