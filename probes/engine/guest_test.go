package engine

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAGuestIsToldWhoTheServerIs(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing 0\n# TYPE pitwall_simulated gauge\npitwall_simulated 1\n")
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"data":[{"id":"base"},{"id":"adapter","parent":"base"}]}`)
	})
	mux.HandleFunc("GET /props", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"build_info":"b1","default_generation_settings":{"n_ctx":2048}}`)
	})
	mux.HandleFunc("POST /say", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, `{"error":{"message":"%s %s %s"}}`, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), b)
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	g, err := NewGuest(s.URL+"/v1", Access{APIKey: "a-key"})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	in, err := g.Introduce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if in.Dialect.Name != "llamacpp" || in.Version != "b1" || in.MaxModelLen != 2048 || !in.Simulated || !in.Local || len(in.Models) != 2 || in.Models[1].Parent != "base" {
		t.Errorf("%+v", in)
	}
	status, body, err := g.Ask(t.Context(), "/say", []byte("hello"))
	if err != nil || status != http.StatusTeapot {
		t.Fatal(status, err)
	}
	if m := g.Refused(status, body); !strings.Contains(m, "HTTP 418") || !strings.Contains(m, "application/json hello") || strings.Contains(m, "a-key") {
		t.Errorf("refused: %q", m)
	}
	if h := g.Header(); h.Get("Authorization") != "Bearer a-key" || g.TLS() != nil || g.Proxy() != nil || g.Instance() != strings.TrimPrefix(s.URL, "http://") {
		t.Errorf("header %v, instance %s", h, g.Instance())
	}
}

func TestAGuestSaysWhyThereIsNoEngine(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a key is wanted": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":"Unauthorized"}`, http.StatusUnauthorized)
		}, "it wants a key"},
		"no engine": {http.NotFound, "is this the engine's address?"},
		"no models": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[]}`) }, "it lists no model"},
		"no JSON":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>`) }, "not the JSON of a model list"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.answer)
			defer s.Close()
			g, err := NewGuest(s.URL, Access{})
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			if _, err := g.Introduce(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
