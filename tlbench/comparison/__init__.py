"""Which differences between systems are real."""
