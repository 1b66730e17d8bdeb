"""Whether the journal keeps its promises: which row breaks which."""
