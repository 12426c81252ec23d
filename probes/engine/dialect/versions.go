package dialect

// Older says whether version a of an engine came before b, by their numbers; what follows a number ("0rc1", "0+cpu") doesn't
// count.
func Older(a, b string) bool { return older(a, b) }
