package overlay

import (
	"charm.land/bubbles/v2/textinput"

	"pitwall/ui/grid"
)

// Box draws an empty box with a title on its border, for boxes of other packages, and gives its inside.
func Box(p grid.Pane, title string) grid.Pane { return frame(p, title) }

// Input writes a line that is being typed on the first line of a pane, for boxes of other packages.
func Input(p grid.Pane, input textinput.Model) { drawInput(p, input) }
