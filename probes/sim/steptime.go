package sim

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"time"

	"go.yaml.in/yaml/v3"
)

// StepTimesYAML is the file of the step times that a simulation takes when none are given: Llama-3-8B in bf16 on an
// A100-SXM4-80GB, from published figures with their sources. It is where to start an own one from.
//
//go:embed a100_llama3_8b.yaml
var StepTimesYAML []byte

// StepTimes is how long the steps of one model on one card take: the roofline of reading memory and of computing.
type StepTimes struct {
	// Name says which model on which card.
	Name string `yaml:"name"`
	// Parameters is their number; WeightBytes is what they take in memory, KVBytesPerToken what a token's cache takes.
	Parameters      float64 `yaml:"parameters"`
	WeightBytes     float64 `yaml:"weight_bytes"`
	KVBytesPerToken float64 `yaml:"kv_bytes_per_token"`
	// Bandwidth is the memory's in bytes/s, Compute in floating point operations per second, both as published; the
	// shares say how much of them the engine gets out, 0 to 1.
	Bandwidth      float64 `yaml:"bandwidth"`
	BandwidthShare float64 `yaml:"bandwidth_share"`
	Compute        float64 `yaml:"compute"`
	ComputeShare   float64 `yaml:"compute_share"`
	// PerSequence and PerStep are the engine's own work.
	PerSequence time.Duration `yaml:"per_sequence"`
	PerStep     time.Duration `yaml:"per_step"`
}

// ParseStepTimes reads a file of the form of StepTimesYAML.
func ParseStepTimes(raw []byte) (*StepTimes, error) {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	m := &StepTimes{}
	if err := dec.Decode(m); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		return nil, fmt.Errorf("step times: %w", err)
	}
	for _, f := range []struct {
		name      string
		v, lowest float64
		highest   float64
	}{
		{"parameters", m.Parameters, 1, 1e15}, {"weight_bytes", m.WeightBytes, 1, 1e16}, {"kv_bytes_per_token", m.KVBytesPerToken, 1, 1e12},
		{"bandwidth", m.Bandwidth, 1, 1e18}, {"compute", m.Compute, 1, 1e21},
		{"bandwidth_share", m.BandwidthShare, 1e-6, 1}, {"compute_share", m.ComputeShare, 1e-6, 1},
		{"per_sequence", m.PerSequence.Seconds(), 0, 60}, {"per_step", m.PerStep.Seconds(), 0, 60},
	} {
		if !(f.v >= f.lowest && f.v <= f.highest) {
			return nil, fmt.Errorf("step times: %s is %g: it must be given and lie between %g and %g", f.name, f.v, f.lowest, f.highest)
		}
	}
	return m, nil
}

// defaultStepTimes reads the embedded file, which a test has read before.
func defaultStepTimes() *StepTimes {
	m, err := ParseStepTimes(StepTimesYAML)
	if err != nil {
		panic(err)
	}
	return m
}

// Step is how long one engine step takes: prefillTokens of prompts are computed, and decodeSeqs sequences get one token each,
// over contextTokens tokens of KV cache that attention reads. Zero for a step without tokens.
func (m *StepTimes) Step(prefillTokens, decodeSeqs, contextTokens int) time.Duration {
	if prefillTokens+decodeSeqs == 0 {
		return 0
	}
	return m.step(m.memoryTime(contextTokens), m.computeTime(prefillTokens+decodeSeqs), decodeSeqs)
}

// longestStep bounds what figures that are far out, or faults on top of each other, make of a step.
const longestStep = 24 * time.Hour

func (m *StepTimes) step(memory, compute float64, decodeSeqs int) time.Duration {
	return time.Duration(min(max(memory, compute), longestStep.Seconds())*float64(time.Second)) + time.Duration(decodeSeqs)*m.PerSequence + m.PerStep
}

// memoryTime is how long reading the weights and the cache of so many tokens takes, in seconds.
func (m *StepTimes) memoryTime(contextTokens int) float64 {
	return (m.WeightBytes + m.KVBytesPerToken*float64(contextTokens)) / (m.Bandwidth * m.BandwidthShare)
}

// computeTime is how long the matrix products for so many tokens take, in seconds.
func (m *StepTimes) computeTime(tokens int) float64 {
	return 2 * m.Parameters * float64(tokens) / (m.Compute * m.ComputeShare)
}
