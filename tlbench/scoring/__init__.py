"""Tallies to numbers one may quote."""
