//go:build !cgo || !linux

package gpu

import (
	"errors"
	"runtime"
)

// OpenNVML fails: this build can't call NVML.
func OpenNVML(Options) (Library, error) {
	if runtime.GOOS != "linux" {
		return nil, errors.New("no NVML on " + runtime.GOOS)
	}
	return nil, errors.New("no NVML in this build (CGO_ENABLED=0)")
}
