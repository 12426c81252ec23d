// Package prompt makes prompts that are exactly as long as was asked, counted in the server's own tokens.
//
// In go a shape.Point, what was learned of the server's tokenizer (Vocabulary) and what the server can do (Options); out come
// Prompts by number: prompt 17 is the same whatever was made before it, by whom and how often. Completions get token ids,
// chats get text of words that are one token each, measured with the chat template around it. What an answer should be long
// is drawn here too. The package sends nothing but what its Tokenizer is asked while learning, and makes no text that means
// anything.
package prompt

import (
	"context"
	"encoding/json"

	"pitwall/probes/load/shape"
)

// Tokenizer asks the server how it counts. Both are asked a handful of times for a server, and never while load is on.
type Tokenizer interface {
	// Tokens gives the ids of a text, without special tokens before or after it.
	Tokens(ctx context.Context, text string) ([]int32, error)
	// Chat gives the ids of a conversation as the model would get it: in its template, with the prompt for the answer. A server
	// that refuses a conversation (a system message, say) gives an error.
	Chat(ctx context.Context, messages []Message) ([]int32, error)
}

// Message is one message of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Options are what a server can do, and what sets a Maker apart from others of the same point.
type Options struct {
	// API is shape.Chat or shape.Completions: what the point's Auto came to.
	API shape.API
	// IDs says that the server takes token ids as a completion's prompt.
	IDs bool
	// Salt says that it knows cache_salt (vLLM), NoCache that it knows cache_prompt: false (llama.cpp).
	Salt, NoCache bool
	// Nonce tells this Maker's cold prompts from all that were ever sent: take it from crypto/rand, once per run. It changes
	// nothing where the cache may be warm.
	Nonce uint64
	// Limit is the server's max_model_len, 0 where it is not known.
	Limit int
}

// Unknown stands for a count that nobody can know before the server has told.
const Unknown = -1

// Prompt is what one request asks.
type Prompt struct {
	// Number is which prompt of the point it is, Turn which turn of its conversation, from 0; Group which of the shared
	// prefixes it begins with, Unknown without.
	Number uint32
	Turn   uint16
	Group  int32
	// IDs, Text, Messages, Raw: exactly one is there. Raw is a file's conversation (a JSON array of messages).
	IDs      []int32
	Text     string
	Messages []Message
	Raw      json.RawMessage
	// Salt is the cache_salt to send, empty for none; NoCache asks for cache_prompt: false.
	Salt    string
	NoCache bool
	// Tokens is how many tokens the server should count in it, Unknown where only the server can tell.
	Tokens int
	// Output is how many tokens the answer should have (with shape.Output's Free: at most).
	Output int
}

// Answer is what came back for a Prompt, for the next turn of its conversation.
type Answer struct {
	Text string
	// IDs are the answer's token ids, nil where the server doesn't give them.
	IDs []int32
	// Total is how many tokens the prompt and this answer were together by the server's usage, 0 where it didn't tell. A conversation
	// ends before its next turn would pass the server's limit.
	Total int
}
