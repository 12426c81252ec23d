//go:build unix

package load

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pitwall/probes/load/shape"
)

func TestMoreClientsThanThisProcessMayHaveFilesAreRefused(t *testing.T) {
	limit := openFileLimit()
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil || limit != int(l.Cur) && l.Cur < 1<<30 {
		t.Fatalf("limit %d, the system says %d, %v", limit, l.Cur, err)
	}
	s := &Server{}
	p := shape.Point{
		Arrival: shape.Arrival{Kind: shape.Closed, Clients: 2, Steps: []shape.Step{{After: 1, To: float64(limit)}}},
		Prompt:  shape.Prompt{Length: shape.Tokens(1)}, Output: shape.Output{Length: shape.Tokens(1)},
	}
	err := s.files(p, limit)
	if err == nil || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("as many clients as files: %v", err)
	}
	if err := s.files(p, limit+spareFiles); err != nil {
		t.Errorf("just enough: %v", err)
	}
	if err := s.files(p, 0); err != nil {
		t.Errorf("no limit known: %v", err)
	}
}
