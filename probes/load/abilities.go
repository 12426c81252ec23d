package load

import (
	"bytes"
	_ "embed"
	"sync"

	"go.yaml.in/yaml/v3"

	"pitwall/probes/engine/dialect"
)

//go:embed abilities.yaml
var abilitiesFile []byte

// abilities is what one engine's server can do; the file says what each means.
type abilities struct {
	PromptIDs  *since   `yaml:"prompt_ids"`
	Lengths    lengths  `yaml:"lengths"`
	Each       each     `yaml:"each"`
	IDs        field    `yaml:"ids"`
	Cold       cold     `yaml:"cold"`
	Tokenize   tokenize `yaml:"tokenize"`
	RequestID  bool     `yaml:"request_id"`
	Times      times    `yaml:"times"`
	CachedFlag string   `yaml:"cached_flag"`
}

type (
	since struct {
		Since string `yaml:"since"`
	}
	lengths struct {
		IgnoreEOS bool `yaml:"ignore_eos"`
		MinTokens bool `yaml:"min_tokens"`
	}
	each struct {
		Usage bool   `yaml:"usage"`
		Field string `yaml:"field"`
	}
	field struct {
		Field string `yaml:"field"`
		Since string `yaml:"since"`
	}
	cold struct {
		Salt    bool   `yaml:"salt"`
		NoCache bool   `yaml:"no_cache"`
		Since   string `yaml:"since"`
	}
	tokenize struct {
		Path     string `yaml:"path"`
		Text     string `yaml:"text"`
		Specials string `yaml:"specials"`
		Messages bool   `yaml:"messages"`
		Template string `yaml:"template"`
		Model    bool   `yaml:"model"`
	}
	times struct {
		Object  string `yaml:"object"`
		Queue   string `yaml:"queue"`
		Prefill string `yaml:"prefill"`
		Decode  string `yaml:"decode"`
		Flag    string `yaml:"flag"`
	}
)

// known is the file, read once. It is part of the program: one that cannot be read is a broken build.
var known = sync.OnceValue(func() map[string]abilities {
	out := map[string]abilities{}
	d := yaml.NewDecoder(bytes.NewReader(abilitiesFile))
	d.KnownFields(true)
	if err := d.Decode(&out); err != nil {
		panic("abilities.yaml: " + err.Error())
	}
	return out
})

// abilitiesOf gives what a version of an engine can do; of an engine that the file doesn't have, what any can.
func abilitiesOf(engine, version string) abilities {
	a, ok := known()[engine]
	if !ok {
		a = known()["other"]
	}
	has := func(since string) bool { return since == "" || version == "" || !dialect.Older(version, since) }
	if a.PromptIDs != nil && !has(a.PromptIDs.Since) {
		a.PromptIDs = nil
	}
	if !has(a.IDs.Since) {
		a.IDs = field{}
	}
	if !has(a.Cold.Since) {
		a.Cold = cold{}
	}
	return a
}
