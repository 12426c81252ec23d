// Package dialect knows the engines' metric names, as data: one YAML file an engine, embedded, of named PromQL templates.
//
// In goes an expression that says engine:running; out comes one that says sum(vllm:num_requests_running{…}). A name stands
// for a gauge, for a rate with the window $w inside it, or for buckets by le; never for a counter, because a rate over a
// sum lies after a restart. Names are expanded in place when a question is asked and recorded nowhere, so an old session
// is readable by a newer dialect. Counters are given apart, by the words of count.go, to whoever subtracts two readings. The same file says what else a probe has to know of an engine: how to recognise it and its
// processes, which series show that it works, sleeps or has restarted, what its info series mean, which names it cannot
// have and why. All names of all files together are the vocabulary: a word of it that a file does not define stays a word
// without a value, with a reason. This package evaluates nothing and opens nothing.
package dialect

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed dialects/*.yaml
var files embed.FS

// Dialect is one engine's file, parsed and checked. It is never changed after Parse and may be shared.
type Dialect struct {
	// Name is the short name, and the job of the engine's series: "vllm".
	Name string
	// Title is how the engine writes itself: "vLLM".
	Title string
	// Detect lists the prefixes of metric names that tell this engine from others, and Owner is what its list of models says
	// in owned_by, for pages that have none of its metrics.
	Detect []string
	Owner  string
	// Fallback marks the dialect of engines that no other file knows. There is one.
	Fallback bool
	// Paths are where the engine answers, relative to its URL.
	Paths Paths
	// Port is where the engine listens unless told otherwise.
	Port int
	// Patience is how long a page may take until that is a failure, zero leaves it to who asks; Late is why one may take long.
	Patience time.Duration
	Late     string
	// Loading is what the server answers to everything while it loads, Dead which statuses of the health check mean that the
	// engine behind the server is dead, NoPage what it answers in place of a page that it does not have.
	Loading Loading
	Dead    []int
	NoPage  NoPage
	// Process tells the engine's processes from others.
	Process Process
	// Documents are what the server tells of itself in JSON.
	Documents []Document
	// State is what shows how the engine is.
	State State
	// Info is what the labels of the engine's info series mean.
	Info []Info
	// Flags are the command line flags that may be recorded, without dashes, with - for _.
	Flags []Flag
	// Expect are the metrics that a current version has, each with the reason why one may not have it.
	Expect []Expect
	// NoStats is the reason for a page without any of the engine's own metrics.
	NoStats string

	verified  verified
	names     []Name
	byName    map[string]int
	absent    map[string]string
	otherwise string
	source    []byte

	counts     map[string]Alternatives
	countsNote string
}

// Loading is how an answer says that the model is being loaded: its status, and a text in its body.
type Loading struct {
	Status int    `yaml:"status"`
	Text   string `yaml:"text"`
}

// Is says whether an answer says so.
func (l Loading) Is(status int, body []byte) bool {
	return l.Status != 0 && status == l.Status && bytes.Contains(body, []byte(l.Text))
}

// NoPage is how a server answers that it has no page of metrics, and why that is so.
type NoPage struct {
	Status []int  `yaml:"status"`
	Reason string `yaml:"reason"`
}

// Process tells an engine's processes from others.
type Process struct {
	// Commands start a server; what any of them starts is one.
	Commands []Command `yaml:"commands"`
	// Titles are what its processes call themselves after "PREFIX::", and the role that each has.
	Titles map[string]string `yaml:"titles"`
	// Port and Host are the flags that tell where it will listen, Socket one that says that it won't on TCP.
	Port   string `yaml:"port"`
	Host   string `yaml:"host"`
	Socket string `yaml:"socket"`
	// FanOut are flags with a number: above one, the server starts API servers and serves nothing itself.
	FanOut []string `yaml:"fan_out"`
	// Models is the flag of the directory that models are loaded into.
	Models string `yaml:"models"`
}

// Command is a way to start a server: a program ("vllm serve"), or a Python module ("python -m vllm.entrypoints…").
type Command struct {
	Program string `yaml:"program"`
	Module  string `yaml:"module"`
	// First is the argument that must follow, if any.
	First string `yaml:"first"`
}

// Document is a JSON answer of the server, and the facts in it.
type Document struct {
	Path  string         `yaml:"path"`
	Facts []DocumentFact `yaml:"facts"`
}

// DocumentFact takes one value of a document as a fact. Nothing else of the document is looked at.
type DocumentFact struct {
	// Fact is the last part of the fact's path, At where the value stands: keys with dots between ("settings.n_ctx").
	Fact string `yaml:"fact"`
	At   string `yaml:"at"`
}

// Paths are the engine's endpoints. An empty one does not exist there.
type Paths struct {
	Metrics string `yaml:"metrics"`
	Health  string `yaml:"health"`
	Version string `yaml:"version"`
	Models  string `yaml:"models"`
}

// Name is one named template.
type Name struct {
	// Name is what an expression says: "engine:running".
	Name string
	// Kind is "gauge", "rate" (per second, or a ratio or mean of such, over $w) or "buckets" (per second, by le).
	Kind string
	// Unit is the unit of the value, for buckets that of le: "requests", "tokens/s", "s", "ratio" (0 to 1).
	Unit string
	// Help says what the number is, with its limits.
	Help string
	// Note is what a screen must say beside the number, in a word: "est.", "at end". Help explains it. Mostly empty.
	Note string
	// Expr is the template, with $sel and $w.
	Expr string

	line int
}

// State names the series that show how the engine is. In every list the entries count together; an entry with several
// names takes the first that is on the page.
type State struct {
	// Running and Waiting are gauges: requests in work, requests in the queue.
	Running Alternatives
	Waiting Alternatives
	// Progress are counters of which at least one moves while the engine works, and Still is what it means if none does, in
	// words. Without any of them on the page nothing is known of progress.
	Progress []Alternatives
	Still    string
	// Copies are the labels of series that say the same thing once more (the ranks of one engine): of such series the
	// greatest counts.
	Copies []string
	// Steps are histograms of step times in seconds; their highest moving bucket bounds the longest recent step.
	Steps []Alternatives
	// Start is a gauge that holds when the server process started, in Unix seconds.
	Start string
	// Sleep tells a sleeping engine.
	Sleep Sleep
	// Model is the label that holds the served model's name.
	Model string
	// Note is what else may look like a stall in old versions.
	Note Note
}

// Note is a caveat for versions of the engine before one.
type Note struct {
	Text   string `yaml:"text"`
	Before string `yaml:"before"`
}

// For gives the text if it applies to that version, or if the version is not known.
func (n Note) For(version string) string {
	if version != "" && n.Before != "" && !older(version, n.Before) {
		return ""
	}
	return n.Text
}

// older compares dotted versions by their numbers; what follows a number ("0rc1", "0+cpu") doesn't count.
func older(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		var m, n int
		fmt.Sscanf(x[i], "%d", &m) //nolint:errcheck // what is no number counts as 0
		fmt.Sscanf(y[i], "%d", &n) //nolint:errcheck // likewise
		if m != n {
			return m < n
		}
	}
	return len(x) < len(y)
}

// Alternatives are names of one thing through the versions, the newest first.
type Alternatives []string

// Sleep is a gauge whose series with Label=Awake is 1 while the engine is awake, 0 while it sleeps.
type Sleep struct {
	Metric string `yaml:"metric"`
	Label  string `yaml:"label"`
	Awake  string `yaml:"awake"`
}

// Info says which facts an info series (value 1, everything in the labels) gives.
type Info struct {
	Metric string
	Facts  []InfoFact
}

// InfoFact takes one label of an info series as a fact.
type InfoFact struct {
	// Fact is the last part of the fact's path; Label the label it is read from.
	Fact  string `yaml:"fact"`
	Label string `yaml:"label"`
	// Sum adds the label over data-parallel engines; otherwise the first is taken.
	Sum bool `yaml:"sum"`
	// Product are labels to multiply where Label is missing, and Note what is said beside such a value.
	Product []string `yaml:"product"`
	Note    string   `yaml:"note"`
}

// Flag is a command line flag that may be recorded.
type Flag struct {
	// Flag is its name without dashes; Aliases are its other spellings.
	Flag    string   `yaml:"flag"`
	Aliases []string `yaml:"aliases"`
	// Fact is the fact that it is the source of, empty if it is only listed among the flags; Sole is true where nothing else
	// tells that fact.
	Fact string `yaml:"fact"`
	Sole bool   `yaml:"sole"`
	// Switch is true for a flag without a value.
	Switch bool `yaml:"switch"`
}

// Expect is a metric that one would expect on the page.
type Expect struct {
	Metric string `yaml:"metric"`
	Reason string `yaml:"reason"`
}

type verified struct {
	Versions []string `yaml:"versions"`
	Then     string   `yaml:"then"`
	Else     string   `yaml:"else"`
}

// embedded parses the files once. They are part of the program and tested, so a broken one is a broken build.
var embedded = sync.OnceValue(func() []*Dialect {
	entries, err := files.ReadDir("dialects")
	if err != nil {
		panic(err)
	}
	var out []*Dialect
	for _, e := range entries {
		file := path.Join("dialects", e.Name())
		data, err := files.ReadFile(file)
		if err != nil {
			panic(err)
		}
		d, err := Parse(file, data)
		if err != nil {
			panic(err)
		}
		out = append(out, d)
	}
	return out
})

// Named gives the embedded dialect of that name.
func Named(name string) (*Dialect, bool) {
	for _, d := range embedded() {
		if d.Name == name {
			return d, true
		}
	}
	return nil, false
}

// All gives the embedded dialects, sorted by name.
func All() []*Dialect { return slices.Clone(embedded()) }

// Owns says whether a metric of that name is this engine's own.
func (d *Dialect) Owns(metric string) bool {
	for _, p := range d.Detect {
		if strings.HasPrefix(metric, p) {
			return true
		}
	}
	return false
}

// Names gives the named templates in the order of the file.
func (d *Dialect) Names() []Name { return slices.Clone(d.names) }

// Template gives one named template.
func (d *Dialect) Template(name string) (Name, bool) {
	i, ok := d.byName[name]
	if !ok {
		return Name{}, false
	}
	return d.names[i], true
}

// Verified says how sure the dialect is for that version of the engine: "verified on a running engine" or
// "mapped from documentation …". An unknown version ("") is not verified.
func (d *Dialect) Verified(version string) string {
	for _, p := range d.verified.Versions {
		if version == p || strings.HasPrefix(version, p+".") {
			return d.verified.Then
		}
	}
	return d.verified.Else
}

// Summary says how sure the dialect is, in general.
func (d *Dialect) Summary() string {
	if len(d.verified.Versions) > 0 {
		return fmt.Sprintf("%s (%s)", d.verified.Then, strings.Join(d.verified.Versions, ", "))
	}
	return d.verified.Else
}

// Source is the file that it was parsed from.
func (d *Dialect) Source() []byte { return bytes.Clone(d.source) }

// String gives the dialect's name.
func (d *Dialect) String() string { return fmt.Sprintf("dialect %s", d.Name) }
