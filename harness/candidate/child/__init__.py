"""The untrusted side: loads the candidate and answers requests; imports nothing of the parent."""
