package gpu

import "errors"

// The kinds of failure that a Library or Device reports, wrapped or as they are. Everything else is taken as something
// that may work the next time.
var (
	// ErrNotSupported, ErrNoPermission and ErrSymbolMissing stay as they are until the driver is reloaded: a call that
	// gave one is not made again.
	ErrNotSupported  = errors.New("not supported on this GPU")
	ErrNoPermission  = errors.New("no permission")
	ErrSymbolMissing = errors.New("not in this driver's NVML")
	// ErrGPULost means that the GPU has fallen off the bus: nothing else is asked of it, except whether it is back.
	ErrGPULost = errors.New("GPU is lost")
	// ErrTimeout is Watch.Next's "nothing happened".
	ErrTimeout = errors.New("timeout")
	// ErrClosed is given by a library that was closed.
	ErrClosed = errors.New("NVML is closed")
)

// permanent tells whether there is no point in asking again.
func permanent(err error) bool {
	return errors.Is(err, ErrNotSupported) || errors.Is(err, ErrNoPermission) || errors.Is(err, ErrSymbolMissing)
}
