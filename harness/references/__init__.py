"""The models, preprocessing and results that ship to compare with."""
