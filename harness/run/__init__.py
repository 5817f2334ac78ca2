"""The stages of a run, each a function from value to value."""
