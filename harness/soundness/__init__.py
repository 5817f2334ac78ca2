"""Is the evidence sound: known controls, digits seen before, labels in doubt."""
