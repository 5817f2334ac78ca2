"""The trusted side: starts a candidate in a child process, sends it requests and checks its responses."""
