"""The observers that come with tlbench, a self-contained folder each; found by the registry, never imported by name."""
