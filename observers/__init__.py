"""The observers that come with tlbench, one folder each. The registry finds them; nothing imports them by name."""
