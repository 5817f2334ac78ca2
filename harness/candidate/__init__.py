"""The system under test. The folder is the trust boundary: what runs in the parent, in the child, and in both."""
