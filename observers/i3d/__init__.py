"""Logits of I3D, for FVD."""
