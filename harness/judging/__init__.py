"""Judgement: measurements to findings, and findings to the verdict."""
