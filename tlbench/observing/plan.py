"""What a run observes: observers with their views, weights and precision, and the rule for face boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tlbench.datasets.clip import Clip
from tlbench.observing.face_boxes import BoxRule
from tlbench.observing.observer import Needs, Observer, StartClip
from tlbench.observing.registry import observer_class
from tlbench.preflight.headers import Expected


@dataclass(frozen=True)
class ObserverPlan:
    """One observer of a run, with its views, modes, weights, precision and matrix product."""

    name: str
    views: tuple[str, ...]
    weights: Path | None = None
    weights_sha256: str | None = None
    modes: tuple[str, ...] = ()
    half: bool = False
    packed: bool = False

    @property
    def identity(self) -> str:
        kind = observer_class(self.name)
        if self.packed:
            return kind.identity(self.views, self.weights_sha256, self.modes, half=self.half, packed=True)
        return kind.identity(self.views, self.weights_sha256, self.modes, half=self.half)

    def load(self, device: str) -> Observer:
        """Build the observer. Raises TlbenchError if its weights do not fit."""
        kind = observer_class(self.name)
        if self.packed:  # observers of other packages may not know it
            return kind.load(self.weights, self.views, device, self.modes, half=self.half, packed=True)
        return kind.load(self.weights, self.views, device, self.modes, half=self.half)

    @property
    def has_cropper(self) -> bool:
        """Whether another process can crop for it."""
        return observer_class(self.name).has_cropper

    def cropper(self) -> StartClip | None:
        """What crops for it in another process, see :meth:`Observer.cropper`."""
        return observer_class(self.name).cropper(self.weights, self.views, self.modes)

    @property
    def needs(self) -> Needs:
        return observer_class(self.name).needs_for(self.views, self.modes)


@dataclass(frozen=True)
class Plan:
    """The observers of a run and how they are run. Can be sent to another process.

    ``real`` are real videos that observers of sets see as well, by the id of the clip that is generated from them: each
    a clip whose generated video is the other's reference, so that it is decoded once for both.
    """

    observers: tuple[ObserverPlan, ...]
    boxes: BoxRule
    cache: Path
    device: str = "cpu"
    threads: int | None = None  # of the matrix library in each process; None for its default
    expected: Expected = field(default_factory=Expected)  # of every clip, for the checks
    excused: frozenset[str] = frozenset()  # codes of errors that are intended, as in a control: the clip is scored
    real: Mapping[str, Clip] = field(default_factory=dict)

    @property
    def of_set(self) -> Plan:
        """The plan by which real videos are observed: by observers of sets alone, and none of their errors excused."""
        own = tuple(plan for plan in self.observers if observer_class(plan.name).of_sets)
        return replace(self, observers=own, excused=frozenset(), real={})
