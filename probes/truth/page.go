package truth

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// counters are what /metrics says, under vLLM's names, exact whenever no request is under way.
type counters struct {
	running, prompt, generated, whole, short, aborted, failed atomic.Int64
	choked                                                    atomic.Int64 // times that a socket was found full; on no page
}

// begin counts a request that is going to be answered.
func (c *counters) begin() { c.running.Add(1) }

// end counts it when it is over.
func (c *counters) end(f *flow) {
	c.running.Add(-1)
	if f.answer.Tokens > 0 {
		c.prompt.Add(int64(f.answer.InputTokens))
		c.generated.Add(int64(f.answer.Tokens))
	}
	switch t := f.fault.Trouble; {
	case f.answer.Left, t == Cut, t == Reset, t == Stall:
		c.aborted.Add(1)
	case t == Error:
		c.failed.Add(1)
	case t == Short || t == Empty:
		c.short.Add(1)
	default:
		c.whole.Add(1)
	}
}

// page is /metrics in Prometheus's text form. It says that no model runs here.
func (s *Server) page() []byte {
	s.pacer.settle() // who has the end of an answer finds it counted
	c := &s.counters
	model := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s.plan.Model)
	var b []byte
	one := func(name, kind string, value int64, more string) {
		if kind != "" {
			b = fmt.Appendf(b, "# TYPE %s %s\n", strings.TrimSuffix(name, "_total"), kind)
		}
		b = fmt.Appendf(b, "%s{engine=\"0\",model_name=\"%s\"%s} %d\n", name, model, more, value)
	}
	b = append(b, "# TYPE pitwall_simulated gauge\npitwall_simulated 1\n"...)
	one("vllm:num_requests_running", "gauge", c.running.Load(), "")
	one("vllm:num_requests_waiting", "gauge", 0, "")
	one("vllm:prompt_tokens_total", "counter", c.prompt.Load(), "")
	one("vllm:generation_tokens_total", "counter", c.generated.Load(), "")
	one("vllm:request_success_total", "counter", c.whole.Load(), `,finished_reason="length"`)
	one("vllm:request_success_total", "", c.short.Load(), `,finished_reason="stop"`)
	one("vllm:request_success_total", "", c.aborted.Load(), `,finished_reason="abort"`)
	one("vllm:request_success_total", "", c.failed.Load(), `,finished_reason="error"`)
	return b
}
