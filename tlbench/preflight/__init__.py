"""Checks of a clip's files and of what is seen of it, as findings: used by ``tlbench check`` and by every ``score``."""
