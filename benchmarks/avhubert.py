"""AV-HuBERT's beam search against a plain implementation of what the original does, step by step.

    python -m benchmarks.avhubert [--sizes base large] [--frames 40] [--beam 50] [--utterances 1 4] [--threads N]
                                  [--half] [--processor-time]

The baseline follows fairseq's generator and decoder: the encoder's output is copied for every hypothesis and, with the
self-attention's keys and values, re-ordered for every layer and step; keys and values of the video are made for every
hypothesis; caches grow by concatenation; every utterance's whole beam is computed from the first step to the last. Both
search the same encoded videos on the same weights (the formula's, made livelier), in batches of the same size, in turn,
and must find the same tokens, all hypotheses. Peak memory is that of a process of its own for each.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from benchmarks.peak import packed_peak_gflops
from tests.golden.formula import fill
from tlbench.observers.avhubert.decode import BeamSettings, Stepper, beam_search
from tlbench.observers.avhubert.decoder import EOS, PAD, Attention, Decoder
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.incremental_decoder import SteppingDecoder
from tlbench.observers.avhubert.packed_decoder import PackedDecoder

SIZES = {  # layers, width, feed-forward width and heads of the decoder; width of the encoder
    "tiny": (2, 64, 96, 2, 64),
    "base": (6, 768, 3072, 4, 768),
    "large": (9, 1024, 4096, 8, 1024),
}


def make_decoder(size: str) -> Decoder:
    """Formula weights, changed so that hypotheses differ; most end at the greatest length (the slowest case)."""
    layers, width, ffn, heads, source = SIZES[size]
    decoder = Decoder(
        Dims(
            encoder_layers=1,  # only the decoder is built
            encoder_width=source,
            encoder_ffn=1,
            encoder_heads=1,
            decoder_layers=layers,
            decoder_width=width,
            decoder_ffn=ffn,
            decoder_heads=heads,
            vocabulary=1000,
            embedding_scale=False,
        )
    )
    fill(decoder.state_dict())
    with torch.no_grad():
        decoder.embed_tokens.weight *= 2
        for name, tensor in decoder.named_parameters():
            if name.endswith(("out_proj.weight", "fc2.weight", "q_proj.weight")):
                tensor *= 8
    return decoder.eval().requires_grad_(False)


class StepByStep:
    """The original's search of one padded batch."""

    def __init__(self, decoder: Decoder, beam: int) -> None:
        self.decoder = decoder
        self.beam = beam

    def search(self, encoded: Tensor, lengths: Tensor) -> list[list[list[int]]]:
        """The tokens of all hypotheses of each utterance, the best first."""
        beam, utterances, longest = self.beam, len(encoded), encoded.shape[1]
        everyone = torch.arange(utterances).repeat_interleave(beam)
        source = encoded[everyone]
        padding = (torch.arange(longest) >= lengths[:, None])[everyone]
        caches: list[dict[str, Tensor]] = [{} for _ in self.decoder.layers]
        tokens = torch.full((utterances * beam, longest + 2), PAD)
        tokens[:, 0] = EOS
        scores = torch.zeros(utterances * beam, longest + 1)
        finished: list[list[tuple[float, list[int]]]] = [[] for _ in range(utterances)]
        active = list(range(utterances))
        order: Tensor | None = None
        for step in range(longest + 1):
            if order is not None:
                caches = [{name: reordered(name, cache, order) for name, cache in layer.items()} for layer in caches]
                source, padding = source[order], padding[order]
            found = torch.log_softmax(self.step(tokens[:, : step + 1], source, padding, caches), dim=1)
            found[:, PAD] = -math.inf
            if step >= longest:
                found[:, :EOS], found[:, EOS + 1 :] = -math.inf, -math.inf
            elif step < 1:
                found[:, EOS] = -math.inf
            found = found.view(len(active), beam, -1)
            vocabulary = found.shape[2]
            sums = scores.view(len(active), beam, -1)[:, :, step - 1 : step]
            found = found + sums if step else found[:, :1]
            best, places = found.flatten(1).topk(2 * beam)
            parents, words = places // vocabulary, places % vocabulary
            ends = words.eq(EOS) & best.ne(-math.inf)
            for row, rank in ends[:, :beam].nonzero().tolist():
                if len(finished[active[row]]) < beam:
                    whole = [*tokens[row * beam + parents[row, rank], 1 : step + 1].tolist(), EOS]
                    finished[active[row]].append((float(best[row, rank]) / (step + 1), whole))
            stay = [row for row, which in enumerate(active) if len(finished[which]) < beam and step < longest]
            if not stay:
                break
            going = (ends.long() * 2 * beam + torch.arange(2 * beam)).topk(beam, dim=1, largest=False).indices[stay]
            best, parents, words = (part[stay].gather(1, going) for part in (best, parents, words))
            order = (parents + torch.tensor(stay)[:, None] * beam).flatten()
            active = [active[row] for row in stay]
            tokens, scores = tokens[order], scores[order]
            tokens[:, step + 1], scores[:, step] = words.flatten(), best.flatten()
        return [[whole for _, whole in sorted(found, key=lambda pair: -pair[0])] for found in finished]

    def step(self, tokens: Tensor, source: Tensor, padding: Tensor, caches: list[dict[str, Tensor]]) -> Tensor:
        decoder = self.decoder
        x = decoder.embed_tokens(tokens[:, -1]) + decoder.embed_positions.rows()[tokens.shape[1] + 1]
        x = x[:, None]
        for layer, cache in zip(decoder.layers, caches, strict=True):
            y = layer.self_attn_layer_norm(x)
            own = {
                "k": split(layer.self_attn.k_proj(y), layer.self_attn),
                "v": split(layer.self_attn.v_proj(y), layer.self_attn),
            }
            for name, new in own.items():
                cache[name] = torch.cat([cache[name], new], dim=2) if name in cache else new
            x = x + attend(layer.self_attn, y, cache["k"], cache["v"], None)
            y = layer.encoder_attn_layer_norm(x)
            if "video_k" not in cache:
                cache["video_k"] = split(layer.encoder_attn.k_proj(source), layer.encoder_attn)
                cache["video_v"] = split(layer.encoder_attn.v_proj(source), layer.encoder_attn)
            x = x + attend(layer.encoder_attn, y, cache["video_k"], cache["video_v"], padding)
            x = x + layer.fc2(F.relu(layer.fc1(layer.final_layer_norm(x))))
        assert decoder.layer_norm is not None
        return F.linear(decoder.layer_norm(x[:, 0]), decoder.output_weight)


def reordered(name: str, cache: Tensor, order: Tensor) -> Tensor:
    """fairseq leaves the video's keys and values where they are as long as no utterance leaves the batch."""
    return cache if name.startswith("video") and len(cache) == len(order) else cache[order]


def split(x: Tensor, attention: Attention) -> Tensor:  # (R, L, C) -> (R, H, L, D)
    rows, length, _ = x.shape
    return x.view(rows, length, attention.heads, -1).transpose(1, 2).contiguous()


def attend(attention: Attention, x: Tensor, keys: Tensor, values: Tensor, padding: Tensor | None) -> Tensor:
    queries = split(attention.q_proj(x) * keys.shape[3] ** -0.5, attention)
    weights = queries @ keys.transpose(2, 3)
    if padding is not None:
        weights = weights.masked_fill(padding[:, None, None], -math.inf)
    seen: Tensor = attention.out_proj((weights.softmax(3) @ values).transpose(1, 2).flatten(2))
    return seen


ORIGINAL = "original, step by step"
STEPPERS: dict[str, Callable[[Decoder], Stepper[Any]]] = {
    "tlbench": SteppingDecoder,
    "tlbench, packed": PackedDecoder,
}
HALVES: dict[str, Callable[[Decoder], Stepper[Any]]] = {
    "tlbench, bfloat16": lambda decoder: SteppingDecoder(decoder, torch.bfloat16),
    "tlbench, packed bfloat16": lambda decoder: PackedDecoder(decoder, torch.bfloat16),
}


def work_of(
    name: str, decoder: Decoder, beam: int, encoded: Tensor, lengths: Tensor
) -> Callable[[], list[list[list[int]]]]:
    """One way to search; packing changes ``decoder``."""
    if name == ORIGINAL:
        return lambda: StepByStep(decoder, beam).search(encoded, lengths)
    stepper = {**STEPPERS, **HALVES}[name](decoder)
    settings = BeamSettings(beam=beam)
    counted = [encoded.shape[1]] * len(encoded)

    def ours() -> list[list[list[int]]]:
        found = beam_search(stepper, encoded, lengths, settings, counted=counted)
        return [[hypothesis.tokens.tolist() for hypothesis in one] for one in found]

    return ours


def gflop(size: str, rows: int, utterances: int, frames: int) -> float:
    """Multiplications and additions of the linear layers alone: what no implementation can save."""
    layers, width, ffn, _, source = SIZES[size]
    row = layers * (6 * width * width + 2 * width * ffn) + 1000 * width
    return 2 * (rows * row + utterances * frames * layers * 2 * source * width) / 1e9


def make_videos(size: str, utterances: int, frames: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    encoded = torch.randn(utterances, frames, SIZES[size][4], generator=draw)
    return encoded, torch.tensor([frames - 3 * number for number in range(utterances)])


def peak_resident_gib() -> float:
    """Of this process alone, on Linux. ``getrusage`` would give its parent's if that was larger when it was started."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 2**20


def peak_gib(size: str, name: str, utterances: int, frames: int, beam: int, threads: int) -> float:
    """Peak resident memory of a fresh process that loads the decoder and searches once; most is torch and weights."""
    words = [sys.executable, "-m", "benchmarks.avhubert", "--peak-of", name, "--sizes", size, "--beam", str(beam)]
    words += ["--frames", str(frames), "--utterances", str(utterances), "--threads", str(threads)]
    return float(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description="AV-HuBERT's beam search against the original's, step by step.")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["base", "large"])
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--beam", type=int, default=50)
    parser.add_argument("--utterances", type=int, nargs="+", default=[1, 4], help="in a batch")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3, help="the best counts")
    parser.add_argument("--half", action="store_true", help="in bfloat16 as well, which need not find the same tokens")
    parser.add_argument("--processor-time", action="store_true", help="on a busy machine; for one thread")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        if options.peak_of:
            (size,), (utterances,) = options.sizes, options.utterances
            videos = make_videos(size, utterances, options.frames)
            work_of(options.peak_of, make_decoder(size), options.beam, *videos)()
            print(json.dumps(peak_resident_gib()))
            return
        for size in options.sizes:
            decoder = make_decoder(size)
            for utterances in options.utterances:
                compare(size, decoder, utterances, options)


def compare(size: str, decoder: Decoder, utterances: int, options: argparse.Namespace) -> None:
    frames, beam, threads, repeats = options.frames, options.beam, options.threads, options.repeats
    clock: Callable[[], float] = time.process_time if options.processor_time else time.perf_counter
    names = [ORIGINAL, *STEPPERS, *(HALVES if options.half else ())]
    videos = make_videos(size, utterances, frames)
    work = {name: work_of(name, copy.deepcopy(decoder), beam, *videos) for name in names}
    best = dict.fromkeys(work, float("inf"))
    peak, found = 0.0, {}
    for _ in range(repeats):  # in turn, so that a busy moment of the machine does not hit one alone
        peak = max(peak, packed_peak_gflops(clock))
        for name, searching in work.items():
            start = clock()
            found[name] = searching()
            best[name] = min(best[name], clock() - start)
    baseline = found[ORIGINAL]
    print(
        f"{size}, {utterances} utterances of {frames} frames, beam {beam}, {threads} threads, best of {repeats}; "
        f"oneDNN's peak {peak:.0f} GFLOP/s"
    )
    for name, seconds in best.items():
        same = sum(
            a == b for one, other in zip(found[name], baseline, strict=True) for a, b in zip(one, other, strict=True)
        )
        firsts = sum(one[0] == other[0] for one, other in zip(found[name], baseline, strict=True))
        steps = max(len(whole) for one in found[name] for whole in one)
        rate = gflop(size, steps * beam * utterances, utterances, frames) / seconds
        memory = peak_gib(size, name, utterances, frames, beam, threads)
        print(
            f"  {name:25}{seconds / utterances:7.2f} s an utterance {best[ORIGINAL] / seconds:5.2f} times"
            f"  {rate:4.0f} GFLOP/s, {100 * rate / peak:.0f} % of the peak; {memory:.2f} GiB;"
            f" same tokens: {firsts} of {utterances} best, {same} of {sum(map(len, baseline))} hypotheses"
        )


if __name__ == "__main__":
    main()
