"""Observers that come with tlbench, one self-contained folder each. Found through the registry, never imported by name."""
