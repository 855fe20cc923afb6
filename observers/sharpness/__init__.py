"""Sharpness of generated frames: variance of the Laplacian."""
