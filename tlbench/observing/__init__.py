"""Clips to evidence: the contract of observers, and what runs them."""
