"""How a run uses a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RayOptions:
    """Options of the engine ``ray``.

    Attributes
    ----------
    address : str or None
        Of the cluster, such as ``10.0.0.1:6379``; None for $RAY_ADDRESS, else a cluster on this machine alone.
    gpus_per_worker : float
        Part of a GPU that each worker takes if networks compute on one; four workers with 0.25 share a GPU.
    """

    address: str | None = None
    gpus_per_worker: float = 1.0


DEFAULT_RAY = RayOptions()
