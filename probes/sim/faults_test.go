package sim

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestAScheduleMeansWhatItSays(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []Fault
	}{
		{"an empty file is a schedule without a fault", "", nil},
		{"an empty list too", "[]", nil},
		{"a fault has its kind's defaults", "- {at: 90s, fault: hang}", []Fault{{Kind: Hang, At: 90 * time.Second, For: 20 * time.Second}}},
		{"what is given replaces them", "- at: 90s\n  for: 5s\n  fault: slow-steps\n  factor: 2.5",
			[]Fault{{Kind: SlowSteps, At: 90 * time.Second, For: 5 * time.Second, Factor: 2.5}}},
		{"a bare number is seconds", "- {at: 1.5, fault: xid, gpu: 1, code: 79}", []Fault{{Kind: XID, At: 1500 * time.Millisecond, GPU: 1, Code: 79}}},
		{"without at it begins at once", "- fault: crash", []Fault{{Kind: Crash, For: 20 * time.Second}}},
		{"a schedule for several engines says which", "- {engine: 2, fault: hang}", []Fault{{Kind: Hang, For: 20 * time.Second, Engine: 2}}},
		{"the order of the file is kept", "- {at: 2s, fault: counter-reset}\n- {at: 1s, fault: ecc, double: true}",
			[]Fault{{Kind: CounterReset, At: 2 * time.Second}, {Kind: ECC, At: time.Second, Count: 1, Double: true}}},
	} {
		got, err := ParseFaults([]byte(c.text))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestWhatIsWrongWithAScheduleIsSaidWithItsLine(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"an unknown fault, with those there are", "- {at: 1s, fault: hang}\n- {at: 2s, fault: hung}", `line 2: "hung" is no fault; there are crash, hang`},
		{"a key that the fault does not take", "- at: 1s\n  fault: hang\n  factor: 3", `line 3: hang takes no "factor"; it takes for 20s`},
		{"a moment with a length", "- {at: 1s, for: 2s, fault: xid}", `xid happens at a moment`},
		{"a time that is none", "- {at: soon, fault: hang}", `at: "soon" is not a length of time`},
		{"a negative time", "- {at: -3s, fault: hang}", `at: "-3s" is not`},
		{"a number that is too small", "- {fault: slow-steps, factor: 0.5}", `factor of slow-steps: "0.5" is not a number from 1 to 1000`},
		{"half a token", "- {fault: cut-stream, after: 1.5}", `"1.5" is not a whole number`},
		{"not a number", "- {fault: error-5xx, share: NaN}", `share of error-5xx: "NaN"`},
		{"an engine that there cannot be", "- at: 1s\n  fault: hang\n  engine: -1", `line 3: engine of hang: "-1" is not a whole number`},
		{"a status that is no error", "- {fault: error-5xx, status: 200}", `status of error-5xx`},
		{"no fault at all", "- at: 1s", `"fault" is missing`},
		{"the same key twice", "- {fault: hang, at: 1s, at: 2s}", `at is given twice`},
		{"a mapping", "fault: hang", `it must be a list`},
		{"an entry that is none", "- hang", `line 1: an entry must have the keys`},
		{"a list as a value", "- {fault: [hang]}", `fault: one value is needed`},
		{"two documents", "[]\n---\n[]", `more than one YAML document`},
		{"no YAML", "- {", `schedule of faults: `},
	} {
		if _, err := ParseFaults([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

func TestEveryFaultOfTheCatalogueCanBeOrderedWithAllThatItTakes(t *testing.T) {
	for _, e := range Catalogue() {
		f := e.defaults
		f.Kind = e.Kind
		text := "- fault: " + string(e.Kind) + "\n"
		for name, v := range f.params() {
			text += "  " + name + ": " + v + "\n"
			if e.Params != "" && !strings.Contains(e.Params, name) {
				t.Errorf("%s: the help does not name %q", e.Kind, name)
			}
		}
		got, err := ParseFaults([]byte(text))
		if err != nil || len(got) != 1 || got[0] != f {
			t.Errorf("%s: %+v, %v, want its defaults %+v", e.Kind, got, err, f)
		}
		asked, err := parseAsked(string(e.Kind))
		if (err == nil) != e.ByRequest || err == nil && asked != f {
			t.Errorf("%s asked for by a request: %+v, %v", e.Kind, asked, err)
		}
	}
}

func TestARandomScheduleComesFromItsSeedAlone(t *testing.T) {
	kinds := map[Kind]int{}
	for seed := range uint64(200) {
		a, b := RandomFaults(seed, 4), RandomFaults(seed, 4)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d gave two schedules", seed)
		}
		if len(a) < 3 || a[0].At < 20*time.Second || a[len(a)-1].At > 13*time.Minute {
			t.Errorf("seed %d: %d faults from %v to %v", seed, len(a), a[0].At, a[len(a)-1].At)
		}
		if reflect.DeepEqual(a, RandomFaults(seed+1, 4)) {
			t.Errorf("seeds %d and %d gave one schedule", seed, seed+1)
		}
		for i, f := range a {
			kinds[f.Kind]++
			if f.GPU < 0 || f.GPU > 3 || i > 0 && f.At < a[i-1].At {
				t.Errorf("seed %d: %+v", seed, f)
			}
			// What it makes could stand in a file.
			text := fmt.Sprintf("- fault: %s\n  at: %v\n", f.Kind, f.At)
			if e, _ := entryOf(f.Kind); !e.Moment {
				text += fmt.Sprintf("  for: %v\n", f.For)
			}
			for name, v := range f.params() {
				text += "  " + name + ": " + v + "\n"
			}
			if got, err := ParseFaults([]byte(text)); err != nil || got[0] != f {
				t.Errorf("seed %d: %s gives %+v, %v", seed, text, got, err)
			}
		}
	}
	if len(kinds) < 14 {
		t.Errorf("200 seeds made only %v", kinds)
	}
}

func FuzzParseFaults(f *testing.F) {
	f.Add("- {at: 90s, for: 20s, fault: hang}\n- {at: 1m, fault: ecc, gpu: 0, double: true}")
	f.Add("- fault: *x\n")
	f.Add("- {fault: memory-leak, rate: 1e300}")
	f.Fuzz(func(t *testing.T, text string) {
		faults, err := ParseFaults([]byte(text))
		if err != nil {
			return
		}
		for _, x := range faults {
			if _, ok := entryOf(x.Kind); !ok || x.At < 0 || x.For < 0 || x.GPU < 0 || x.GPU > 15 || !(x.Share >= 0 && x.Share <= 1) {
				t.Errorf("%q gives %+v", text, x)
			}
		}
	})
}

func FuzzAskedFault(f *testing.F) {
	f.Add("cut-stream; after=7")
	f.Add("error-5xx;status=503;share=0.5")
	f.Fuzz(func(t *testing.T, text string) {
		x, err := parseAsked(text)
		if err != nil {
			return
		}
		if e, ok := entryOf(x.Kind); !ok || !e.ByRequest || x.After < 0 || x.For < 0 {
			t.Errorf("%q gives %+v", text, x)
		}
	})
}

func TestStepTimesOfAFileAreCheckedBeforeTheyAreUsed(t *testing.T) {
	good := string(StepTimesYAML)
	if m, err := ParseStepTimes([]byte(good)); err != nil || m.Parameters != 8.03e9 || m.PerSequence != 8*time.Microsecond {
		t.Errorf("the embedded file: %+v, %v", m, err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"an empty file", "", "the file is empty"},
		{"a field that there is not", good + "\nspeed: 3\n", "field speed not found"},
		{"a missing field", strings.Replace(good, "compute: 312e12", "", 1), "compute is 0: it must be given"},
		{"a share above 1", strings.Replace(good, "bandwidth_share: 0.77", "bandwidth_share: 1.2", 1), "bandwidth_share is 1.2"},
		{"not a number", strings.Replace(good, "parameters: 8.03e9", "parameters: .nan", 1), "parameters is NaN"},
		{"a negative time", strings.Replace(good, "per_step: 8us", "per_step: -1s", 1), "per_step is -1"},
	} {
		if _, err := ParseStepTimes([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

func FuzzParseStepTimes(f *testing.F) {
	f.Add(string(StepTimesYAML))
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseStepTimes([]byte(text))
		if err != nil {
			return
		}
		if d := m.Step(1000, 50, 100000); d < 0 {
			t.Errorf("a step takes %v with %+v", d, m)
		}
	})
}
