"""What a run measures and how it runs, as values that travel together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tlbench.observing.device import Precision
from tlbench.observing.kept import Kept
from tlbench.observing.matrix_product import ProductChoice
from tlbench.observing.ray_options import DEFAULT_RAY, RayOptions


@dataclass(frozen=True)
class MetricOptions:
    """What is measured, and with which checkpoints.

    Attributes
    ----------
    metrics : tuple of str or None
        See :func:`tlbench.metrics.catalogue.find_metrics`. None for the headline metrics that suit the data set, of
        the observers whose checkpoint is here.
    weights : mapping of name to Path
        Checkpoints by the name of their card: ``{"syncnet": Path("syncnet_v2.model")}``. Others are looked for in
        :func:`tlbench.checkpoints.weights.checkpoint_folder`.
    views : mapping of observer to view
        Views to use in place of those the checkpoints were trained with: ``{"avhubert": "face-framed"}``. ``auto``
        takes the trained view if the frames have the size it was made for, else one that finds the face first.
    trained_with : tuple of str
        Names of the checkpoints the system was trained with. A warning names the observers related to them.
    controls : tuple of str
        Ceilings and floors to score as well; see :data:`tlbench.generation.controls.CONTROLS`.
    probe : bool
        Whether lip readers also read up to 20 real clips, to find out whether they can read this data set.
    allow_short : bool
        Score videos that end early. Their protocols say so, and leaderboards refuse the result.
    real : Path or None
        The real set of FID and KID: a folder of videos, or an .npz file of statistics; None for the references of the
        scored clips.
    """

    metrics: tuple[str, ...] | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)
    trained_with: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    probe: bool = True
    allow_short: bool = False
    real: Path | None = None


@dataclass(frozen=True)
class RunOptions:
    """How a run is done. Of these only ``precision`` and ``seed`` change numbers.

    Attributes
    ----------
    workers : int
        Number of processes that observe.
    engine : str
        ``local`` or ``ray``.
    device : str
        ``cpu``, ``cuda``, or ``auto``.
    precision : "fp32" or "bf16"
        With ``bf16``, observers that can compute in bfloat16 do, and their protocols say so. Faster on a GPU, slower
        on a CPU without bfloat16 instructions.
    matrix_product : "auto", "torch" or "onednn"
        Of networks on a CPU, see :mod:`tlbench.observing.matrix_product`. They differ by rounding only.
    cache : Path or None
        Folder of evidence that is kept; None for :func:`tlbench.observing.cache.default_cache`.
    seed : int
        Of the intervals' resampling, the controls' choice of foreign speech, random guesses and the probe's clips.
    strict : bool
        Warnings make a result incomplete, as errors do.
    take_over : bool
        Take the folders of results at once from another run that writes to them; see :func:`tlbench.owner.owned`.
    overwrite : bool
        Replace results of another run, whose numbers this run would not make again; see
        :func:`tlbench.scoring.earlier_result.check_earlier_result`.
    ray : RayOptions
        Of the engine ``ray``.
    kept : Kept
        What is loaded once for all systems and controls of the run.
    """

    workers: int = 1
    engine: str = "local"
    device: str = "auto"
    precision: Precision = "fp32"
    matrix_product: ProductChoice = "auto"
    cache: Path | None = None
    seed: int = 0
    strict: bool = False
    take_over: bool = False
    overwrite: bool = False
    ray: RayOptions = DEFAULT_RAY
    kept: Kept = field(default_factory=Kept, compare=False, repr=False)


def default_workers() -> int:
    """Number of processes if none is given: one for each core, two at most."""
    return min(2, os.cpu_count() or 1)


DEFAULT_METRICS = MetricOptions()
DEFAULT_RUN = RunOptions()
