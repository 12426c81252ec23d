package gpu

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"pitwall/probes"
)

// xidMeaning says in a few words what an XID means and how bad it is, after NVIDIA's list of XID errors
// (docs.nvidia.com/deploy/xid-errors). Those that an application can cause are warnings; those that only a reset or a
// technician ends are critical.
func xidMeaning(code int) (string, probes.Severity) {
	switch code {
	case 13:
		return "graphics engine exception, mostly a kernel's illegal access", probes.Warning
	case 31:
		return "GPU memory page fault, mostly an application's illegal address", probes.Warning
	case 32:
		return "corrupted push buffer stream", probes.Warning
	case 38:
		return "driver firmware error", probes.Critical
	case 43:
		return "GPU stopped processing: a process's work was reset", probes.Warning
	case 44:
		return "graphics engine fault during context switch", probes.Warning
	case 45:
		return "preemptive cleanup: a process was killed or had failed before", probes.Note
	case 48:
		return "double-bit ECC error: reset the GPU", probes.Critical
	case 61, 62:
		return "internal micro-controller stopped: reset the GPU", probes.Critical
	case 63:
		return "a memory row or page is recorded for remapping: takes effect at the next reset", probes.Warning
	case 64:
		return "a memory row or page could not be recorded for remapping", probes.Critical
	case 69:
		return "graphics engine class error", probes.Warning
	case 74:
		return "NVLink error", probes.Critical
	case 79:
		return "GPU has fallen off the bus", probes.Critical
	case 92:
		return "high rate of single-bit ECC errors", probes.Warning
	case 94:
		return "contained ECC error: the process that met it is lost", probes.Critical
	case 95:
		return "uncontained ECC error: reset the GPU", probes.Critical
	case 109:
		return "context switch timeout", probes.Warning
	case 119:
		return "the GPU's system processor (GSP) did not answer in time: reset the GPU", probes.Critical
	case 120:
		return "error in the GPU's system processor (GSP): reset the GPU", probes.Critical
	case 121:
		return "C2C link error, corrected", probes.Note
	case 140:
		return "unrecovered ECC error: reset the GPU", probes.Critical
	case 143:
		return "GPU initialization error", probes.Critical
	case 144, 145, 146, 147, 148, 149, 150:
		return "NVLink error", probes.Critical
	case 154:
		return "the driver's recovery action for this GPU has changed", probes.Warning
	}
	return "see NVIDIA's list of XID errors", probes.Warning
}

const (
	// xidTimeout is how long one wait for an XID lasts, xidRetry the pause after one that failed.
	xidTimeout = time.Second
	xidRetry   = 10 * time.Second
)

// watchXIDs waits for XIDs until the Collector is closed. It registers anew when more GPUs have been identified.
func (c *Collector) watchXIDs(lib Library) {
	select {
	case <-c.ready:
	case <-c.ctx.Done():
		return
	}
	for c.ctx.Err() == nil {
		err := c.watchOnce(lib)
		if err == nil {
			continue
		}
		c.mu.Lock()
		c.watching = plain(err)
		c.mu.Unlock()
		if permanent(err) || !sleep(c.ctx, xidRetry) {
			return
		}
	}
}

// watchOnce registers for XIDs and hands them on, until the set of GPUs changes, which gives nil, or it fails.
func (c *Collector) watchOnce(lib Library) error {
	devices, indices := c.identified()
	if len(devices) == 0 {
		return errors.New("no GPU could be identified yet")
	}
	w, err := lib.Watch(devices)
	if err != nil {
		return err
	}
	// The registration ends with the library at the latest.
	defer func() { _ = w.Close() }()
	c.mu.Lock()
	c.watching = ""
	c.mu.Unlock()
	for c.ctx.Err() == nil {
		x, err := w.Next(xidTimeout)
		switch {
		case errors.Is(err, ErrTimeout):
		case err != nil:
			return fmt.Errorf("waiting for XIDs: %w", err)
		default:
			c.xid(x)
		}
		if now, _ := c.identified(); len(now) != len(indices) {
			return nil
		}
	}
	return nil
}

func (c *Collector) identified() (devices []Device, indices []int) {
	c.mu.Lock()
	gpus := c.gpus
	c.mu.Unlock()
	for _, g := range gpus {
		g.mu.Lock()
		if g.dev != nil {
			devices, indices = append(devices, g.dev), append(indices, g.index)
		}
		g.mu.Unlock()
	}
	return devices, indices
}

func (c *Collector) xid(x XID) {
	meaning, severity := xidMeaning(x.Code)
	e := probes.Event{Time: time.Now(), Kind: "gpu.xid", Subject: "gpu", Severity: severity,
		Title: fmt.Sprintf("XID %d: %s", x.Code, meaning),
		Attrs: map[string]string{"xid": strconv.Itoa(x.Code), "meaning": meaning}}
	if x.Instance >= 0 {
		e.Attrs["instance"] = strconv.Itoa(x.Instance)
	}
	c.mu.Lock()
	gpus := c.gpus
	c.mu.Unlock()
	if x.Device >= 0 && x.Device < len(gpus) {
		g := gpus[x.Device]
		g.mu.Lock()
		g.xid = x.Code
		g.mu.Unlock()
		n := strconv.Itoa(x.Device)
		e.Subject, e.Attrs["gpu"] = "gpu/"+n, n
		e.Title = "GPU " + n + " " + e.Title
	}
	c.event(e)
}
