"""Floors, ceilings and faults: videos made from real clips."""
