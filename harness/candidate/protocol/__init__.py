"""The messages between parent and child."""
