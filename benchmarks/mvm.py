"""MVM's speed against a plain implementation that follows the original, clip by clip.

    python -m benchmarks.mvm [--clips N] [--threads N] [--repeats N]

The baseline runs the networks as written, once for each clip and once more for its mirror image, without the audio
front end, which the original runs too and whose result it ignores. Both start from normalised crops (of noise) and end
with the words, on random weights. The share of the matrix peak, which is measured in the same run, counts the products
of the plain networks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.peak import packed_peak_gflops
from tlbench.datasets.clip import Clip
from tlbench.observers.mvm.dims import PUBLISHED
from tlbench.observers.mvm.fast_model import FastMVM
from tlbench.observers.mvm.inference import MVMClipState, MVMInference
from tlbench.observers.mvm.model import FRAMES, MVMModel
from tlbench.observers.mvm.view import LRW
from tlbench.observers.mvm.words import WORDS

SIDE = PUBLISHED.side  # pixels


def gflop_a_clip(model: MVMModel) -> float:
    """Multiplications and additions of all convolutions and linear layers for one clip, counted by running it."""
    products = 0

    def count(layer: torch.nn.Module, _: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal products
        assert isinstance(layer.weight, torch.Tensor)
        products += output.numel() * layer.weight[0].numel()

    kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.Linear)
    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, kinds)]
    with torch.inference_mode():
        model(torch.zeros(1, 1, FRAMES, SIDE, SIDE))
    for hook in hooks:
        hook.remove()
    return 2 * products / 1e9


@torch.inference_mode()
def plain(model: MVMModel, clips: list[np.ndarray]) -> list[str]:
    """The word of each clip, as ``test.py`` of the original finds it with ``--test_aug``."""
    words = []
    for clip in clips:
        crops = torch.from_numpy(clip)[None, None]
        words.append(WORDS[int((model(crops) + model(crops.flip(4))).argmax())])
    return words


def ours(reader: MVMInference, clips: list[np.ndarray]) -> list[str]:
    """The same with the observer."""
    states = [MVMClipState(Clip(str(index)), WORDS[0], LRW) for index in range(len(clips))]
    return [str(evidence.values["predicted"]) for evidence in reader.read(states, clips)]


def main() -> None:
    parser = argparse.ArgumentParser(description="MVM against a plain implementation, clip by clip.")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5, help="the best counts")
    parser.add_argument("--processor-time", action="store_true", help="on a busy machine; for one thread")
    options = parser.parse_args()
    clock: Callable[[], float] = time.process_time if options.processor_time else time.perf_counter
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = MVMModel().eval().requires_grad_(False)
    reader, packed = (MVMInference(FastMVM(model), LRW, torch.device("cpu"), packed=packed) for packed in (False, True))
    noise = np.random.RandomState(0)
    clips = [noise.standard_normal((FRAMES, SIDE, SIDE)).astype(np.float32) for _ in range(options.clips)]

    theirs = plain(model, clips)  # also warms all up
    for mine in (ours(reader, clips), ours(packed, clips)):
        assert theirs == mine, f"{mine} are not {theirs}"

    work: dict[str, Callable[[], object]] = {
        "plain, clip by clip": lambda: plain(model, clips),
        "tlbench": lambda: ours(reader, clips),
        "tlbench, packed": lambda: ours(packed, clips),
    }
    best = dict.fromkeys(work, float("inf"))
    for _ in range(options.repeats):  # in turn, so that a busy moment of the machine does not hit one alone
        for name, run in work.items():
            start = clock()
            run()
            best[name] = min(best[name], clock() - start)

    gflop, peak = 2 * gflop_a_clip(model), packed_peak_gflops(clock)
    print(f"{len(clips)} clips with their mirror images, {options.threads} threads, best of {options.repeats}")
    print(f"{gflop:.1f} GFLOP a clip and its mirror image; oneDNN's peak {peak:.0f} GFLOP/s")
    for name, seconds in best.items():
        rate = gflop * len(clips) / seconds
        times = best["plain, clip by clip"] / seconds
        print(
            f"{name:20} {1e3 * seconds / len(clips):6.0f} ms a clip  {times:5.2f} times  "
            f"{rate:4.0f} GFLOP/s, {100 * rate / peak:.0f} % of the peak"
        )


if __name__ == "__main__":
    main()
