"""The predictions of a model on every trial: made by a sweep, kept on disk, read again."""
