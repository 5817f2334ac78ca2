"""The trusted side: starts a candidate in a child process, asks it and checks its answers."""
