package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"pitwall/probes/load/shape"
)

func TestEveryKeyOfAPointIsAFlag(t *testing.T) {
	cmd := &cobra.Command{}
	(&loadFlags{}).add(cmd)
	var keys []string
	var walk func(of reflect.Type, at string)
	walk = func(of reflect.Type, at string) {
		for field := range of.Fields() {
			key, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			keys = append(keys, at+key)
			if field.Type.Kind() == reflect.Struct && field.Type != reflect.TypeFor[shape.Length]() {
				walk(field.Type, at+key+".")
			}
		}
	}
	walk(reflect.TypeFor[shape.Point](), "")
	for _, key := range keys {
		// Nothing can be wrong with the first; presets alone have headers; the others are problems of their parts.
		if !slices.Contains([]string{"label", "headers", "output", "sampling", "stop"}, key) && flagOf[key] == "" {
			t.Errorf("no flag for %s", key)
		}
	}
	for key, text := range flagOf {
		if !slices.Contains(keys, key) {
			t.Errorf("a point has no %s", key)
		}
		for name := range strings.SplitSeq(text, ", ") {
			name, _, _ = strings.Cut(strings.TrimPrefix(name, "--"), " ")
			if cmd.Flags().Lookup(name) == nil {
				t.Errorf("%s: load has no --%s", key, name)
			}
		}
	}
}
