"""Frames, faces and sound by formula: what the original's tracking, crops and scores were computed from."""

from __future__ import annotations

import numpy as np

FRAMES, HEIGHT, WIDTH = 116, 240, 320


def frames() -> np.ndarray:
    """(T, H, W, 3) uint8 RGB: slanted stripes that move by a pixel a frame. Whole numbers only."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    channels = []
    for speed, slant in ((1, 2), (2, 3), (3, 1)):
        moving = slant * columns + rows
        channels.append(np.stack([(moving + speed * frame) % 200 + 20 for frame in range(FRAMES)]))
    return np.stack(channels, axis=-1).astype(np.uint8)


def detections() -> list[np.ndarray]:
    """(k, 5) faces of each frame, the best first: one in frames 2 to 111 with a gap, one in frames 20 to 79."""
    draw = np.random.RandomState(20)
    found = []
    for frame in range(FRAMES):
        first = [20 + 0.5 * frame, 40, 130 + 0.5 * frame, 170 - 0.1 * frame, 0.99]
        second = [190, 60 + 0.4 * frame, 300, 165 + 0.4 * frame, 0.95]
        rows = []
        if 2 <= frame < 112 and not 60 <= frame < 65:
            rows.append(first)
        if 20 <= frame < 80:
            rows.append(second)
        faces = np.array(rows, np.float64).reshape(-1, 5)
        faces[:, :4] += draw.uniform(-2, 2, (len(faces), 4))
        found.append(faces)
    return found


def samples() -> np.ndarray:
    """(N,) int16 at 16 kHz: noise whose loudness comes and goes."""
    draw = np.random.RandomState(21)
    loudness = 0.55 + 0.45 * np.sin(np.arange(FRAMES * 640) / 2311)
    return np.asarray(draw.randint(-9000, 9000, FRAMES * 640) * loudness, dtype=np.int16)
