package gpu

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func TestClaims(t *testing.T) {
	box := func(names ...string) []card {
		var out []card
		for i, n := range names {
			out = append(out, card{index: i, uuid: fmt.Sprintf("GPU-%d%da0", i, i), name: n})
		}
		return out
	}
	four := box("A100", "A100", "A100", "A100")
	mixed := box("L4", "A100")
	cut := box("A100", "A100")
	cut[0].instances = []instance{{1, "MIG-aaa1"}, {2, "MIG-bbb2"}}
	for _, c := range []struct {
		name  string
		cards []card
		claim Claim
		want  string
	}{
		{"without a variable the first GPU is used", four, Claim{}, "0"},
		{"without a variable a tensor-parallel engine uses the first ones", four, Claim{TensorParallel: 3}, "0 1 2"},
		{"an index is NVML's where all GPUs are alike", four, Claim{Visible: "2", Set: true}, "2"},
		{"ranks count among the visible ones", four, Claim{Visible: "3,1", Set: true, Ranks: []int{1}}, "1"},
		{"tensor parallelism takes the visible ones in their order", four, Claim{Visible: " 3, 1 ,0", Set: true, TensorParallel: 2}, "3 1"},
		{"a variable that is set and empty hides all", four, Claim{Set: true}, ""},
		{"-1 hides what follows", four, Claim{Visible: "1,-1,2", Set: true, TensorParallel: 3}, "1"},
		{"an index that does not exist hides what follows", four, Claim{Visible: "9,1", Set: true, TensorParallel: 2}, ""},
		{"a GPU that is named twice ends the list", four, Claim{Visible: "1,1,2", Set: true, TensorParallel: 3}, "1"},
		{"a UUID", four, Claim{Visible: "GPU-22a0", Set: true}, "2"},
		{"the beginning of a UUID", four, Claim{Visible: "GPU-3", Set: true}, "3"},
		{"a beginning that fits several is nobody", four, Claim{Visible: "GPU-", Set: true}, ""},
		{"more ranks than GPUs", four, Claim{Visible: "0", Set: true, TensorParallel: 4}, "0"},
		{"indices of unlike GPUs can't be told from CUDA's own order", mixed, Claim{Visible: "0", Set: true}, ""},
		{"nor can the first of unlike GPUs", mixed, Claim{}, ""},
		{"with CUDA_DEVICE_ORDER=PCI_BUS_ID they can", mixed, Claim{Visible: "1", Set: true, PCIOrder: true}, "1"},
		{"a UUID can always", mixed, Claim{Visible: "GPU-11", Set: true}, "1"},
		{"a MIG instance by UUID", cut, Claim{Visible: "MIG-bbb2", Set: true}, "0/2"},
		{"a MIG instance in the old form", cut, Claim{Visible: "MIG-GPU-00a0/2/0", Set: true}, "0/2"},
		{"the index of a GPU that is cut up is its first instance", cut, Claim{Visible: "0", Set: true}, "0/1"},
		{"a word that means nothing", four, Claim{Visible: "all", Set: true}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, p := range c.claim.places(c.cards) {
				s := fmt.Sprint(p.gpu)
				if p.instance != whole {
					s += fmt.Sprint("/", p.instance)
				}
				got = append(got, s)
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

func FuzzClaim(f *testing.F) {
	f.Add("0,1", 2)
	f.Add("GPU-0,MIG-GPU-0/1/", 1)
	f.Add("MIG-", -3)
	cards := []card{{index: 0, uuid: "GPU-0", name: "a", instances: []instance{{1, "MIG-1"}}}, {index: 1, uuid: "", name: "a"}}
	f.Fuzz(func(t *testing.T, visible string, tp int) {
		tp = min(tp, 64) // more GPUs than that no box has
		got := Claim{Visible: visible, Set: true, TensorParallel: tp}.places(cards)
		for i, p := range got {
			if p.gpu < 0 || p.gpu > 1 || slices.Contains(got[:i], p) {
				t.Errorf("%q gives %v", visible, got)
			}
		}
	})
}

func TestEnginesOfGPUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFakeBox(4, nil)
		b.gpus[0].processes = []Process{{PID: 1, Memory: 5 << 30, HasMemory: true}, {PID: 2, Memory: 60 << 30, HasMemory: true}}
		b.gpus[1].processes = []Process{{PID: 3, Memory: 9 << 30, HasMemory: true}}
		c := New(b, Options{
			Process: func(pid int) (string, string, string) {
				return "", "", map[int]string{1: "h:8001", 2: "h:8000"}[pid]
			},
			Claims: func() []Claim {
				return []Claim{
					{Engine: "h:8000", Visible: "3", Set: true},                      // seen by its memory: not believed
					{Engine: "h:8002", Visible: "0,2", Set: true, TensorParallel: 2}, // no process seen
				}
			},
		})
		defer settle(c)
		mustWait(t, c)
		_, r := newReader(t, c).read()
		want := map[string]string{
			"gpu/0/engine": "h:8000", "gpu/0/engines": "h:8000,h:8001", "gpu/0/engine_by": "process memory",
			"gpu/2/engine": "h:8002", "gpu/2/engine_by": "CUDA_VISIBLE_DEVICES",
		}
		got := map[string]string{}
		for k, v := range r.Facts {
			if strings.Contains(k, "/engine") {
				got[k] = v
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
