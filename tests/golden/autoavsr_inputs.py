"""Formula inputs of the auto_avsr goldens: clips, frames, landmarks, and what is done to the formula weights."""

from __future__ import annotations

from collections.abc import Collection, MutableMapping, Sequence
from typing import Any

import numpy as np

SIDE = 88


def video(seed: int, clips: int, frames: int, lengths: Sequence[int] = ()) -> np.ndarray:
    """Normalised grey clips (B, T, 1, 88, 88) float32: noise, an offset for each frame, a pattern of 8x8 blocks.

    Frames after a clip's length are 0, as the original's collate leaves them.
    """
    draw = np.random.RandomState(seed)
    noise = draw.standard_normal((clips, 1, frames, SIDE, SIDE))
    offset = draw.standard_normal((clips, 1, frames, 1, 1))
    block = draw.standard_normal((clips, 1, frames, 8, 8)).repeat(SIDE // 8, axis=3).repeat(SIDE // 8, axis=4)
    made = (0.5 * noise + 1.0 * offset + 1.0 * block).astype(np.float32).transpose(0, 2, 1, 3, 4).copy()
    for clip, length in enumerate(lengths):
        made[clip, length:] = 0.0
    return made


def lively(
    state: MutableMapping[str, Any],
    embed: float = 1.0,
    out: float = 1.0,
    eos: float = 0.0,
    resid: float = 1.0,
    q: float = 1.0,
    ctc: float = 1.0,
    blank: float = 0.0,
    proj: float = 1.0,
) -> None:
    """Change formula weights in place, so that hypotheses vary and end at different lengths."""
    factors = {
        "decoder.embed.0.weight": embed,
        "decoder.output_layer.weight": out,
        "proj_encoder.weight": proj,
        "ctc.ctc_lo.weight": ctc,
    }
    for name in state:
        factor = factors.get(name, 1.0)
        if name.startswith("decoder.decoders."):
            if name.endswith(("linear_out.weight", "feed_forward.w_2.weight")):
                factor = resid
            elif name.endswith("linear_q.weight"):
                factor = q
        state[name] *= factor if factor != 1.0 else 1
    state["decoder.output_layer.bias"][-1] += eos
    state["ctc.ctc_lo.bias"][0] += blank


def texture(seed: int, frames: int, height: int = 288, width: int = 360) -> np.ndarray:
    """Frames (T, H, W, 3) uint8: waves that move, blocks of 8x8, pixel noise."""
    draw = np.random.RandomState(seed)
    t, y, x, c = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    wave = 50 * np.sin(0.11 * x + 0.05 * y + 0.3 * t + c) + 40 * np.cos(0.07 * y - 0.04 * x + 0.2 * t + 2 * c)
    block = draw.standard_normal((frames, height // 8, width // 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
    pixel = draw.standard_normal((frames, height, width, 3))
    return np.clip(np.round(128 + wave + 25 * block + 4 * pixel), 0, 255).astype(np.uint8)


def landmarks(
    seed: int, frames: int, mean_face: np.ndarray, centre: tuple[float, float] = (180.0, 140.0), jitter: float = 1.0
) -> np.ndarray:
    """(T, 68, 2) float64, x and y: the mean face turned, scaled, moved and shaken."""
    draw = np.random.RandomState(seed)
    scale, swing, phase = draw.uniform(0.8, 1.1), draw.uniform(0.05, 0.2), draw.uniform(0, 6)
    made = []
    for t in range(frames):
        angle = swing * np.sin(0.3 * t + phase)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = np.array([centre[0] + 6 * np.sin(0.4 * t + phase), centre[1] + 4 * np.cos(0.3 * t)])
        made.append(scale * (mean_face - 128.0) @ turn.T + middle + jitter * draw.standard_normal((68, 2)))
    return np.stack(made)


def missing(points: np.ndarray, frames: Collection[int]) -> np.ndarray:
    """The same points, NaN in the frames without a face."""
    made = np.array(points, dtype=np.float64)
    made[list(frames)] = np.nan
    return made
