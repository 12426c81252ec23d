package sim

import (
	"context"
	"errors"
	"math"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pitwall/probes/gpu"
)

func TestAGPUWithoutWorkRestsAndCools(t *testing.T) {
	b := newBoard(0)
	b.temp = 70
	for range 600 {
		b.advance(time.Second, activity{})
	}
	if b.watts != boardIdleWatts || b.clock != smIdleMHz || b.temp > 40 || b.busyShare > 0.01 {
		t.Errorf("%g W, %g MHz, %.1f °C, busy %.2f after ten idle minutes", b.watts, b.clock, b.temp, b.busyShare)
	}
	if b.idle < 590*time.Second || b.capped != 0 {
		t.Errorf("idle for %v, capped for %v", b.idle, b.capped)
	}
}

func TestPowerClocksAndTemperatureFollowTheWork(t *testing.T) {
	decode := activity{busy: true, memory: 0.98, compute: 0.2}
	both := activity{busy: true, memory: 0.5, compute: 0.99}
	for _, c := range []struct {
		name        string
		a           activity
		least, most float64 // W
		capped      bool
	}{
		{"decoding draws about 300 W at full clocks", decode, 260, 330, false},
		{"prefill beside it runs into the limit, and the clocks give way", both, 400, 400, true},
	} {
		b := newBoard(0)
		var temps []float64
		for range 120 {
			b.advance(time.Second, c.a)
			temps = append(temps, b.temp)
		}
		if b.watts < c.least || b.watts > c.most || b.isCapped != c.capped || (b.clock < smMaxMHz) != c.capped {
			t.Errorf("%s: %g W, %g MHz, capped %v", c.name, b.watts, b.clock, b.isCapped)
		}
		if c.capped != (b.capped == 2*time.Minute) {
			t.Errorf("%s: capped for %v of 2 min", c.name, b.capped)
		}
		if rise := temps[0] - 33; rise > 5 || temps[119] < 50 || temps[119] > 80 {
			t.Errorf("%s: %.1f °C after 1 s, %.1f °C after 2 min: want a slow rise to 50-80", c.name, temps[0], temps[119])
		}
	}
}

func TestEnergyIsTheIntegralOfPower(t *testing.T) {
	e := engine(t, Config{Traffic: NewTraffic(5, time.Minute, 8192)})
	joules := 0.0
	for e.Now() < 5*time.Minute {
		d, ok := e.Advance()
		if !ok {
			at, _ := e.NextEvent()
			d = at - e.Now()
			e.Idle(at)
		}
		joules += e.gpu.watts * d.Seconds()
	}
	if math.Abs(joules-e.gpu.joules) > 1e-3*joules {
		t.Errorf("the counter says %.0f J, power × time %.0f J", e.gpu.joules, joules)
	}
}

func TestEveryCardAnswersEverythingAnA100Does(t *testing.T) {
	s := serve(t, func(o *Options) { o.Quiet, o.GPUs, o.Config, o.Warm = false, 8, Config{}, 20*time.Second })
	lib := s.GPU()
	if n, err := lib.Count(); n != 8 || err != nil {
		t.Fatalf("%d cards, %v", n, err)
	}
	if _, err := lib.Device(8); err == nil {
		t.Error("there is a ninth card")
	}
	seen := map[string]bool{}
	for i := range 8 {
		d, err := lib.Device(i)
		if err != nil {
			t.Fatal(err)
		}
		uuid, _ := d.UUID()
		bus, _ := d.PCIBusID()
		if seen[uuid] || seen[bus] {
			t.Errorf("card %d: %s or %s twice", i, uuid, bus)
		}
		seen[uuid], seen[bus] = true, true
		check := func(what string, least, most float64, read func() (float64, error)) {
			t.Helper()
			if v, err := read(); err != nil || v < least || v > most {
				t.Errorf("card %d: %s %g (%v), want %g to %g", i, what, v, err, least, most)
			}
		}
		check("power", 60, 400, d.Power)
		check("temperature", 28, 85, d.Temperature)
		check("memory temperature", 28, 95, d.MemoryTemperature)
		check("SM clock", 1000, 1410, func() (float64, error) { return d.Clock(gpu.SMClock) })
		check("utilization", 30, 100, func() (float64, error) { u, err := d.Utilization(); return u.GPU, err })
		check("PCIe", 1, 1e8, func() (float64, error) { return d.PCIe(gpu.Receive) })
		check("energy in J", 20*60, 1e6, func() (float64, error) { mj, err := d.Energy(); return float64(mj) / 1000, err })
		m, err := d.Memory()
		if err != nil || m.Used+m.Free+m.Reserved != m.Total || float64(m.Used)/(1<<30) < 71 || float64(m.Used)/(1<<30) > 72 {
			t.Errorf("card %d: memory %+v, want 0.9 of 79.25 GiB used", i, m)
		}
		times, err := d.ReasonTimes()
		if err != nil || len(times) != len(gpu.TimedReasons()) {
			t.Errorf("card %d: %d reasons, %v", i, len(times), err)
		}
		if _, err := d.FanSpeed(); !errors.Is(err, gpu.ErrNotSupported) {
			t.Errorf("card %d has a fan: %v", i, err)
		}
		procs, err := d.Processes()
		if err != nil || len(procs) != 1 {
			t.Fatalf("card %d: %v, %v", i, procs, err)
		}
		role, title, engine := s.Process(procs[0].PID)
		wantEngine := ""
		if i == 0 {
			wantEngine = s.URL()[len("http://"):]
		}
		if role != "engine_core" || title != "VLLM::EngineCore" || engine != wantEngine || (procs[0].PID == os.Getpid()) != (i == 0) {
			t.Errorf("card %d: process %d is %q %q of %q", i, procs[0].PID, role, title, engine)
		}
	}
	if role, _, _ := s.Process(1); role != "" {
		t.Errorf("process 1 is %s", role)
	}
}

func TestNoXIDEverComes(t *testing.T) {
	s := serve(t, func(o *Options) { o.Quiet, o.Config = false, Config{} })
	w, err := s.GPU().Watch(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(time.Millisecond); !errors.Is(err, gpu.ErrTimeout) {
		t.Errorf("Next: %v, want a timeout", err)
	}
	_ = s.Close()
	if _, err := w.Next(time.Hour); !errors.Is(err, gpu.ErrClosed) {
		t.Errorf("Next after Close: %v", err)
	}
}

func TestTheContextsEndStopsIt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := Start(ctx, Options{Quiet: true})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-s.ended
}

func TestTheCollectorReadsTheSimulatedCards(t *testing.T) {
	s := serve(t, func(o *Options) { o.Quiet, o.GPUs, o.Config, o.Speed = false, 2, Config{}, 1 })
	c := gpu.New(s.GPU(), gpu.Options{Hostname: "sim", Process: s.Process})
	defer c.Close()
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	facts := c.Facts()
	for path, want := range map[string]string{
		"gpu/status": "ok", "gpu/0/name": "NVIDIA A100-SXM4-80GB", "gpu/1/arch": "Ampere", "gpu/0/fan": "no",
		"gpu/0/engine": s.URL()[len("http://"):], "gpu/0/engine_by": "process memory",
	} {
		if facts[path] != want {
			t.Errorf("%s: %q, want %q", path, facts[path], want)
		}
	}
	reg := prometheus.NewRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			found[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for _, name := range []string{"DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_GPU_UTIL"} {
		if found[name] == 0 {
			t.Errorf("no %s among %d families", name, len(found))
		}
	}
}
