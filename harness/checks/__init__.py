"""What the suites share: diagnosis of known faults, strategies for property tests."""
