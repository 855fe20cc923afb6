"""How generated videos and controls are encoded: all by the same encoder, so that rows of a table compare."""

from __future__ import annotations

CODEC = "libx264"
CRF = 23  # x264's default, the quality of most published clips
