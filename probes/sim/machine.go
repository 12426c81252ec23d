package sim

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
	"pitwall/probes/host"
)

// OnHost adds to the readings of a real machine what the simulated engine's process would do to it: the memory that it takes
// more and more of where a fault makes it leak, and that the kernel killed it. The rest of the machine stays what it is.
func (s *Server) OnHost(machine probes.Source) probes.Source { return &onHost{machine, s, 0} }

type onHost struct {
	probes.Source
	s     *Server
	kills int // told
}

// Read pulls the machine and adds.
func (h *onHost) Read(ctx context.Context) probes.Reading {
	r := h.Source.Read(ctx)
	d := h.s.driver
	d.mu.Lock()
	now := d.catchUp()
	e := d.engines[0]
	resident, kills, down := e.resident(now), e.oomKills, e.down > 0
	d.mu.Unlock()

	total := -1.0
	for i, x := range r.Samples {
		switch x.Labels.Get(model.MetricNameLabel) {
		case "node_memory_MemAvailable_bytes":
			if !down {
				r.Samples[i].Value = max(x.Value/50, x.Value-(resident-residentAtStart))
			}
		case "node_vmstat_oom_kill":
			r.Samples[i].Value += float64(kills)
			total = r.Samples[i].Value
		}
	}
	if !down {
		r.Samples = append(r.Samples, probes.Sample{Value: resident, Labels: labels.FromStrings(model.MetricNameLabel, "pitwall_process_resident_memory_bytes",
			"pid", strconv.Itoa(os.Getpid()), "role", host.RoleEngineCore, "rank", "", "title", "VLLM::EngineCore", "engine", h.s.addr)})
		delete(r.Absent, "pitwall_process_resident_memory_bytes")
	}
	if n := kills - h.kills; n > 0 {
		h.kills = kills
		attrs := map[string]string{"of": "host", "path": "", "killed": strconv.Itoa(n)}
		if total >= 0 {
			attrs["total"] = strconv.FormatFloat(total, 'f', -1, 64)
		}
		r.Events = append(r.Events, probes.Event{Kind: host.KindOOMKill, Subject: "host", Severity: probes.Critical,
			Title: fmt.Sprintf("out of memory: the kernel killed %d of this host's processes", n), Attrs: attrs})
	}
	return r
}
