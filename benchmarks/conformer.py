"""The Conformer's speed against a plain implementation that follows the original script step by step.

    python -m benchmarks.conformer [--frames 50 80 29 75 75] [--threads N] [--repeats N]

The baseline does, for each clip by itself, what evaluation/teacher_force_wer.py of Sxjdwang/TalkLip does: bytes to
normalise floats, the network as written, padded features, masks, argmax under the reference prefix. Both start from
the same grey crops and end with the characters, on random weights; cutting the crops is not counted. The tokens are
compared. Beside it: what each part of ours takes, free reading if asked for, and the share of the matrix peak measured
in the same run.
"""

from __future__ import annotations

import argparse
import copy
import functools
import os
import string
import time
from collections.abc import Callable

import av
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peak import packed_peak_gflops
from tlbench.datasets.clip import Clip
from tlbench.media.video_reader import FrameChunk
from tlbench.observers.conformer.fast_model import FusedFrontend, JoinedEncoder, normalise
from tlbench.observers.conformer.inference import ConformerClipState, ConformerInference
from tlbench.observers.conformer.model import ConformerModel
from tlbench.observers.conformer.tokenizer import EOS, ids_of, required_frames
from tlbench.observers.conformer.view import VIEWS
from tlbench.observing.evidence import Evidence
from tlbench.observing.observer import ClipChunk

FRAMES = (50, 80, 29, 75, 75)  # 309, as in the five clips on which the original was timed


def make_clip(frames: int, number: int) -> tuple[FrameChunk, str]:
    """Smooth noise of LRS2's size, and a sentence with a character every two frames."""
    draw = np.random.RandomState(number)
    coarse = draw.randint(0, 256, (frames, 10, 10, 3)).astype(np.uint8)
    smooth = (np.kron(image, np.ones((16, 16, 1), np.uint8)) for image in coarse)
    pictures = [av.VideoFrame.from_ndarray(image, format="rgb24") for image in smooth]
    letters = draw.choice(list(string.ascii_uppercase + "     "), frames // 2)
    return FrameChunk(0, tuple(pictures)), "A" + "".join(letters)


def original_step_by_step(crops: Tensor, transcript: str, model: ConformerModel) -> list[int]:
    """The characters the decoder writes under the true prefix, as the original gets them; one clip."""
    ids = ids_of(transcript, "")
    with torch.no_grad():
        batch = normalise(crops)[None]
        encoded, mask = model.encode(batch, [len(crops)], [max(len(crops), required_frames(ids))])
        prefix = torch.tensor([[EOS, *ids]])
        written = model.decoder(prefix, encoded, mask).argmax(dim=-1)[0]
    return written[: len(ids)].tolist()  # type: ignore[no-any-return]


def ours(reader: ConformerInference, states: list[ConformerClipState]) -> list[list[int]]:
    found = reader.compute(states)
    assert all(isinstance(one, Evidence) for one in found), found
    return [one.array("forced_ids").tolist() for one in found if isinstance(one, Evidence)]


def gflop(model: ConformerModel, crops: Tensor, transcript: str) -> float:
    """Multiplications and additions of all convolutions and linear layers for one clip, counted by running it."""
    products = 0

    def count(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal products
        assert isinstance(layer.weight, Tensor)
        products += output.numel() * layer.weight[0].numel()

    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, kinds)]
    original_step_by_step(crops, transcript, model)
    for hook in hooks:
        hook.remove()
    return 2 * products / 1e9


def seconds_of(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def main() -> None:
    parser = argparse.ArgumentParser(description="The Conformer against a plain implementation of the original script.")
    parser.add_argument("--frames", type=int, nargs="+", default=FRAMES, help="of each clip")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5, help="the best counts")
    parser.add_argument(
        "--free", action="store_true", help="also read freely; untrained, it never ends a sentence early"
    )
    parser.add_argument("--processor-time", action="store_true", help="on a busy machine; for one thread")
    options = parser.parse_args()
    clock: Callable[[], float] = time.process_time if options.processor_time else time.perf_counter
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = ConformerModel().eval().requires_grad_(False)
    cpu = torch.device("cpu")
    reader, free = (ConformerInference(model, VIEWS["lrs2-112"], cpu, free=free) for free in (False, True))
    packed = ConformerInference(copy.deepcopy(model), VIEWS["lrs2-112"], cpu, free=False, packed=True)
    states = []
    for number, frames in enumerate(options.frames):
        video, transcript = make_clip(frames, number)
        states.append(reader.start_clip(Clip(str(number), transcript=transcript)))
        states[-1].update(ClipChunk(video))
    clips = [(state.crops, state.transcript) for state in states]

    theirs = [original_step_by_step(crops, transcript, model) for crops, transcript in clips]  # also warms both up
    total = sum(map(len, theirs))
    for mine in (ours(reader, states), ours(packed, states)):
        same = sum(a == b for one, other in zip(theirs, mine, strict=True) for a, b in zip(one, other, strict=True))
        assert same == total, f"{total - same} of {total} characters differ"

    eye, encoder = FusedFrontend(model.visual_frontend), JoinedEncoder(model.encoder)
    features = eye([crops for crops, _ in clips])
    work: dict[str, Callable[[], object]] = {
        "original, clip by clip": lambda: [original_step_by_step(*clip, model) for clip in clips],
        "tlbench, all at once": lambda: ours(reader, states),
        "tlbench, packed": lambda: ours(packed, states),
        "tlbench, clip by clip": lambda: [ours(reader, [state]) for state in states],
        "  of it, visual front end": lambda: eye([crops for crops, _ in clips]),
        "  of it, encoder": lambda: encoder(features),
    }
    if options.free:
        work["tlbench, and free reading"] = functools.partial(free.compute, states)
    seconds = dict.fromkeys(work, float("inf"))
    for _ in range(options.repeats):  # in turn, so that a busy moment of the machine does not hit one alone
        for name, run in work.items():
            seconds[name] = min(seconds[name], seconds_of(run, clock))

    frames = sum(options.frames)
    work_gflop = sum(gflop(model, *clip) for clip in clips)
    peak = packed_peak_gflops(clock)
    print(
        f"{len(clips)} clips, {frames} frames, {total} characters, all equal; {options.threads} threads, "
        f"best of {options.repeats}; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(f"{work_gflop:.0f} GFLOP under the true prefix; oneDNN's peak {peak:.0f} GFLOP/s")
    baseline = seconds["original, clip by clip"]
    for name, taken in seconds.items():
        whole = not name.startswith(" ") and "free" not in name
        share = f"{100 * work_gflop / taken / peak:4.0f} % of the peak" if whole else ""
        times = f"{baseline / taken:5.2f} times" if whole else " " * 11
        print(f"{name:26} {taken:6.2f} s  {1e3 * taken / frames:5.1f} ms a frame  {times}  {share}".rstrip())


if __name__ == "__main__":
    main()
