"""Decide whether a digit classifier may be released, and say how sure the decision is."""

__version__ = "0.1.0"
