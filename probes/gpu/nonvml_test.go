//go:build !cgo || !linux

package gpu

import (
	"runtime"
	"testing"
)

func TestNVML(t *testing.T) {
	t.Skip("SKIPPED, NVML IS NOT TESTED: this build has no cgo, so no NVML either; with a C compiler it is tested against a fake one")
}

func TestABuildWithoutCgoSaysSo(t *testing.T) {
	want := "no NVML in this build (CGO_ENABLED=0)"
	if runtime.GOOS != "linux" {
		want = "no NVML on " + runtime.GOOS
	}
	if _, err := OpenNVML(Options{}); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	c := Open(Options{})
	defer c.Close()
	mustWait(t, c)
	if s := c.Facts()["gpu/status"]; s != want {
		t.Errorf("status %q", s)
	}
}
