"""Perceptual distance between generated and real frames: LPIPS with AlexNet."""
