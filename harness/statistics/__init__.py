"""Statistics of an estimate: its interval, its p-value, its difference from another."""
