"""MVM: which of 500 words a mouth says."""
