package gpu

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestACallThatHangsIsNamedLeftBehindAndTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := newFakeBox(4, func(gpu int, call string, n int) error {
			if gpu == 3 && call == "Energy" && n == 3 {
				<-release
			}
			return nil
		})
		c := New(b, Options{})
		defer settle(c)
		mustWait(t, c)
		r := newReader(t, c)
		time.Sleep(14*time.Second + 500*time.Millisecond)
		got, reading := r.read()
		if why := reading.Absent[`DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="3"}`]; why !=
			"nvmlDeviceGetTotalEnergyConsumption on GPU 3 has not answered for 12 s" {
			t.Errorf("absent: %q", why)
		}
		if _, ok := got["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION 3"]; ok {
			t.Error("there is a value")
		}
		// What stands after it in the same pass still comes, every second.
		if got["DCGM_FI_DEV_GPU_TEMP 3"] != 60 || b.count(3, "Temperature") < 14 {
			t.Errorf("the calls after it were made %d times in 14 s", b.count(3, "Temperature"))
		}
		if n := b.count(3, "Energy"); n != 3 {
			t.Errorf("it was called %d times, while the third call was out", n)
		}
		if ts := r.titles("gpu.hang"); len(ts) != 1 || !strings.HasPrefix(ts[0],
			"nvmlDeviceGetTotalEnergyConsumption on GPU 3 has not answered for ") {
			t.Errorf("events: %q", ts)
		}
		close(release)
		time.Sleep(2 * time.Second)
		if got, _ := r.read(); got["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION 3"] != 1000 {
			t.Error("it has answered, and there is no value")
		}
		if ts := r.titles("gpu.hang"); len(ts) != 2 ||
			ts[1] != "nvmlDeviceGetTotalEnergyConsumption on GPU 3 has answered after 12 s" {
			t.Errorf("events: %q", ts)
		}
	})
}

func TestACallThatIsMerelySlowIsNoEventAndItsValueCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBox(1, func(_ int, call string, _ int) error {
			if call == "Memory" {
				time.Sleep(1500 * time.Millisecond)
			}
			return nil
		})
		c := New(b, Options{})
		defer settle(c)
		mustWait(t, c)
		time.Sleep(10 * time.Second)
		r := newReader(t, c)
		if got, _ := r.read(); got["DCGM_FI_DEV_FB_USED 0"] != 70*1024 || len(r.events) > 0 {
			t.Errorf("used %v, events %v", got["DCGM_FI_DEV_FB_USED 0"], r.events)
		}
		if n := b.count(0, "Temperature"); n < 10 {
			t.Errorf("the other calls were made %d times in 10 s", n)
		}
	})
}

func TestADriverThatAnswersNothingHoldsFewThreadsAndNoPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var dead atomic.Bool
		b := newFakeBox(2, func(gpu int, call string, _ int) error {
			if dead.Load() && gpu == 1 {
				<-release
			}
			return nil
		})
		c := New(b, Options{})
		defer settle(c)
		mustWait(t, c)
		dead.Store(true)
		time.Sleep(40 * time.Second)
		b.mu.Lock()
		inside := b.inside
		b.mu.Unlock()
		// A loop may have begun its call before the others were counted as stuck.
		if inside > maxStuck+2 {
			t.Errorf("%d calls are stuck", inside)
		}
		got, reading := newReader(t, c).read()
		if got["DCGM_FI_DEV_GPU_TEMP 0"] != 60 {
			t.Error("the other GPU has no values")
		}
		for _, name := range []string{"DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_PSTATE"} {
			if why := reading.Absent[name+`{gpu="1"}`]; !strings.Contains(why, " on GPU 1 has not answered for ") {
				t.Errorf("absent %s: %q", name, why)
			}
		}
		began := time.Now()
		if err := c.Close(); err == nil || !strings.Contains(err.Error(), "on GPU 1 (") {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("Close took %v", took)
		}
		close(release)
	})
}

func TestAGPUWhoseIdentityHangsDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := newFakeBox(2, func(gpu int, call string, _ int) error {
			if gpu == 0 && call == "UUID" {
				<-release
			}
			return nil
		})
		c := New(b, Options{})
		defer settle(c)
		defer close(release)
		mustWait(t, c)
		time.Sleep(4 * time.Second)
		got, reading := newReader(t, c).read()
		if got["DCGM_FI_DEV_GPU_UTIL 1"] != 90 {
			t.Error("the other GPU has no values")
		}
		if why := reading.Absent[`DCGM_FI_DEV_GPU_UTIL{gpu="0"}`]; !strings.HasPrefix(why, "nvmlDeviceGetUUID on GPU 0 has not answered for ") {
			t.Errorf("absent: %q", why)
		}
	})
}
