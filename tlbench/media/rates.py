"""The frame rate and the sample rate at which every observer works."""

from __future__ import annotations

FRAMES_PER_SECOND = 25  # the observers were trained on LRS2, LRW and GRID, which all have 25 frames/s
SAMPLE_RATE = 16_000  # Hz, one channel; the observers were trained on 16 kHz speech
