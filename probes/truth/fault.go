package truth

import (
	"fmt"
	"strconv"
	"strings"
)

// Trouble is a kind of fault.
type Trouble string

// The kinds. After counts pieces with tokens.
const (
	// Cut closes the connection properly after so many pieces, in the middle of the chunked coding.
	Cut Trouble = "cut"
	// Unmarked ends the answer properly after so many pieces, without its end mark [DONE].
	Unmarked Trouble = "unmarked"
	// Reset resets the connection (RST) after so many pieces.
	Reset Trouble = "reset"
	// Stall says nothing more after so many pieces, until the client goes; after 0, it never begins.
	Stall Trouble = "stall"
	// Error sends an error object after so many pieces, with status 200, and then the end mark, as vLLM does.
	Error Trouble = "error"
	// Short ends the answer well after so many pieces, with finish_reason "stop".
	Short Trouble = "short"
	// Empty ends the answer well without any token.
	Empty Trouble = "empty"
	// Garbage sends something that is no JSON after so many pieces, then goes on.
	Garbage Trouble = "garbage"
	// Refuse answers with HTTP status After (400 to 599) and an error object.
	Refuse Trouble = "refuse"
)

// Fault is one thing that goes wrong. Its text form is "cut@5/10": each 10th request, after 5 pieces; "refuse@503";
// "stall" is stall@0/1.
type Fault struct {
	Trouble Trouble `json:"trouble"`
	// After is how many pieces of the answer come before it; of Refuse, the status.
	After int `json:"after,omitempty"`
	// Every is which requests have it: each Every-th, counted from 1; 0 and 1 are all.
	Every int `json:"every,omitempty"`
}

// ParseFault reads the text form.
func ParseFault(s string) (Fault, error) {
	var f Fault
	rest, every, some := strings.Cut(s, "/")
	name, after, at := strings.Cut(rest, "@")
	f.Trouble = Trouble(name)
	var err error
	if at {
		if f.After, err = strconv.Atoi(after); err != nil {
			return f, fmt.Errorf("fault %q: %q is no number", s, after)
		}
	}
	if some {
		if f.Every, err = strconv.Atoi(every); err != nil {
			return f, fmt.Errorf("fault %q: %q is no number", s, every)
		}
	}
	if err := f.validate(); err != nil {
		return Fault{}, err
	}
	return f, nil
}

// String is the text form.
func (f Fault) String() string {
	s := string(f.Trouble)
	if f.After != 0 {
		s += "@" + strconv.Itoa(f.After)
	}
	if f.Every > 1 {
		s += "/" + strconv.Itoa(f.Every)
	}
	return s
}

func (f Fault) validate() error {
	switch f.Trouble {
	case Cut, Unmarked, Reset, Stall, Error, Short, Empty, Garbage:
		if f.After < 0 {
			return fmt.Errorf("fault %s: it cannot come before the answer", f)
		}
	case Refuse:
		if f.After < 400 || f.After > 599 {
			return fmt.Errorf("fault %s: a refusal needs a status from 400 to 599, as in refuse@503", f)
		}
	default:
		return fmt.Errorf("no fault is called %q: cut, unmarked, reset, stall, error, short, empty, garbage or refuse", f.Trouble)
	}
	if f.Every < 0 {
		return fmt.Errorf("fault %s: each how many-th request must not be negative", f)
	}
	return nil
}

// hits says whether the n-th request, from 1, has it.
func (f Fault) hits(n uint64) bool { return f.Every <= 1 || n%uint64(f.Every) == 0 }
