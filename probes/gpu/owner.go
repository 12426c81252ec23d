package gpu

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Claim is what one engine says about the GPUs that it uses.
type Claim struct {
	// Engine is the engine's instance, "127.0.0.1:8000".
	Engine string
	// Visible is its CUDA_VISIBLE_DEVICES and Set whether it has one: unset means all GPUs, set and empty none.
	Visible string
	Set     bool
	// PCIOrder says that its CUDA_DEVICE_ORDER is PCI_BUS_ID. Otherwise CUDA counts the fastest GPU first, which is the
	// same only where all GPUs are.
	PCIOrder bool
	// Ranks are the positions among the visible GPUs that its workers use; without any, the first TensorParallel (at
	// least one) are taken.
	Ranks          []int
	TensorParallel int
}

// card is a GPU, or a MIG instance of one, as CUDA_VISIBLE_DEVICES may name it.
type card struct {
	index      int
	uuid, name string
	instances  []instance
}

type instance struct {
	id   int
	uuid string
}

// place is where an engine runs: a GPU, and the MIG instance or whole.
type place struct{ gpu, instance int }

// places gives what the claim takes of the cards, which are in NVML's order. It follows CUDA: the list ends at the first
// entry that names nothing, or a GPU a second time, and of instances only the first is visible where indices are used. Nil
// where it can't be told.
func (cl Claim) places(cards []card) []place {
	visible := cl.visible(cards)
	if visible == nil {
		return nil
	}
	ranks := cl.Ranks
	if len(ranks) == 0 {
		for r := range max(cl.TensorParallel, 1) {
			ranks = append(ranks, r)
		}
	}
	var out []place
	for _, r := range ranks {
		if r >= 0 && r < len(visible) {
			out = append(out, visible[r])
		}
	}
	return out
}

func (cl Claim) visible(cards []card) []place {
	alike := true
	for _, c := range cards {
		alike = alike && c.name == cards[0].name
	}
	countable := alike || cl.PCIOrder
	if !cl.Set {
		if !countable {
			return nil
		}
		var all []place
		for _, c := range cards {
			all = append(all, place{c.index, c.only()})
		}
		return all
	}
	var out []place
	for entry := range strings.SplitSeq(cl.Visible, ",") {
		p, ok := named(strings.TrimSpace(entry), cards, countable)
		if !ok || slices.Contains(out, p) {
			break
		}
		out = append(out, p)
	}
	return out
}

// only gives the instance that CUDA takes of a GPU named as a whole: the first one where MIG is on.
func (c card) only() int {
	if len(c.instances) > 0 {
		return c.instances[0].id
	}
	return whole
}

func named(entry string, cards []card, countable bool) (place, bool) {
	if n, err := strconv.Atoi(entry); err == nil {
		for _, c := range cards {
			if c.index == n && countable {
				return place{n, c.only()}, true
			}
		}
		return place{}, false
	}
	var found []place
	for _, c := range cards {
		// CUDA takes any beginning of a UUID that fits only one.
		if strings.HasPrefix(entry, "GPU-") && strings.HasPrefix(c.uuid, entry) {
			found = append(found, place{c.index, c.only()})
		}
		for _, in := range c.instances {
			// The form before driver 470 is MIG-GPU-<uuid>/<gpu instance>/<compute instance>.
			old := "MIG-" + c.uuid + "/" + strconv.Itoa(in.id) + "/"
			if strings.HasPrefix(entry, "MIG-") && in.uuid != "" && strings.HasPrefix(in.uuid, entry) ||
				c.uuid != "" && strings.HasPrefix(entry, old) {
				found = append(found, place{c.index, in.id})
			}
		}
	}
	if len(found) != 1 {
		return place{}, false
	}
	return found[0], true
}

const (
	byMemory  = "process memory"
	byVisible = "CUDA_VISIBLE_DEVICES"
)

// owners tells which engines use a place, the one with the most memory first, and how that is known.
type owners struct {
	engines []string
	by      string
}

// assign gives each place its engines: those whose processes hold memory there, or else those that claim it.
func assign(memory map[place]map[string]uint64, claims []Claim, cards []card) map[place]owners {
	out := map[place]owners{}
	for p, by := range memory {
		engines := slices.SortedFunc(maps.Keys(by), func(a, b string) int {
			return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b))
		})
		out[p] = owners{engines, byMemory}
	}
	// An engine that was seen by its memory is known; what it claims adds nothing.
	seen := map[string]bool{}
	for _, o := range out {
		for _, e := range o.engines {
			seen[e] = true
		}
	}
	for _, cl := range claims {
		if seen[cl.Engine] {
			continue
		}
		for _, p := range cl.places(cards) {
			o := out[p]
			if o.by == byMemory || slices.Contains(o.engines, cl.Engine) {
				continue
			}
			out[p] = owners{append(o.engines, cl.Engine), byVisible}
		}
	}
	return out
}

// Facts implements probes.Teller: gpu/status, gpu/driver, gpu/nvml, gpu/cuda, and per GPU gpu/<index>/ with name, uuid,
// pci, arch, memory_total_bytes, power_limit_w, power_max_limit_w, temp_slowdown_c, temp_shutdown_c, temp_max_c,
// hbm_temp_max_c, sm_clock_max_mhz, mem_clock_max_mhz, mig ("on", "off"), fan ("yes", "no"), engine (the instance that
// uses it, with the most memory of several), engine_by, and engines (all, by comma) where there are several. An instance
// has mig/<id>/profile, uuid, engine, engine_by below its GPU. What is not known is not there.
func (c *Collector) Facts() map[string]string {
	now := time.Now()
	out := map[string]string{"gpu/status": c.currentStatus(now)}
	c.mu.Lock()
	maps.Copy(out, c.facts)
	gpus := c.gpus
	c.mu.Unlock()
	if len(gpus) == 0 {
		return out
	}
	memory := map[place]map[string]uint64{}
	var cards []card
	for _, g := range gpus {
		cards = append(cards, g.tell(now, out, memory))
	}
	var claims []Claim
	if c.opts.Claims != nil {
		claims = c.opts.Claims()
	}
	for p, o := range assign(memory, claims, cards) {
		at := "gpu/" + strconv.Itoa(p.gpu) + "/"
		if p.instance != whole {
			at += "mig/" + strconv.Itoa(p.instance) + "/"
		}
		out[at+"engine"], out[at+"engine_by"] = o.engines[0], o.by
		if len(o.engines) > 1 {
			out[at+"engines"] = strings.Join(o.engines, ",")
		}
		// A GPU in pieces belongs to whoever has its first piece that somebody has.
		if parent := "gpu/" + strconv.Itoa(p.gpu) + "/"; p.instance != whole {
			if have, ok := out[parent+"engine"]; !ok || o.engines[0] < have {
				out[parent+"engine"], out[parent+"engine_by"] = o.engines[0], o.by
			}
		}
	}
	return out
}

// tell adds the GPU's facts and the memory that engines hold on it.
func (g *gpu) tell(now time.Time, facts map[string]string, memory map[place]map[string]uint64) card {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := "gpu/" + strconv.Itoa(g.index) + "/"
	for name, v := range g.facts {
		facts[at+name] = toUTF8(v)
	}
	for k, a := range g.answers {
		if k.field.call != "nvmlDeviceGetFanSpeed" {
			continue
		}
		switch {
		case a.last != nil:
			facts[at+"fan"] = "yes"
		case errors.Is(a.err, ErrNotSupported):
			facts[at+"fan"] = "no"
		}
	}
	out := card{index: g.index, uuid: g.facts["uuid"], name: g.facts["name"]}
	for _, p := range g.parts {
		out.instances = append(out.instances, instance{p.GPUInstance, p.UUID})
	}
	for k, a := range g.answers {
		if a.last == nil || now.Sub(a.last.at) > stale(k.field.every) {
			continue
		}
		for _, u := range a.last.users {
			if u.engine == "" {
				continue
			}
			p := place{g.index, k.instance}
			if memory[p] == nil {
				memory[p] = map[string]uint64{}
			}
			memory[p][u.engine] += u.memory
		}
	}
	return out
}
