package shape

// Length is a number of tokens (or seconds of think time), fixed or drawn. Its text form is what is typed and stored: "512",
// "uniform:100-900", "normal:512,64", "lognormal:512,0.5" (median and sigma), "file:PATH" (one number a line, drawn from).
type Length struct {
	Draw Draw
	// A and B are the distribution's parameters in the order of the text form.
	A, B float64
	// Path is the file of FromFile, Values what was read of it.
	Path   string
	Values []float64
}

// Draw is how a Length is drawn.
type Draw uint8

// The ways.
const (
	Fixed Draw = iota
	Uniform
	Normal
	Lognormal
	FromFile
)
