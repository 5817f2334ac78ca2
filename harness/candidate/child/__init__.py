"""The untrusted side: loads the candidate and answers; imports nothing of the parent."""
