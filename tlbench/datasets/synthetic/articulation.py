"""From phonemes with times to the shape of the mouth in each frame, with coarticulation.

Each sound pulls each part of the mouth towards its target, with a strength that fades before and after the sound; the
shape is the weighted mean of the targets: the dominance model of Cohen and Massaro ("Modeling coarticulation in
synthetic visual speech", Models and Techniques in Computer Animation, 1993). Sounds made with the lips (p b m, f v, w)
pull hard at the lips and little at the jaw; sounds made at the back of the mouth (k g h) hardly pull at all. Sounds
that look the same have the same targets: p, b and m, or t, d and n. The targets and strengths were set by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tlbench.datasets.synthetic.phonemes import SILENCE
from tlbench.datasets.synthetic.timings import Times
from tlbench.media.rates import FRAMES_PER_SECOND

# jaw: 0 shut to 1 wide open. width: -1 narrow to 1 spread. rounding: lips pushed forward. closing: lips pressed
# together. tuck: lower lip under the upper teeth. tongue: its tip seen between or behind the teeth.
PARTS = ("jaw", "width", "rounding", "closing", "tuck", "tongue")
_EXPOSURE = (-0.3, 0.0, 0.3)  # of a frame: times that are averaged, so that a closure shorter than a frame is visible
_REST_SECONDS = 0.08  # the mouth moves from so long before the first sound until so long after the last


@dataclass(frozen=True)
class Viseme:
    """The mouth shape of a sound.

    Attributes
    ----------
    targets : tuple of float
        In the order of :data:`PARTS`.
    strengths : tuple of float
        How hard the sound pulls at each part.
    spread_seconds : float
        At this distance from the sound, the pull has fallen to 1/e.
    """

    targets: tuple[float, float, float, float, float, float]
    strengths: tuple[float, float, float, float, float, float]
    spread_seconds: float


VISEMES: dict[str, Viseme] = {
    "rest": Viseme((0.02, 0.0, 0.0, 0.55, 0.0, 0.0), (0.6, 0.5, 0.5, 0.6, 0.6, 0.6), 0.09),
    "pbm": Viseme((0.06, 0.0, 0.0, 1.0, 0.0, 0.0), (0.7, 0.2, 0.2, 6.0, 2.0, 1.0), 0.045),
    "fv": Viseme((0.12, 0.1, 0.0, 0.1, 1.0, 0.0), (0.8, 0.4, 0.6, 2.0, 6.0, 1.0), 0.05),
    "th": Viseme((0.24, 0.1, 0.0, 0.0, 0.0, 1.0), (0.8, 0.4, 0.5, 2.0, 2.0, 4.0), 0.05),
    "tdn": Viseme((0.20, 0.15, 0.0, 0.0, 0.0, 0.45), (0.6, 0.3, 0.3, 1.5, 1.5, 1.0), 0.045),
    "sz": Viseme((0.10, 0.55, 0.0, 0.0, 0.0, 0.0), (1.0, 0.8, 0.6, 1.5, 1.5, 1.0), 0.05),
    "sh": Viseme((0.16, -0.35, 0.65, 0.0, 0.0, 0.0), (0.9, 1.0, 1.2, 1.5, 1.5, 1.0), 0.055),
    "l": Viseme((0.34, 0.1, 0.0, 0.0, 0.0, 0.85), (0.7, 0.3, 0.3, 1.5, 1.5, 2.5), 0.05),
    "r": Viseme((0.20, -0.3, 0.45, 0.0, 0.0, 0.0), (0.6, 0.7, 0.8, 1.2, 1.2, 0.6), 0.05),
    "w": Viseme((0.10, -0.9, 1.0, 0.12, 0.0, 0.0), (0.9, 1.6, 2.0, 1.5, 1.5, 0.6), 0.06),
    "kg": Viseme((0.26, 0.0, 0.0, 0.0, 0.0, 0.0), (0.3, 0.1, 0.1, 1.0, 1.0, 0.4), 0.04),
    "h": Viseme((0.3, 0.0, 0.0, 0.0, 0.0, 0.0), (0.15, 0.05, 0.05, 0.8, 0.8, 0.3), 0.04),
    "aa": Viseme((1.0, 0.0, 0.0, 0.0, 0.0, 0.0), (1.3, 0.7, 0.8, 1.6, 1.6, 0.8), 0.075),
    "ae": Viseme((0.80, 0.55, 0.0, 0.0, 0.0, 0.0), (1.2, 0.9, 0.8, 1.6, 1.6, 0.8), 0.07),
    "eh": Viseme((0.55, 0.45, 0.0, 0.0, 0.0, 0.0), (1.1, 0.8, 0.8, 1.6, 1.6, 0.8), 0.065),
    "ih": Viseme((0.32, 0.45, 0.0, 0.0, 0.0, 0.0), (0.8, 0.7, 0.7, 1.4, 1.4, 0.7), 0.055),
    "iy": Viseme((0.20, 1.0, 0.0, 0.0, 0.0, 0.0), (1.1, 1.3, 1.0, 1.6, 1.6, 0.8), 0.07),
    "ah": Viseme((0.48, 0.0, 0.1, 0.0, 0.0, 0.0), (0.7, 0.4, 0.5, 1.3, 1.3, 0.6), 0.055),
    "ao": Viseme((0.72, -0.45, 0.6, 0.0, 0.0, 0.0), (1.2, 1.0, 1.2, 1.6, 1.6, 0.8), 0.07),
    "ow": Viseme((0.48, -0.65, 0.85, 0.0, 0.0, 0.0), (1.1, 1.2, 1.4, 1.6, 1.6, 0.8), 0.07),
    "uw": Viseme((0.16, -1.0, 1.0, 0.0, 0.0, 0.0), (1.1, 1.4, 1.6, 1.5, 1.5, 0.8), 0.07),
    "er": Viseme((0.34, -0.25, 0.4, 0.0, 0.0, 0.0), (0.9, 0.8, 0.9, 1.4, 1.4, 0.7), 0.065),
}
_SEEN = {
    "rest": "SIL",
    "pbm": "P B M",
    "fv": "F V",
    "th": "TH DH",
    "tdn": "T D N",
    "sz": "S Z",
    "sh": "SH ZH CH JH",
    "l": "L",
    "r": "R",
    "w": "W",
    "kg": "K G NG",
    "h": "HH",
    "aa": "AA",
    "ae": "AE",
    "eh": "EH",
    "ih": "IH",
    "iy": "IY Y",
    "ah": "AH",
    "ao": "AO",
    "er": "ER UH",
    "uw": "UW",
    "aa ih": "AY",
    "eh iy": "EY",
    "ow ih": "OY",
    "ae uw": "AW",
    "ow uw": "OW",
}
# The visemes of each of phonemes.PHONEMES: one, or two for a diphthong.
SEEN: dict[str, tuple[str, ...]] = {
    sound: tuple(visemes.split()) for visemes, sounds in _SEEN.items() for sound in sounds.split()
}


def articulate(phonemes: Times, frames: int, effort: float = 1.0) -> np.ndarray:
    """The shape of the mouth in the middle of each frame.

    Parameters
    ----------
    phonemes : Times
        (begin, end, one of PHONEMES) in seconds of the video, in order. The mouth rests before the first and after the
        last.
    frames : int
    effort : float
        How far the speaker moves jaw and lips; 1 is normal. Closures are not scaled.

    Returns
    -------
    ndarray
        (frames, 6) float64, the parts of :data:`PARTS`.
    """
    sounds = [*phonemes]
    if not sounds:
        sounds = [(0.0, 0.0, SILENCE)]
    first, last = sounds[0][0] - _REST_SECONDS, sounds[-1][1] + _REST_SECONDS
    pulls: list[tuple[str, float, float]] = [("rest", first, first)]  # viseme, begin, end
    for begin, end, sound in sounds:
        visemes = SEEN[sound]
        step = (end - begin) / len(visemes)
        pulls += [(viseme, begin + i * step, begin + (i + 1) * step) for i, viseme in enumerate(visemes)]
    pulls.append(("rest", last, last))
    targets = np.array([VISEMES[name].targets for name, _, _ in pulls])  # (S, 6)
    strengths = np.array([VISEMES[name].strengths for name, _, _ in pulls])
    spread = np.array([VISEMES[name].spread_seconds for name, _, _ in pulls])
    begins, ends = np.array([pull[1:] for pull in pulls]).T
    times = (np.arange(frames)[:, None] + 0.5) / FRAMES_PER_SECOND  # (T, 1)
    pull = np.zeros((frames, len(pulls)))
    for part in _EXPOSURE:
        time = times + part / FRAMES_PER_SECOND
        apart = np.maximum(np.maximum(begins - time, time - ends), 0.0)
        pull += np.exp(-((apart / spread) ** 1.5)) / len(_EXPOSURE)
    pull[times[:, 0] < first, 0] = 1.0
    pull[times[:, 0] > last, -1] = 1.0
    weights = pull[:, :, None] * strengths + 1e-9  # (T, S, 6)
    shapes: np.ndarray = (weights * targets).sum(1) / weights.sum(1)
    shapes[:, :3] *= effort
    return shapes
