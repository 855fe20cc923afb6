"""auto_avsr's beam search against the steps of the original's search, and LipScore's share of the matrix peak.

    python -m benchmarks.autoavsr [--frames 40 100] [--clips 1 8] [--threads N] [--repeats N] [--lip-clips 10]

The baseline follows mpc001/auto_avsr at 182b628 (``espnet/nets/batch_beam_search.py``, ``decoder_layer.py``,
``ctc_prefix_score.py``), which searches one clip at a time: in every step, keys and values of the memory are made anew
for each of the 40 copies of it, and those of the whole prefix; the CTC scorer walks through the frames. Both search the
same encodings on the same weights (the formula's, published size), in turn, and must find the same best tokens; how
many of the other hypotheses are equal in order is printed, since in long searches some scores differ by rounding only.
With the formula's weights every hypothesis is as long as the clip has frames, the slowest case. The baseline is timed
on one clip; for several clips its time is taken as often as there are clips. Times are the processor's, because other
programs take turns with it.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.golden.autoavsr_inputs import video
from tests.golden.formula import fill
from tlbench.observers.autoavsr.ctc_prefix import NEVER
from tlbench.observers.autoavsr.decode import CTC_WEIGHT, Hypothesis, _Beam, _Settings, beam_search
from tlbench.observers.autoavsr.dims import PUBLISHED
from tlbench.observers.autoavsr.fast_model import ClipEncoder, decoder_parts
from tlbench.observers.autoavsr.model import AutoAVSRModel
from tlbench.observing.espnet_layers import Attention, DecoderBlock, positions
from tlbench.observing.incremental_decoder import SteppingDecoder
from tlbench.observing.pack_layers import pack_layers
from tlbench.observing.packed_linear import PackedLinear, can_pack

LIP_FRAMES = 75


class WalkedPrefixes:
    """CTC scores of prefixes as the original computes them: a walk through the frames for every candidate."""

    def __init__(self, logs: Tensor, end: int) -> None:
        frames = len(logs)
        self.logs, self.end = logs, end
        self.rows = torch.full((frames, 2, 1), NEVER)  # by frame: the last token there, a blank there
        self.rows[:, 1, 0] = logs[:, 0].cumsum(0)
        self.last = torch.full((1,), end)
        self.scores = torch.zeros(1)
        self.length = 0
        self.walked = self.rows[..., None]
        self.candidates = torch.zeros(1, 1, dtype=torch.int64)

    def gains(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        frames, (count, width) = len(self.logs), candidates.shape
        own = self.logs[:, candidates]  # (T, n, P)
        both = torch.stack([own, self.logs[:, :1, None].expand(frames, count, width)])  # (2, T, n, P)
        walked = torch.full((frames, 2, count, width), NEVER)
        if self.length == 0:
            walked[0, 0] = own[0]
        before = torch.logsumexp(self.rows, 1)  # (T, n)
        phi = before[..., None].repeat(1, 1, width)
        repeated = candidates.eq(self.last[:, None])
        phi = torch.where(repeated, self.rows[:, 1, :, None], phi)
        first = max(self.length, 1)
        for t in range(first, frames):
            rows = walked[t - 1]
            pairs = torch.stack([rows[0], phi[t - 1], rows[0], rows[1]]).view(2, 2, count, width)
            walked[t] = torch.logsumexp(pairs, 1) + both[:, t]
        sums = torch.cat([walked[first - 1 : first, 0], phi[first - 1 : -1] + own[first:]])
        scores = torch.logsumexp(sums, 0)
        scores = torch.where(candidates.eq(self.end), before[-1][:, None], scores)
        scores = scores.masked_fill(candidates.eq(0), NEVER)
        self.walked, self.candidates = walked, candidates
        return scores, scores - self.scores[:, None]

    def follow(self, parents: Tensor, tokens: Tensor, scores: Tensor) -> None:
        columns = self.candidates[parents].eq(tokens[:, None]).byte().argmax(1)
        self.rows = self.walked[:, :, parents, columns]
        self.last, self.scores = tokens, scores
        self.length += 1


class StepByStep:
    """The original's search of one clip."""

    def __init__(self, model: AutoAVSRModel, beam: int) -> None:
        self.model, self.beam = model, beam

    def search(self, encoded: Tensor, logs: Tensor) -> list[Hypothesis]:
        own = _Beam(0, len(encoded), logs, self.model.end, _Settings(self.beam, CTC_WEIGHT))
        own.prefixes = WalkedPrefixes(logs, self.model.end)  # type: ignore[assignment]
        caches: list[Tensor | None] = [None] * PUBLISHED.decoder_blocks
        step = 0
        while True:
            scores, caches = self._step(own.tokens, encoded.expand(len(own.tokens), -1, -1).contiguous(), caches)
            parents = own.advance(scores, step)
            if not len(parents):
                return own.results()
            caches = [None if cache is None else cache[parents] for cache in caches]
            step += 1

    def _step(self, tokens: Tensor, memory: Tensor, caches: list[Tensor | None]) -> tuple[Tensor, list[Tensor | None]]:
        """Log-probabilities of the next token, and each block's outputs at all places."""
        decoder, width = self.model.decoder, PUBLISHED.width
        x = decoder.embed(tokens) * width**0.5 + positions(torch.arange(tokens.shape[1]), width)
        everywhere = torch.ones(1, 1, memory.shape[1], dtype=torch.bool)
        known = torch.ones(1, 1, tokens.shape[1], dtype=torch.bool)
        made: list[Tensor | None] = []
        for block, cache in zip(decoder.decoders, caches, strict=True):
            assert isinstance(block, DecoderBlock)
            prefix = block.norm1(x)
            y = x[:, -1:] + block.self_attn(prefix[:, -1:], prefix, known)
            y = y + _attend(block.src_attn, block.norm2(y), memory, everywhere)
            y = y + block.feed_forward(block.norm3(y))
            x = y if cache is None else torch.cat([cache, y], dim=1)
            made.append(x)
        logits = decoder.output_layer(decoder.after_norm(x[:, -1]))
        return logits.log_softmax(dim=-1), made


def _attend(attention: Attention, queries: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
    found: Tensor = attention(queries, memory, mask)
    return found


def gflop_of_a_frame(model: AutoAVSRModel) -> float:
    """Multiplications and additions of front end, projection and encoder for one frame, counted by running them."""
    products = 0

    def count(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal products
        assert isinstance(layer.weight, Tensor)
        products += output.numel() * layer.weight[0].numel()

    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    hooks = [layer.register_forward_hook(count) for layer in model.modules() if isinstance(layer, kinds)]
    model.encode(torch.zeros(1, LIP_FRAMES, 1, 88, 88), torch.tensor([LIP_FRAMES]), apart=False)
    for hook in hooks:
        hook.remove()
    return 2 * products / 1e9 / LIP_FRAMES


def matrix_peak_gflops(size: int = 2048) -> float:
    """As :mod:`benchmarks.peak`, of the processor's time, by whichever product is faster: torch's or the packed one."""
    a, b = torch.rand(size, size), torch.rand(size, size)
    work: dict[str, Callable[[], object]] = {"torch": lambda: torch.mm(a, b)}
    if can_pack():
        packed = PackedLinear(b, None)
        work["packed"] = lambda: packed(a)
    return 2 * size**3 / min(best_of(work, 10).values()) / 1e9


def best_of(work: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The least processor seconds of each, run in turn, so that a busy moment of the machine does not hit one alone."""
    seconds = dict.fromkeys(work, float("inf"))
    for _ in range(repeats):
        for name, run in work.items():
            start = time.process_time()
            run()
            seconds[name] = min(seconds[name], time.process_time() - start)
    return seconds


def compare_searches(model: AutoAVSRModel, frames: int, clips: list[int], beam: int, repeats: int) -> None:
    encoder = ClipEncoder(model).eval()
    encoded = [encoder(torch.from_numpy(video(21 + number, 1, frames))[0, :, 0]) for number in range(max(clips))]
    logs = [model.ctc(features).log_softmax(-1) for features in encoded]
    steppers = {"torch": SteppingDecoder(decoder_parts(model.decoder))}
    if can_pack():
        steppers["packed"] = SteppingDecoder(decoder_parts(model.decoder), packed=True)
    theirs = StepByStep(model, beam)
    expected = [one.tokens.tolist() for one in theirs.search(encoded[0], logs[0])]
    work: dict[str, Callable[[], object]] = {"step by step": lambda: theirs.search(encoded[0], logs[0])}
    counts = {"step by step": 1}
    for product, stepper in steppers.items():
        found = beam_search(stepper, encoded[:1], logs[:1], beam)[0]
        same = sum(one.tokens.tolist() == other for one, other in zip(found, expected, strict=True))
        assert found[0].tokens.tolist() == expected[0], f"{product}: other tokens"
        print(f"T = {frames:3}  {product}: {same} of {len(expected)} hypotheses are equal in order, the best one too")
        for count in clips:
            name = f"{product}, {count} together"
            counts[name] = count
            work[name] = (
                lambda stepper=stepper, count=count: beam_search(  # type: ignore[misc]
                    stepper, encoded[:count], logs[:count], beam
                )
            )
    seconds = best_of(work, repeats)
    baseline = seconds["step by step"]
    for name, taken in seconds.items():
        each = taken / counts[name]
        print(f"T = {frames:3}  {name:20} {each:6.2f} s a clip  {baseline / each:5.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description="auto_avsr against the original's steps.")
    parser.add_argument("--frames", type=int, nargs="*", default=(40, 100), help="of a clip")
    parser.add_argument("--clips", type=int, nargs="+", default=(1, 8), help="searched together")
    parser.add_argument("--beam", type=int, default=40)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3, help="the best counts")
    parser.add_argument("--lip-clips", type=int, default=10, help=f"clips of {LIP_FRAMES} frames for LipScore; 0: none")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = AutoAVSRModel(PUBLISHED).eval().requires_grad_(False)
    fill(model.state_dict())
    with torch.inference_mode():
        for frames in options.frames:
            compare_searches(model, frames, options.clips, options.beam, options.repeats)
        if options.lip_clips:
            of_frame = gflop_of_a_frame(model)
            encoder = ClipEncoder(model).eval()
            if can_pack():
                pack_layers(encoder)
            crops = torch.randn(LIP_FRAMES, 88, 88)
            taken = best_of({"": lambda: [encoder(crops) for _ in range(options.lip_clips)]}, options.repeats)[""]
            peak = matrix_peak_gflops()
            rate = options.lip_clips * LIP_FRAMES * of_frame / taken
            print(
                f"LipScore: {1e3 * taken / options.lip_clips / LIP_FRAMES:.1f} ms a frame of each video, "
                f"{of_frame:.2f} GFLOP a frame, {rate:.0f} GFLOP/s, {100 * rate / peak:.0f} % of the matrix peak"
            )
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{options.threads} threads, best of {options.repeats}; peak memory {peak_gib:.1f} GiB with the baseline")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
