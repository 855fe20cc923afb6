"""torch's own product for linear layers against oneDNN's with packed weights, on this machine's processor.

    python -m benchmarks.matrix_products [--threads 1 2] [--numbers float32] [--repeats 20]
                                         [--processor-time]

Prints the speed of both on the shapes of the lip readers, in turn in one process, and the row for
``tlbench/observing/matrix_products.csv``. The row says ``onednn`` if it is at least a tenth faster in the geometric
mean over all shapes and numbers of threads. To measure narrower instruction sets on a wide processor, set
``ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2``.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from tlbench.observing.matrix_product import INSTRUCTIONS, processor
from tlbench.observing.packed_linear import PackedLinear

# Rows, inputs and outputs: one beam of 50 and four, single clips of 40 to 100 frames, eight clips together.
SHAPES = [
    (rows, inputs, outputs)
    for width, hidden in ((768, 3072), (1024, 4096))
    for rows in (8, 50, 100, 200, 800)
    for inputs, outputs in ((width, width), (width, hidden), (hidden, width))
]
# Values of oneDNN's variable ONEDNN_MAX_CPU_ISA and the widest instructions of the table that they leave.
LIMITS = {
    **{"AVX2": "avx2", "AVX2_VNNI": "avx2", "AVX2_VNNI_2": "avx2"},
    **{"AVX512_CORE": "avx512", "AVX512_CORE_VNNI": "avx512"},
    **{"AVX512_CORE_BF16": "avx512_bf16", "AVX512_CORE_FP16": "avx512_bf16"},
}
ENOUGH = 1.1  # a product that is less than a tenth faster is not worth other roundings


def speeds(
    rows: int, inputs: int, outputs: int, dtype: torch.dtype, repeats: int, clock: Callable[[], float]
) -> dict[str, float]:
    """The best GFLOP/s of each product for one shape."""
    weight, bias = torch.randn(outputs, inputs).to(dtype), torch.randn(outputs).to(dtype)
    x = torch.randn(rows, inputs).to(dtype)
    packed = PackedLinear(weight, bias)
    ways: dict[str, Callable[[], Tensor]] = {"torch": lambda: F.linear(x, weight, bias), "onednn": lambda: packed(x)}
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(repeats):
        for name, work in ways.items():
            start = clock()
            work()
            best[name] = min(best[name], clock() - start)
    return {name: 2 * rows * inputs * outputs / seconds / 1e9 for name, seconds in best.items()}


def instructions(numbers: str) -> str:
    """The widest instruction set that this process may use, as the table names it."""
    _, flags = processor()
    known = [name for name, needed in INSTRUCTIONS.items() if flags >= needed]
    limit = LIMITS.get(os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper())
    if limit is not None:
        known = [name for name in known if list(INSTRUCTIONS).index(name) <= list(INSTRUCTIONS).index(limit)]
    if numbers == "float32":  # it does not use instructions for bfloat16
        known = [name for name in known if not name.endswith("bf16")]
    return known[-1] if known else "none"


def processor_name() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--numbers", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--repeats", type=int, default=20, help="the best counts")
    parser.add_argument("--processor-time", action="store_true", help="on a busy machine; for one thread")
    given = parser.parse_args()
    clock = time.process_time if given.processor_time else time.perf_counter
    dtype = getattr(torch, given.numbers)
    torch.manual_seed(0)
    found: dict[str, list[float]] = {"torch": [], "onednn": []}
    print(f"{processor_name()}, {given.numbers}, torch {torch.__version__}; GFLOP/s, best of {given.repeats}")
    print(f"{'threads':>7} {'rows':>5} {'inputs':>6} {'outputs':>7} {'torch':>7} {'onednn':>7}")
    with torch.inference_mode():
        for threads in given.threads:
            torch.set_num_threads(threads)
            for shape in SHAPES:
                speed = speeds(*shape, dtype, given.repeats, clock)
                for name, value in speed.items():
                    found[name].append(value)
                rows, inputs, outputs = shape
                print(f"{threads:>7} {rows:>5} {inputs:>6} {outputs:>7} {speed['torch']:>7.0f} {speed['onednn']:>7.0f}")
    mean = {name: statistics.geometric_mean(values) for name, values in found.items()}
    product = "onednn" if mean["onednn"] >= ENOUGH * mean["torch"] else "torch"
    print(f"geometric mean: torch {mean['torch']:.0f}, onednn {mean['onednn']:.0f} GFLOP/s")
    print("row for tlbench/observing/matrix_products.csv:")
    release = ".".join(torch.__version__.split(".")[:2])
    vendor, _ = processor()
    values = f"{mean['torch']:.0f},{mean['onednn']:.0f},{processor_name().replace(',', ' ')}"
    print(f"{vendor},{instructions(given.numbers)},{given.numbers},{release},{product},{values}")


if __name__ == "__main__":
    main()
