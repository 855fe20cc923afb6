"""Faults of growing size for real clips, to measure which faults a metric reacts to.

A fault is a family of :class:`~tlbench.generation.controls.Control`, one for each size. The size without a fault is the
re-encoded clip, since all sizes are re-encoded, so the encoder's loss is the zero point of every curve.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tlbench.errors import TlbenchError, did_you_mean, quoted
from tlbench.generation.controls import (
    CONTROLS,
    Blurred,
    Control,
    FrozenMouth,
    Reencoded,
    Shifted,
    SwappedAudio,
    control,
)
from tlbench.generation.encoding import CRF
from tlbench.generation.fault_kinds import (
    Coarse,
    Compressed,
    IdentitySwap,
    LateSound,
    Noisy,
    NoisySound,
    OtherSpeaker,
    OtherWords,
    ScaledMotion,
)

VERSION = 1  # raise it when a fault of the same name and size gives other pixels or samples


@dataclass(frozen=True)
class Fault:
    """A fault and its sizes.

    Attributes
    ----------
    name : str
        On the command line.
    label : str
        In figures.
    unit : str
        Of the size.
    none : float
        The size that means no fault.
    sizes : tuple of float
        In ascending order, including ``none``.
    of_size : size -> Control
        Not called for ``none``.
    description : str
    below, above : str
        Names of the sizes below and above ``none``, if there are any.
    """

    name: str
    label: str
    unit: str
    none: float
    sizes: tuple[float, ...]
    of_size: Callable[[float], Control]
    description: str
    below: str = ""
    above: str = ""

    def __post_init__(self) -> None:
        if list(self.sizes) != sorted(set(self.sizes)) or self.none not in self.sizes or len(self.sizes) < 2:
            raise TlbenchError(
                f"fault {quoted(self.name)}: sizes {self.sizes} must grow and hold {self.none:g}, which is no fault"
            )

    def control(self, size: float) -> Control:
        """The control that makes the fault of this size."""
        return Reencoded() if size == self.none else self.of_size(size)

    @property
    def grown(self) -> tuple[float, ...]:
        """The sizes without ``none``."""
        return tuple(size for size in self.sizes if size != self.none)

    @property
    def sides(self) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """Name and sizes below and above ``none``, each from the smallest fault to the largest."""
        below = tuple(sorted((size for size in self.sizes if size < self.none), reverse=True))
        above = tuple(size for size in self.sizes if size > self.none)
        return tuple((name, sizes) for name, sizes in ((self.below, below), (self.above, above)) if sizes)


_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)

FAULTS: tuple[Fault, ...] = (
    Fault(
        "shift",
        "picture shift",
        "frames",
        0,
        (-10, -5, -3, -2, -1, 0, 1, 2, 3, 5, 10),
        lambda size: Shifted(int(size)),
        "the picture later (+) or earlier (-) than the sound; the first or the last frame is repeated",
        below="early",
        above="late",
    ),
    Fault(
        "late-sound",
        "sound late",
        "frames",
        0,
        (0, 0.25, 0.5, 1, 2, 5, 10),
        LateSound,
        "the sound later than the picture, by fractions of a frame too; the picture is untouched",
    ),
    Fault("blur", "blur", "px", 0, (0, 0.5, 1, 2, 4, 8), Blurred, "a Gaussian over the whole frame; its sigma"),
    Fault(
        "coarse",
        "coarser picture",
        "times",
        1,
        (1, 1.5, 2, 3, 4, 8),
        Coarse,
        "the whole frame made smaller by this factor and enlarged again",
    ),
    Fault(
        "compression",
        "compression",
        "CRF",
        CRF,
        (CRF, 28, 33, 38, 43, 48),
        lambda size: Compressed(int(size)),
        f"H.264 at a higher constant rate factor than the {CRF} of all others",
    ),
    Fault(
        "noise",
        "noise",
        "levels",
        0,
        (0, 4, 8, 16, 32, 64),
        Noisy,
        "Gaussian noise on every pixel; its sigma in grey levels of 255",
    ),
    Fault(
        "motion",
        "mouth motion",
        "times",
        1,
        (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5),
        ScaledMotion,
        "the mouth's difference from its mean over the clip, scaled, in pixels and not in articulation",
        below="damped",
        above="exaggerated",
    ),
    Fault(
        "frozen-mouth",
        "mouth frozen",
        "of the clip",
        0,
        _SHARES,
        FrozenMouth,
        "the lower half of the face box stands still for this share of the clip, in its middle",
    ),
    Fault(
        "other-words",
        "other words",
        "of the clip",
        0,
        _SHARES,
        OtherWords,
        "the mouth of another utterance of the same speaker, warped in time so that loud and quiet fall together, for "
        "this share of the clip: in sync, wrong words",
    ),
    Fault(
        "other-speaker",
        "other speaker",
        "of the clip",
        0,
        _SHARES,
        OtherSpeaker,
        "the face of another speaker, who says something else, warped in time in the same way",
    ),
    Fault(
        "identity-swap",
        "identity swapped",
        "of the clip",
        0,
        _SHARES,
        IdentitySwap,
        "the face of another speaker around the clip's own mouth, for this share of the clip: another person, the same "
        "words in sync",
    ),
    Fault(
        "other-sound",
        "other sound",
        "of the clip",
        0,
        _SHARES,
        SwappedAudio,
        "the sound of another clip for this share of the clip, in its middle; the picture is untouched",
    ),
    Fault(
        "sound-noise",
        "sound noise",
        "of RMS",
        0,
        (0, 0.03, 0.1, 0.3, 1, 3),
        NoisySound,
        "white noise in the sound; its RMS over that of the sound; the picture is untouched",
    ),
)


def find_faults(words: Iterable[str] | None) -> tuple[Fault, ...]:
    """The faults with these names, in the order of :data:`FAULTS`; all of them for None or ``all``.

    Raises TlbenchError for an unknown name.
    """
    names = [fault.name for fault in FAULTS]
    wanted = names if words is None else list(words)
    if wanted == ["all"]:
        wanted = names
    for word in wanted:
        if word not in names:
            hint = did_you_mean(word, names)
            raise TlbenchError(f"no fault {quoted(word)}{hint} (there are {', '.join(names)})")
    if not wanted:
        raise TlbenchError(f"no fault was asked for; there are {', '.join(names)} (--faults)")
    return tuple(fault for fault in FAULTS if fault.name in wanted)


def fault_control(name: str) -> Control | None:
    """The control or fault with this name, such as ``blurred-3.5`` or ``frozen-mouth-0.5``; None if there is none.

    Raises
    ------
    TlbenchError
        If it is the reference, which is not generated.
    """
    sizes = [fault.of_size(size) for fault in FAULTS for size in fault.grown]
    found = next((known for known in (*CONTROLS, *sizes) if known.name == name), None)
    if found is None and re.fullmatch(r"(shifted|blurred)[+-].*", name):
        found = control(name)
    if found is not None and not found.written:
        raise TlbenchError(f"--generator {name}: is the reference itself; score it with --controls {name}")
    return found
