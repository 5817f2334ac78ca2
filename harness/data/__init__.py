"""Labelled digits from files, Keras and the embedded set, validated."""
