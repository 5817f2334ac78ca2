"""What a number is worth: its interval, its p-value, its difference from another."""
