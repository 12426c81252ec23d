package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// ParseFaults reads a schedule: a YAML list of faults, each with its kind, when it begins, the fields that the kind
// takes and, where there are several engines, "engine: 1" for the one that it happens to.
//
//   - at: 90s
//     for: 20s
//     fault: hang
//   - at: 3m
//     fault: xid
//     gpu: 0
//     code: 79
//
// An error names the line.
func ParseFaults(raw []byte) ([]Fault, error) {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil // a schedule without a fault
	case err != nil:
		return nil, fmt.Errorf("schedule of faults: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("schedule of faults: there is more than one YAML document")
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.SequenceNode {
		return nil, errors.New("schedule of faults: it must be a list, each entry \"- at: 90s\", \"fault: hang\" and more")
	}
	var out []Fault
	for _, n := range doc.Content[0].Content {
		f, line, err := parseFault(n)
		if err != nil {
			return nil, fmt.Errorf("schedule of faults, line %d: %w", line, err)
		}
		out = append(out, f)
	}
	return out, nil
}

func parseFault(n *yaml.Node) (f Fault, line int, err error) {
	line = n.Line
	if n.Kind != yaml.MappingNode {
		return f, line, errors.New("an entry must have the keys at, fault and those that the fault takes")
	}
	values := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if value.Kind != yaml.ScalarNode {
			return f, value.Line, fmt.Errorf("%s: one value is needed", key.Value)
		}
		if values[key.Value] != nil {
			return f, key.Line, fmt.Errorf("%s is given twice", key.Value)
		}
		values[key.Value] = value
	}
	kind := values["fault"]
	if kind == nil {
		return f, line, errors.New("\"fault\" is missing")
	}
	f, e, err := newFault(kind.Value)
	if err != nil {
		return f, kind.Line, err
	}
	if at := values["at"]; at != nil {
		if f.At, err = span("at", at.Value); err != nil {
			return f, at.Line, err
		}
	}
	// In the order of the file, so that the first mistake is the one that is named.
	for i := 0; i+1 < len(n.Content); i += 2 {
		if name := n.Content[i].Value; name != "fault" && name != "at" {
			if err = f.set(e, name, n.Content[i+1].Value); err != nil {
				return f, n.Content[i+1].Line, err
			}
		}
	}
	return f, line, nil
}

// RandomFaults makes a schedule that nobody has looked at: from the seed alone, for a simulation with this many GPUs, some
// ten minutes with a handful of troubles, one after the other. Some come with what causes them: heat before slow steps, a
// leak before the kernel's kill, memory errors before a lost card.
func RandomFaults(seed uint64, gpus int) []Fault {
	rng := rand.New(rand.NewPCG(seed, 0x6661756c7473))
	between := func(low, high time.Duration) time.Duration {
		return (low + time.Duration(rng.Int64N(int64(high-low)))).Truncate(100 * time.Millisecond)
	}
	card := func() int { return rng.IntN(max(1, gpus)) }
	var out []Fault
	at := between(20*time.Second, 60*time.Second)
	add := func(k Kind, length time.Duration, change func(*Fault)) {
		f, e, _ := newFault(string(k))
		f.At = at
		if !e.Moment {
			f.For = length
		}
		if change != nil {
			change(&f)
		}
		out = append(out, f)
		at += length
	}
	stories := []func(){
		func() { add(Crash, between(15*time.Second, 50*time.Second), nil) },
		func() { add(Hang, between(15*time.Second, 45*time.Second), nil) },
		func() {
			factor := float64(2 + rng.IntN(6))
			add(SlowSteps, between(30*time.Second, 80*time.Second), func(f *Fault) { f.Factor = factor })
		},
		func() {
			share := float64(1+rng.IntN(5)) / 5
			add(Error5xx, between(20*time.Second, 50*time.Second), func(f *Fault) { f.Share, f.Status = share, 500+3*rng.IntN(2) })
		},
		func() { add(StaleGauges, between(20*time.Second, 50*time.Second), nil) },
		func() { add(CounterReset, 0, nil) },
		func() { add(SlowMetrics, between(20*time.Second, 50*time.Second), nil) },
		func() {
			add(ForeignTraffic, between(30*time.Second, 70*time.Second), func(f *Fault) { f.Rate = float64(6 + rng.IntN(10)) })
		},
		func() {
			gpu := card()
			add(Thermal, between(40*time.Second, 100*time.Second), func(f *Fault) { f.GPU = gpu })
		},
		func() {
			gpu, watts := card(), float64(150+10*rng.IntN(10))
			add(PowerLimit, between(40*time.Second, 100*time.Second), func(f *Fault) { f.GPU, f.Watts = gpu, watts })
		},
		func() {
			add(MemoryLeak, between(30*time.Second, 60*time.Second), func(f *Fault) { f.Rate = 4e8 })
			add(OOM, between(15*time.Second, 40*time.Second), nil)
		},
		func() {
			gpu := card()
			add(ECC, 0, func(f *Fault) { f.GPU, f.Count = gpu, 3+rng.IntN(40) })
			at += between(5*time.Second, 20*time.Second)
			add(ECC, 0, func(f *Fault) { f.GPU, f.Double = gpu, true })
			at += between(2*time.Second, 8*time.Second)
			add(GPULost, between(20*time.Second, 50*time.Second), func(f *Fault) { f.GPU = gpu })
		},
		func() {
			gpu := card()
			add(XID, 0, func(f *Fault) { f.GPU, f.Code = gpu, []int{13, 31, 43, 45, 74, 119}[rng.IntN(6)] })
		},
	}
	for at < 10*time.Minute && len(stories) > 0 {
		i := rng.IntN(len(stories))
		stories[i]()
		stories = slices.Delete(stories, i, i+1) // none twice
		at += between(20*time.Second, 70*time.Second)
	}
	return out
}
