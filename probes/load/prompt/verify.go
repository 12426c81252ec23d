package prompt

import (
	"context"
	"fmt"
)

// Verify asks the tokenizer whether the first prompts are as long as they claim, at most three of different lengths. It is for the
// moment before a load begins. Prompts that claim nothing, and those made of ids, need no asking.
func (m *Maker) Verify(ctx context.Context, t Tokenizer) error {
	seen := map[int]bool{}
	for n := range uint32(20) {
		p := m.Prompt(n)
		if p.Messages == nil || p.Tokens == Unknown || seen[p.Tokens] {
			continue
		}
		if len(seen) == 3 {
			break
		}
		seen[p.Tokens] = true
		ids, err := t.Chat(ctx, p.Messages)
		if err != nil {
			return fmt.Errorf("asking the server's tokenizer: %w", err)
		}
		if len(ids) != p.Tokens {
			return fmt.Errorf("a prompt made to be %d tokens long is %d by the server's own count", p.Tokens, len(ids))
		}
	}
	return nil
}
