package gpu

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pitwall/probes"
)

func mustWait(t *testing.T, c *Collector) {
	t.Helper()
	if err := c.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// settle ends a test's Collector and lets the goroutines that it leaves behind end too.
func settle(c *Collector) {
	_ = c.Close()
	time.Sleep(time.Minute)
}

func TestEachFieldIsReadAtItsCadence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBox(1, nil)
		c := New(b, Options{Hostname: "box"})
		defer settle(c)
		mustWait(t, c)
		time.Sleep(20*time.Second + time.Millisecond)
		for call, want := range map[string]int{
			"Power": 21, "NVLink": 11, "PState": 3, "MaxPowerLimit": 1, "Clock": 42, "ECCErrors": 12, "Name": 1,
		} {
			if got := b.count(0, call); got != want {
				t.Errorf("%s was called %d times in 20 s, want %d", call, got, want)
			}
		}
	})
}

func TestWithoutPCIeItIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBox(1, nil)
		c := New(b, Options{NoPCIe: true})
		defer settle(c)
		mustWait(t, c)
		if n := b.count(0, "PCIe"); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestFastValuesAreTakenShortlyBeforeThePullWhateverItsPhase(t *testing.T) {
	for _, phase := range []time.Duration{0, 30 * time.Millisecond, 450 * time.Millisecond, 950 * time.Millisecond} {
		t.Run(phase.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBox(1, nil)
				c := New(b, Options{})
				defer settle(c)
				mustWait(t, c)
				r := newReader(t, c)
				time.Sleep(phase)
				for i := range 20 {
					time.Sleep(time.Second)
					r.read()
					b.mu.Lock()
					age := time.Since(slices.MaxFunc(b.times["Power on 0"], time.Time.Compare))
					b.mu.Unlock()
					if i > 2 && (age < lead || age > lead+10*time.Millisecond) {
						t.Errorf("pull %d handed out values %v old, want about %v", i, age, lead)
					}
				}
				if n := b.count(0, "Power"); n < 20 || n > 24 {
					t.Errorf("%d calls in 21 s", n)
				}
			})
		})
	}
}

func TestWhatCannotWorkIsAskedOnce(t *testing.T) {
	for _, c := range []struct {
		err error
		why string
	}{
		{ErrNotSupported, "not supported on this GPU"},
		{ErrNoPermission, "no permission"},
		{errors.Join(errors.New("nvmlX is"), ErrSymbolMissing), "nvmlX is\nnot in this driver's NVML"},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFakeBox(2, func(gpu int, call string, _ int) error {
					if call == "Power" {
						return c.err
					}
					return nil
				})
				col := New(b, Options{})
				defer settle(col)
				mustWait(t, col)
				time.Sleep(30 * time.Second)
				got, r := newReader(t, col).read()
				if n := b.count(0, "Power"); n != 1 {
					t.Errorf("asked %d times", n)
				}
				if _, ok := got["DCGM_FI_DEV_POWER_USAGE 0"]; ok {
					t.Error("there is a value")
				}
				if r.Absent["DCGM_FI_DEV_POWER_USAGE"] != c.why {
					t.Errorf("absent: %q", r.Absent["DCGM_FI_DEV_POWER_USAGE"])
				}
			})
		})
	}
}

func TestAPassingErrorIsRetriedAndTheLastValueStandsUntilItIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		b := newFakeBox(2, func(gpu int, call string, _ int) error {
			if gpu == 1 && call == "Power" && broken.Load() {
				return errors.New("nvmlDeviceGetPowerUsage: unknown error")
			}
			return nil
		})
		c := New(b, Options{})
		defer settle(c)
		mustWait(t, c)
		r := newReader(t, c)
		broken.Store(true)
		time.Sleep(2 * time.Second)
		if got, _ := r.read(); got["DCGM_FI_DEV_POWER_USAGE 1"] != 300 {
			t.Error("after two seconds the last value, rounded to a watt, should stand")
		}
		time.Sleep(3 * time.Second)
		got, reading := r.read()
		if _, ok := got["DCGM_FI_DEV_POWER_USAGE 1"]; ok {
			t.Error("after five seconds the last value is too old to be shown")
		}
		if why := reading.Absent[`DCGM_FI_DEV_POWER_USAGE{gpu="1"}`]; why != "no data for 5 s: nvmlDeviceGetPowerUsage: unknown error" {
			t.Errorf("absent: %q", why)
		}
		if got["DCGM_FI_DEV_POWER_USAGE 0"] != 300 || got["DCGM_FI_DEV_GPU_TEMP 1"] != 60 {
			t.Error("the other values should be there")
		}
		broken.Store(false)
		time.Sleep(time.Second)
		if got, _ := r.read(); got["DCGM_FI_DEV_POWER_USAGE 1"] != 300 {
			t.Error("it works again, and has no value")
		}
	})
}

func TestALostGPUIsAskedRarelyAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		b := newFakeBox(2, func(gpu int, _ string, _ int) error {
			if gpu == 1 && gone.Load() {
				return ErrGPULost
			}
			return nil
		})
		c := New(b, Options{})
		defer settle(c)
		mustWait(t, c)
		r := newReader(t, c)
		gone.Store(true)
		time.Sleep(2 * time.Second)
		got, reading := r.read()
		if _, ok := got["DCGM_FI_DEV_GPU_TEMP 1"]; ok || got["DCGM_FI_DEV_GPU_TEMP 0"] != 60 {
			t.Errorf("values: %v", got)
		}
		if why := reading.Absent[`DCGM_FI_DEV_POWER_USAGE{gpu="1"}`]; !strings.HasPrefix(why, "GPU is lost since ") {
			t.Errorf("absent: %q", why)
		}
		before := b.count(1, "Temperature") + b.count(1, "Power")
		time.Sleep(30 * time.Second)
		if n := b.count(1, "Temperature") + b.count(1, "Power") - before; n < 2 || n > 4 {
			t.Errorf("asked %d times in 30 s", n)
		}
		gone.Store(false)
		time.Sleep(12 * time.Second)
		if got, _ := r.read(); got["DCGM_FI_DEV_POWER_USAGE 1"] != 300 {
			t.Error("it is back, and has no values")
		}
		lost, back := r.titles("gpu.lost"), r.titles("gpu.back")
		call := r.events[0].Attrs["call"]
		if !slices.Equal(lost, []string{"GPU 1 is lost, says " + call}) || !slices.Equal(back, []string{"GPU 1 answers again"}) {
			t.Errorf("events: %q %q", lost, back)
		}
	})
}

func TestAGPUThatCannotBeIdentifiedAtFirstIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBox(2, func(gpu int, call string, n int) error {
			if gpu == 1 && call == "Device" && n < 3 {
				return errors.New("nvmlDeviceGetHandleByIndex: interrupts of the GPU don't work")
			}
			return nil
		})
		c := New(b, Options{})
		defer settle(c)
		mustWait(t, c)
		r := newReader(t, c)
		_, reading := r.read()
		if why := reading.Absent[`DCGM_FI_DEV_GPU_UTIL{gpu="1"}`]; why != "nvmlDeviceGetHandleByIndex: interrupts of the GPU don't work" {
			t.Errorf("absent: %q", why)
		}
		time.Sleep(25 * time.Second)
		if got, _ := r.read(); got["DCGM_FI_DEV_GPU_UTIL 1"] != 90 {
			t.Error("no values after the third attempt")
		}
	})
}

func TestWhatWasImpossibleIsAskedAgainWhenMIGIsSwitched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBox(1, nil)
		b.on = func(_ int, call string, _ int) error {
			b.gpus[0].mu.Lock()
			defer b.gpus[0].mu.Unlock()
			if call == "Utilization" && b.gpus[0].mig {
				return ErrNotSupported
			}
			return nil
		}
		b.gpus[0].mig = true
		c := New(b, Options{})
		defer settle(c)
		mustWait(t, c)
		r := newReader(t, c)
		_, reading := r.read()
		if why := reading.Absent["DCGM_FI_DEV_GPU_UTIL"]; why != "not supported on this GPU while MIG is on" {
			t.Errorf("absent: %q", why)
		}
		b.gpus[0].mu.Lock()
		b.gpus[0].mig = false
		b.gpus[0].mu.Unlock()
		time.Sleep(12 * time.Second)
		if got, _ := r.read(); got["DCGM_FI_DEV_GPU_UTIL 0"] != 90 {
			t.Error("MIG is off, and the utilisation is still missing")
		}
	})
}

func TestNothingSaysWhy(t *testing.T) {
	c := Nothing("no NVIDIA driver: libnvidia-ml.so.1 not found")
	mustWait(t, c)
	got, r := newReader(t, c).read()
	if len(got) != 0 {
		t.Errorf("values: %v", got)
	}
	if c.Status() != r.Facts["gpu/status"] || r.Facts["gpu/status"] != "no NVIDIA driver: libnvidia-ml.so.1 not found" {
		t.Errorf("facts: %v", r.Facts)
	}
	for _, name := range []string{"DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_XID_ERRORS"} {
		if r.Absent[name] != c.Status() {
			t.Errorf("absent %s: %q", name, r.Absent[name])
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestADriverThatStartsSlowlyIsWaitedForInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(Options{}, func() (Library, error) {
			time.Sleep(5 * time.Second)
			return newFakeBox(1, nil), nil
		})
		defer settle(c)
		r := newReader(t, c)
		if _, reading := r.read(); reading.Facts["gpu/status"] != "starting" || reading.Absent["DCGM_FI_DEV_GPU_UTIL"] != "starting" {
			t.Errorf("facts: %v", reading.Facts)
		}
		time.Sleep(4 * time.Second)
		if s := c.Status(); s != "opening NVML has not answered for 4 s" {
			t.Errorf("status: %q", s)
		}
		mustWait(t, c)
		if got, _ := r.read(); got["DCGM_FI_DEV_GPU_UTIL 0"] != 90 || c.Status() != "ok" {
			t.Errorf("status %q, values %v", c.Status(), got)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := start(Options{}, func() (Library, error) { <-release; return nil, errors.New("no driver") })
		defer settle(c)
		defer close(release)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := c.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAfterCloseNothingIsCalledAndNothingHandedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBox(2, nil)
		c := New(b, Options{})
		mustWait(t, c)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		b.mu.Lock()
		b.closed = true // from here on a call panics
		b.mu.Unlock()
		time.Sleep(30 * time.Second)
		if got, _ := newReader(t, c).read(); len(got) != 0 {
			t.Errorf("values: %v", got)
		}
		if err := c.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	})
}

func TestProcessesCarryTheirRoleAndAnyTextIsHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBox(1, nil)
		b.gpus[0].processes = []Process{{PID: 7, Memory: 10, HasMemory: true}, {PID: 7, Memory: 5, HasMemory: true}, {PID: 8}}
		c := New(b, Options{Process: func(pid int) (string, string, string) { return "worker", "bad \xff title\x1b", "e:1" }})
		defer settle(c)
		mustWait(t, c)
		_, r := newReader(t, c).read()
		found := false
		for _, s := range r.Samples {
			if s.Labels.Get("__name__") == "pitwall_gpu_process_memory_bytes" {
				found = true
				if s.Value != 15 || s.Labels.Get("title") != "bad \uFFFD title\x1b" || s.Labels.Get("role") != "worker" {
					t.Errorf("%v = %v", s.Labels, s.Value)
				}
			}
		}
		if !found {
			t.Error("no process")
		}
		if r.Absent[`pitwall_gpu_process_memory_bytes{pid="8"}`] == "" {
			t.Errorf("absent: %v", r.Absent)
		}
	})
}

type pretend struct{ *fakeBox }

func (pretend) Simulated() bool { return true }

func TestASimulatedLibraryMarksItsSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			lib  Library
			want float64
		}{{newFakeBox(1, nil), 0}, {pretend{newFakeBox(1, nil)}, 1}} {
			col := New(c.lib, Options{})
			mustWait(t, col)
			if got, _ := newReader(t, col).read(); got["pitwall_simulated "] != c.want {
				t.Errorf("%T: %v", c.lib, got["pitwall_simulated "])
			}
			settle(col)
		}
	})
}

func TestReasonNamesDropNothing(t *testing.T) {
	for mask, want := range map[uint64]string{
		0: "", 0x1: "gpu_idle", 0x2c: "power_cap hw_slowdown sw_thermal", 0x600: "board_limit reliability",
		0x8000000000000804: "power_cap 0x800 0x8000000000000000",
	} {
		if got := strings.Join(ReasonNames(mask), " "); got != want {
			t.Errorf("%#x: %q, want %q", mask, got, want)
		}
	}
}

// BenchmarkSecondOf8GPUs is what a second costs without the driver's own time: the fast calls and a pull.
func BenchmarkSecondOf8GPUs(b *testing.B) {
	c := New(newFakeBox(8, nil), Options{Hostname: "box"})
	defer c.Close()
	if err := c.Wait(context.Background()); err != nil {
		b.Fatal(err)
	}
	src, err := probes.FromCollector("dcgm", "box", c)
	if err != nil {
		b.Fatal(err)
	}
	var often []*field
	for _, f := range c.fields {
		if f.every == fast {
			often = append(often, f)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, g := range c.gpus {
			g.pass(often, 2*fast) // twice the cadence: nothing counts as just asked
		}
		src.Read(context.Background())
	}
}
