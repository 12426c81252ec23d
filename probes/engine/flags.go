package engine

import (
	"regexp"
	"strconv"
	"strings"

	"pitwall/probes/engine/dialect"
)

// secretName is a name whose value is never recorded, whatever an allow-list says. The words are in the singular: tokens are
// counted, a token is a secret.
var secretName = regexp.MustCompile(`(?i)(^|[-_.])(key|token|secret|password|passwd|credential)$|api[-_]?keys?$`)

// userInfo is the part of a URL that may hold a password.
var userInfo = regexp.MustCompile(`://[^/@\s]+@`)

// flags reads a command line: what the dialect's list names, and nothing else. line is what may be shown of it, facts are
// those that it is the source of, without one that stands there twice with different values.
func flags(d *dialect.Dialect, args []string) (line string, facts map[string]string) {
	byName := map[string]*dialect.Flag{}
	for i := range d.Flags {
		f := &d.Flags[i]
		byName[f.Flag] = f
		for _, a := range f.Aliases {
			byName[a] = f
		}
	}
	facts = map[string]string{}
	var shown []string
	for i := 0; i < len(args); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		long := strings.HasPrefix(name, "--")
		// argparse takes _ for - in long flags.
		name = strings.ReplaceAll(strings.TrimLeft(name, "-"), "_", "-")
		f := byName[name]
		if f == nil || !strings.HasPrefix(args[i], "-") || secretName.MatchString(f.Flag) || (!long && len(name) > 4) {
			continue
		}
		if f.Switch {
			shown = append(shown, "--"+f.Flag)
			continue
		}
		var values []string
		if joined {
			values = []string{value}
		}
		for !joined && i+1 < len(args) && !isFlag(args[i+1]) {
			i++
			values = append(values, args[i])
		}
		if len(values) == 0 {
			continue
		}
		for j, v := range values {
			values[j] = userInfo.ReplaceAllString(v, "://…@")
		}
		if f.Fact != "" {
			facts[f.Fact] = values[0]
		}
		for j, v := range values {
			if v == "" || strings.ContainsAny(v, " \t\n\"'\\") {
				values[j] = strconv.Quote(v)
			}
		}
		shown = append(shown, "--"+f.Flag+" "+strings.Join(values, " "))
	}
	return strings.Join(shown, " "), facts
}

// isFlag tells a flag from a negative number.
func isFlag(s string) bool {
	if !strings.HasPrefix(s, "-") {
		return false
	}
	_, err := strconv.ParseFloat(s, 64)
	return err != nil
}
