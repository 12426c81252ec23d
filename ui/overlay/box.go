package overlay

import "pitwall/ui/grid"

// Box draws an empty box with a title on its border, for boxes of other packages, and gives its inside.
func Box(p grid.Pane, title string) grid.Pane { return frame(p, title) }
