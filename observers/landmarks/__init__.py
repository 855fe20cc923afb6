"""Landmark distance between generated and real faces, by the embedded mesh or by 68 points."""
