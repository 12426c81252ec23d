package calibrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Certificate says how well this client measures on this host. Times in its JSON are nanoseconds.
type Certificate struct {
	// Host, Cores (that this process may use) and Version (pitwall's) are where and what was measured, At when.
	Host    string    `json:"host"`
	Cores   int       `json:"cores"`
	Version string    `json:"version"`
	At      time.Time `json:"at"`
	// Stamped is whether arrivals were the kernel's receive stamps; otherwise they are the times after reads, and a busy host bends
	// them.
	Stamped bool `json:"kernel_stamps"`
	// Asked is how many streams were asked for, Rate how many tokens a second each.
	Asked int     `json:"asked_streams"`
	Rate  float64 `json:"tokens_per_second_and_stream"`
	// Bounds are what errors at p99 had to stay within.
	Bounds Bounds `json:"bounds"`
	// Steps are the loads that were measured, in their order.
	Steps []Step `json:"steps"`
	// Streams and Tokens (a second, in all) are the most at which all bounds held; 0 if they did nowhere.
	Streams int     `json:"streams"`
	Tokens  float64 `json:"tokens_per_second"`
}

// Load is what a run did to the client: how many streams it had at a time at most, and how many tokens a second came at most.
// A number that isn't known is 0, and not judged.
type Load struct {
	Streams int
	Tokens  float64
}

// slack is by how much a load may lie above what was measured: a step's load is not hit to the token.
const slack = 1.05

// Covers says whether a load lies within what was measured, and if not, why: "128 streams at a time, and …".
func (c *Certificate) Covers(l Load) (ok bool, why string) {
	switch {
	case c.Streams == 0:
		return false, fmt.Sprintf("this client was out of bounds at every load that was measured, down to %s", c.smallest())
	case float64(l.Streams) > slack*float64(c.Streams):
		return false, fmt.Sprintf("%d streams at a time, and this client was found good up to %d: pitwall calibrate --streams %d measures it there", l.Streams, c.Streams, l.Streams)
	case l.Tokens > slack*c.Tokens:
		return false, fmt.Sprintf("%.0f tokens/s, and this client was found good up to %.0f: pitwall calibrate --streams %d --rate %.0f measures it there", l.Tokens, c.Tokens, max(1, l.Streams), perStream(l))
	}
	return true, ""
}

func (c *Certificate) smallest() string {
	least := 0
	why := "nothing"
	for _, s := range c.Steps {
		if least == 0 || s.Streams < least {
			least = s.Streams
			why = fmt.Sprintf("%d streams (%s)", s.Streams, s.Why)
		}
	}
	return why
}

func perStream(l Load) float64 {
	if l.Streams < 1 {
		return max(1, l.Tokens)
	}
	return max(1, l.Tokens/float64(l.Streams))
}

// Here says whether the certificate is of this host and this version of pitwall, and if not, why: one from elsewhere says nothing
// here.
func (c *Certificate) Here(version string) (ok bool, why string) {
	host, _ := os.Hostname()
	return c.of(host, runtime.GOMAXPROCS(0), version)
}

func (c *Certificate) of(host string, cores int, version string) (ok bool, why string) {
	switch {
	case c.Host != host:
		return false, fmt.Sprintf("the calibration is of %q, and this is %q", c.Host, host)
	case c.Cores != cores:
		return false, fmt.Sprintf("the calibration is of %d cores, and pitwall may use %d now", c.Cores, cores)
	case c.Version != version:
		return false, fmt.Sprintf("the calibration is of pitwall %s, and this is %s", c.Version, version)
	}
	return true, ""
}

// mostFile is the most bytes that a certificate's file may have.
const mostFile = 1 << 20

// ErrNone is Read's when there is no certificate: nobody has calibrated yet.
var ErrNone = errors.New("this client was not calibrated on this host: pitwall calibrate")

// Read reads the certificate of a file. ErrNone: there is none.
func Read(path string) (*Certificate, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNone
	case err != nil:
		return nil, fmt.Errorf("reading the calibration: %w", err)
	case !info.Mode().IsRegular() || info.Size() > mostFile:
		return nil, fmt.Errorf("reading the calibration: %s is no certificate", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the calibration: %w", err)
	}
	var c Certificate
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("reading the calibration: %s: %w: pitwall calibrate makes a new one", path, err)
	}
	if c.At.IsZero() || len(c.Steps) == 0 {
		return nil, fmt.Errorf("reading the calibration: %s is no certificate: pitwall calibrate makes a new one", path)
	}
	return &c, nil
}

// Write keeps the certificate in a file, whole or not at all.
func (c *Certificate) Write(path string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keeping the calibration: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".calibration-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("keeping the calibration: %w", err)
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("keeping the calibration: %w", err)
	}
	return nil
}
