"""From measurements to findings, and from findings to the verdict."""
