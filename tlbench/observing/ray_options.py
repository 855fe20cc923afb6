"""How a run uses a Ray cluster, and what it says while it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ClusterState:
    """What of a Ray cluster takes part in a run at this moment.

    Attributes
    ----------
    nodes : int
        Those with a worker that runs.
    workers : int
        Those that run.
    again : tuple of str
        What is observed again because its worker died: ``clip a``, ``clips a to c``.
    """

    nodes: int
    workers: int
    again: tuple[str, ...] = ()


@dataclass(frozen=True)
class RayOptions:
    """Options of the engine ``ray``.

    Attributes
    ----------
    address : str or None
        Of the cluster, such as ``10.0.0.1:6379``; None for $RAY_ADDRESS, else a cluster on this machine alone.
    gpus_per_worker : float
        Part of a GPU that each worker takes if networks compute on one; four workers with 0.25 share a GPU.
    decode_workers : int or None
        How many further workers decode and crop, so that the others only compute; with 0 each worker does both. None:
        if networks compute on a GPU, up to :data:`tlbench.observing.ray_nodes.DECODERS_A_WORKER` for each worker, of
        the cores that the others leave; else 0.
    watch : callable, optional
        Called when what takes part has changed.
    """

    address: str | None = None
    gpus_per_worker: float = 1.0
    decode_workers: int | None = None
    watch: Callable[[ClusterState], None] | None = field(default=None, compare=False)


DEFAULT_RAY = RayOptions()
