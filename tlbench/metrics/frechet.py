"""The Frechet distance of two sets of features, as if each were a normal distribution (FID, FVD).

``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``: Dowson & Landau 1982; Heusel et al. 2017, "GANs trained by a two
time-scale update rule", for Inception (FID); Unterthiner et al. 2018, "Towards accurate generative models of video",
for I3D (FVD).

The trace of the root is the sum of the roots of the eigenvalues of ``C1 C2``, which are those of the symmetric
``F^T C2 F`` with ``C1 = F F^T``. So two symmetric eigenvalue problems are solved instead of a root of a matrix
(``scipy.linalg.sqrtm``, which takes several times as long and may return complex numbers; ``benchmarks.set_distances``
measures both).
"""

from __future__ import annotations

import numpy as np

from tlbench.metrics.moments import MomentTally


def frechet_distance(
    mean_a: np.ndarray, covariance_a: np.ndarray, mean_b: np.ndarray, covariance_b: np.ndarray
) -> float:
    """The squared Frechet distance of two normal distributions.

    Parameters
    ----------
    mean_a, mean_b : (d,) float64
    covariance_a, covariance_b : (d, d) float64
        Symmetric.

    Raises
    ------
    ValueError
        If the sizes do not fit.
    """
    dims = len(mean_a)
    if mean_b.shape != (dims,) or covariance_a.shape != (dims, dims) or covariance_b.shape != (dims, dims):
        raise ValueError(
            f"frechet_distance: {covariance_a.shape} and {covariance_b.shape} covariances of means {mean_a.shape} and "
            f"{mean_b.shape}"
        )
    from scipy.linalg import eigh, eigvalsh  # imported late: every run would wait for it

    values, vectors = eigh(covariance_a)
    factor = vectors * np.sqrt(np.maximum(values, 0))  # rounding may make the eigenvalue 0 negative
    roots = np.sqrt(np.maximum(eigvalsh(factor.T @ covariance_b @ factor), 0))
    apart = mean_a - mean_b
    return float(apart @ apart + np.trace(covariance_a) + np.trace(covariance_b) - 2 * roots.sum())


def distance_of_moments(a: MomentTally, b: MomentTally) -> float | None:
    """The squared Frechet distance of two sets; None if one of them has fewer than two vectors."""
    if a.mean is None or b.mean is None or a.covariance is None or b.covariance is None:
        return None
    return frechet_distance(a.mean, a.covariance, b.mean, b.covariance)
