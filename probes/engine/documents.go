package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"pitwall/probes/engine/dialect"
)

// document asks for a JSON answer and gives the facts that the dialect names in it. The rest of it, which may hold a key,
// is let go.
func (c *client) document(ctx context.Context, doc dialect.Document) (map[string]string, error) {
	a, err := c.get(ctx, doc.Path, acceptJSON, maxJSON)
	if err != nil {
		return nil, c.trouble("get", doc.Path, err)
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("get %s%s: %s", c.place, doc.Path, c.refused(a))
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("get %s%s: not JSON: %w", c.place, doc.Path, err)
	}
	facts := map[string]string{}
	for _, f := range doc.Facts {
		if s := scalarAt(v, f.At); s != "" && !secretName.MatchString(f.At) {
			facts[f.Fact] = withoutUser(shortened(s, maxFact))
		}
	}
	return facts, nil
}

// scalarAt gives the text of the string, number or boolean at a place, "" if there is none.
func scalarAt(v any, at string) string {
	for _, key := range strings.Split(at, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[key]
	}
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}
