"""The Frechet distance by eigenvalues against a root of a matrix, and KID, at the size of Inception's features.

    python -m benchmarks.set_distances [--dims 2048] [--rows 4096] [--repeats 3] [--clips 20 40] [--frames 75]

The baselines are what is usual: ``scipy.linalg.sqrtm`` of the product of the covariances (bioinf-jku/TTUR ``fid.py``,
pytorch-fid), and the eigenvalues of that product, which is not symmetric (torch-fidelity ``metric_fid.py``). All start
from the same means and covariances in float64, by turns, and must give the same number within 1e-6 of it, which is
checked. Processor time is printed, since others may use the machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy.linalg import sqrtm

from tlbench.metrics.frechet import frechet_distance
from tlbench.metrics.kernel_distance import GivenFeatures, kernel_sums
from tlbench.metrics.moments import MomentTally

TOLERANCE = 1e-6  # relative, docs/precision.md
Moments = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def made_features(rows: int, dims: int, seed: int) -> np.ndarray:
    """Correlated features, none below 0, as Inception's are."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(rows, dims)) @ (rng.normal(size=(dims, dims)) / np.sqrt(dims))
    return np.maximum(mixed + 0.1 * seed, 0).astype(np.float32)


def of_product(moments: Moments, trace_of_root: Callable[[np.ndarray], float]) -> float:
    mean_a, covariance_a, mean_b, covariance_b = moments
    apart = mean_a - mean_b
    traces = np.trace(covariance_a) + np.trace(covariance_b)
    return float(apart @ apart + traces - 2 * trace_of_root(covariance_a @ covariance_b))


def by_root(moments: Moments) -> float:
    return of_product(moments, lambda product: float(np.trace(sqrtm(product)).real))


def by_product(moments: Moments) -> float:
    return of_product(
        moments, lambda product: float(np.sqrt(np.linalg.eigvals(product).astype(np.complex128)).real.sum())
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", type=int, default=2048)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clips", type=int, nargs="*", default=[20, 40])
    parser.add_argument("--frames", type=int, default=75)
    options = parser.parse_args()
    a, b = (MomentTally.of(made_features(options.rows, options.dims, seed)) for seed in (1, 2))
    assert a.mean is not None
    assert b.mean is not None
    assert a.covariance is not None
    assert b.covariance is not None
    moments = (a.mean, a.covariance, b.mean, b.covariance)
    ways: dict[str, Callable[[Moments], float]] = {
        "sqrtm, as pytorch-fid": by_root,
        "eigenvalues of the product, as torch-fidelity": by_product,
        "ours, two symmetric problems": lambda given: frechet_distance(*given),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    values: dict[str, float] = {}
    for _ in range(options.repeats):
        for name, way in ways.items():
            start = time.process_time()
            values[name] = way(moments)
            seconds[name].append(time.process_time() - start)
    print(f"{options.dims} features, {options.rows} rows a side, median of {options.repeats}, processor time")
    base = statistics.median(next(iter(seconds.values())))
    ours = values["ours, two symmetric problems"]
    for name, taken in seconds.items():
        median = statistics.median(taken)
        apart = abs(values[name] - ours) / ours
        print(f"{name:46s} {median:8.2f} s  {base / median:6.2f} x the first's speed; {apart:.1e} from ours")
        if apart > TOLERANCE:
            raise SystemExit(f"{name}: {values[name]} is not {ours} within {TOLERANCE} of it")
    for clips in options.clips:
        sides = [[made_features(options.frames, options.dims, 2 * i + side) for i in range(clips)] for side in (0, 1)]
        start = time.process_time()
        kernel_sums(*map(GivenFeatures, sides), paired=True)
        print(f"KID's kernel sums, {clips} clips of {options.frames} frames: {time.process_time() - start:.1f} s")


if __name__ == "__main__":
    main()
