"""Parts of the suites: diagnosis of known faults, strategies for property tests."""
