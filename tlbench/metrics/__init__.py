"""Evidence to tallies. No networks here."""
