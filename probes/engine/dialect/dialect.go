// Package dialect knows the engines' metric names, as data: one YAML file an engine, embedded, of named PromQL templates.
//
// In goes an expression that says engine:running; out comes one that says sum(vllm:num_requests_running{…}). A name stands
// for a gauge, for a rate with the window $w inside it, or for buckets by le; never for a counter, because a rate over a
// sum lies after a restart. Names are expanded in place when a question is asked and recorded nowhere, so an old session
// is readable by a newer dialect. This package evaluates nothing and opens nothing.
package dialect
