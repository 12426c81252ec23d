package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"pitwall/probes"
	"pitwall/probes/gpu"
	"pitwall/probes/host"
)

func TestAnXIDReachesWhoeverWatches(t *testing.T) {
	s := serve(t, func(o *Options) { o.GPUs = 2 })
	w, err := s.GPU().Watch(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := s.Inject(schedule(t, "- {fault: xid, gpu: 1, code: 74}\n- {fault: gpu-lost, gpu: 1, for: 1h}")...); err != nil {
		t.Fatal(err)
	}
	for _, want := range []gpu.XID{{Device: 1, Code: 74, Instance: -1}, {Device: 1, Code: 79, Instance: -1}} {
		if x, err := w.Next(5 * time.Second); err != nil || x != want {
			t.Errorf("%+v, %v, want %+v", x, err, want)
		}
	}
}

func TestALostCardAnswersNothingAndItsEngineIsGoneUntilItIsBack(t *testing.T) {
	s := serve(t, func(o *Options) { o.Speed = 20 })
	d, err := s.GPU().Device(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Inject(schedule(t, "- {fault: gpu-lost, for: 6s}")...); err != nil {
		t.Fatal(err)
	}
	asked := map[string]error{}
	_, asked["name"] = d.Name()
	_, asked["power"] = d.Power()
	_, asked["memory"] = d.Memory()
	_, asked["limit"] = d.TemperatureLimit(gpu.SlowdownTemp)
	_, asked["reasons"] = d.ReasonTimes()
	_, _, asked["nvlink"] = d.NVLink()
	_, asked["processes"] = d.Processes()
	_, asked["handle"] = s.GPU().Device(0)
	for what, err := range asked {
		if !errors.Is(err, gpu.ErrGPULost) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if !s.driver.isGone() {
		t.Error("the engine on a lost card lives")
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err = d.Power(); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if s.driver.isGone() {
		t.Error("the card is back, its engine is not")
	}
}

func TestFaultsOfACardShowInItsReadings(t *testing.T) {
	s := serve(t, func(o *Options) { o.Quiet, o.Speed, o.Config, o.Warm, o.GPUs = false, 20, Config{}, 30*time.Second, 2 })
	d, _ := s.GPU().Device(1)
	before, _ := d.Clock(gpu.SMClock)
	if err := s.Inject(schedule(t, `
- {fault: thermal, gpu: 1, for: 1h, mhz: 600}
- {fault: power, gpu: 1, for: 1h, watts: 200}
- {fault: ecc, gpu: 1, count: 7}
- {fault: ecc, gpu: 1, double: true, count: 2}
- {fault: ecc, gpu: 1, double: true, failed: true}
`)...); err != nil {
		t.Fatal(err)
	}
	hot := func() bool { temp, _ := d.Temperature(); return temp >= maxGPUTemp }
	for deadline := time.Now().Add(10 * time.Second); !hot(); {
		if time.Now().After(deadline) {
			t.Fatal("it does not get hot")
		}
	}
	if clock, _ := d.Clock(gpu.SMClock); clock > 600 || before < 1000 {
		t.Errorf("the clock was %g and is %g MHz", before, clock)
	}
	if watts, _ := d.Power(); watts > 200 {
		t.Errorf("%g W under a limit of 200", watts)
	}
	if limit, _ := d.PowerLimit(); limit != 200 {
		t.Errorf("the limit is %g W", limit)
	}
	mask, _ := d.ClockReasons()
	if names := gpu.ReasonNames(mask); !slices.Contains(names, "sw_thermal") {
		t.Errorf("reasons %v", names)
	}
	times, _ := d.ReasonTimes()
	for _, r := range times {
		if r.Reason == "sw_thermal" && r.Total <= 0 {
			t.Error("no time is counted for heat")
		}
	}
	single, _ := d.ECCErrors(gpu.ECC{})
	double, _ := d.ECCErrors(gpu.ECC{DoubleBit: true, Aggregate: true})
	rows, _ := d.RemappedRows()
	action, _ := d.RecoveryAction()
	if single != 7 || double != 3 || rows != (gpu.RemappedRows{Uncorrectable: 2, Pending: true, Failed: true}) || action != 1 {
		t.Errorf("%d single, %d double, %+v, %v", single, double, rows, action)
	}
	other, _ := s.GPU().Device(0)
	if limit, _ := other.PowerLimit(); limit != boardLimitWatts {
		t.Errorf("the other card's limit is %g W", limit)
	}
}

func TestTheCollectorTellsOfFaultsAsOfARealCards(t *testing.T) {
	s := serve(t, func(o *Options) { o.Speed = 1 })
	c := gpu.New(s.GPU(), gpu.Options{Hostname: "sim", Process: s.Process})
	defer c.Close()
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	src, err := probes.FromCollector("dcgm", "sim", c)
	if err != nil {
		t.Fatal(err)
	}
	// The watch for XIDs begins some time after the first reading.
	var told []string
	want := []string{"gpu.lost", "gpu.xid 94"}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if len(told) == 0 {
			if err := s.Inject(schedule(t, "- {fault: ecc, double: true}")...); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range src.Read(t.Context()).Events {
			line := strings.TrimSpace(e.Kind + " " + e.Attrs["xid"] + e.Attrs["code"])
			if !slices.Contains(told, line) {
				told = append(told, line)
			}
		}
		if slices.Contains(told, want[1]) && !slices.Contains(told, want[0]) {
			_ = s.Inject(schedule(t, "- {fault: gpu-lost, for: 1h}")...)
		}
		if slices.Contains(told, want[0]) && slices.Contains(told, want[1]) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("told only %q, want %q", told, want)
		}
		pauseBriefly(t.Context())
	}
}

// pauseBriefly leaves the core to those that are waited for.
func pauseBriefly(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Millisecond):
	}
}

// still is a machine on which nothing moves.
type still struct{}

func (still) Target() (job, instance string) { return "node", "still" }
func (still) Every() time.Duration           { return time.Second }
func (still) Read(context.Context) probes.Reading {
	one := func(name string, v float64) probes.Sample {
		return probes.Sample{Labels: labels.FromStrings(model.MetricNameLabel, name), Value: v}
	}
	return probes.Reading{Samples: []probes.Sample{one("node_memory_MemAvailable_bytes", 100e9), one("node_vmstat_oom_kill", 3), one("node_load1", 1)},
		Absent: map[string]string{"pitwall_process_resident_memory_bytes": "no engine process on this host"}}
}

func TestTheMachineUnderASimulationLosesMemoryAndKills(t *testing.T) {
	s := serve(t, func(o *Options) {
		o.Speed, o.Faults = 100, schedule(t, "- {at: 100s, for: 100s, fault: memory-leak, rate: 5e8}\n- {at: 300s, for: 100s, fault: oom}")
	})
	src := s.OnHost(still{})
	if job, instance := src.Target(); job != "node" || instance != "still" || src.Every() != time.Second {
		t.Errorf("%s %s %v", job, instance, src.Every())
	}
	type look struct{ free, kills, resident float64 }
	read := func() (l look, events []probes.Event) {
		r := src.Read(t.Context())
		for _, x := range r.Samples {
			switch x.Labels.Get(model.MetricNameLabel) {
			case "node_memory_MemAvailable_bytes":
				l.free = x.Value
			case "node_vmstat_oom_kill":
				l.kills = x.Value
			case "pitwall_process_resident_memory_bytes":
				l.resident = x.Value
			}
		}
		return l, r.Events
	}
	first, _ := read()
	if first.free != 100e9 || first.kills != 3 || first.resident != residentAtStart {
		t.Errorf("at first %+v", first)
	}
	leaked := false
	for deadline := time.Now().Add(20 * time.Second); ; {
		l, events := read()
		if l.resident > residentAtStart+40e9 {
			leaked = true
			if l.free > 61e9 {
				t.Errorf("%+v", l)
			}
		}
		if len(events) > 0 {
			if e := events[0]; e.Kind != host.KindOOMKill || e.Attrs["killed"] != "1" || e.Attrs["total"] != "4" || l.kills != 4 || l.resident != 0 || l.free != 100e9 {
				t.Errorf("%+v with %+v", e, l)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody was killed")
		}
		pauseBriefly(t.Context())
	}
	if !leaked {
		t.Error("the leak was not seen")
	}
	if _, events := read(); len(events) != 0 {
		t.Errorf("told twice: %v", events)
	}
}

func TestTheGPUsHaveAPageOfTheirOwn(t *testing.T) {
	s := serve(t, func(o *Options) { o.Quiet, o.Config, o.GPUs = false, Config{}, 2 })
	var page string
	for deadline := time.Now().Add(10 * time.Second); strings.Count(page, "\nDCGM_FI_DEV_POWER_USAGE{") < 2; {
		_, _, b := do(t, s, "GET", "/pitwall/gpu/metrics", nil)
		page = string(b)
		if time.Now().After(deadline) {
			t.Fatalf("no power on %s", page)
		}
		pauseBriefly(t.Context())
	}
	if !strings.Contains(page, fmt.Sprintf("pitwall_simulated %d", 1)) {
		t.Error("the page does not say that it is simulated")
	}
}
