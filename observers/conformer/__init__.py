"""Conformer: a lip reader that spells, under the true prefix as published or on its own."""
