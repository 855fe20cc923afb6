"""AV-HuBERT's encoder, crops to features, against the original's steps.

    python -m benchmarks.avhubert_encoder [--sizes base large] [--frames 200] [--threads N] [--repeats N]

The baseline follows facebookresearch/av_hubert layer by layer: convolutions, batch normalisations and PReLUs one after
the other in torch's default memory format, the positional convolution's weight normalised at each call, attention by
``torch.nn.functional.multi_head_attention_forward``. Both start from the same normalised crops, on random weights, in
turn in one process. Also given: the share of each part of ours, the largest difference relative to the largest feature,
and the share of oneDNN's peak, which is measured in the same run.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from benchmarks.avhubert import SIZES as DECODERS
from benchmarks.peak import packed_peak_gflops
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.encoder import EncoderLayer, PositionalConvolution
from tlbench.observers.avhubert.fast_frontend import FusedFrontend
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observing.pack_layers import pack_layers

SIZES = {  # layers, width, feed-forward width, heads, norms first
    "tiny": (2, 64, 96, 2, False),
    "base": (12, 768, 3072, 12, False),
    "large": (24, 1024, 4096, 16, True),
}


def make_model(size: str) -> AVHubert:
    layers, width, ffn, heads, prenorm = SIZES[size]
    _, decoder_width, _, decoder_heads, _ = DECODERS[size]
    dims = Dims(
        encoder_layers=layers,
        encoder_width=width,
        encoder_ffn=ffn,
        encoder_heads=heads,
        encoder_prenorm=prenorm,
        decoder_layers=1,  # it is not used
        decoder_width=decoder_width,
        decoder_ffn=1,
        decoder_heads=decoder_heads,
        vocabulary=10,
        embedding_scale=False,
    )
    return AVHubert(dims).eval().requires_grad_(False)


def original_step_by_step(model: AVHubert, video: Tensor) -> Tensor:
    """(1, 1, T, 88, 88) to (1, T, C)."""
    network = model.encoder.w2v_model
    front = network.feature_extractor_video
    x = front.resnet.frontend3D(video)  # (1, 64, T, 22, 22)
    x = x.transpose(1, 2).flatten(0, 1).contiguous()
    x = front.proj(front.resnet.trunk(x))[None].transpose(1, 2)
    x = torch.cat([torch.zeros_like(x), x], dim=1).transpose(1, 2)
    assert network.post_extract_proj is not None
    x = network.post_extract_proj(network.layer_norm(x))
    encoder = network.encoder
    x = x + F.gelu(encoder.pos_conv(x.transpose(1, 2))).transpose(1, 2)
    if not encoder.prenorm:
        x = encoder.layer_norm(x)
    x = x.transpose(0, 1)
    for layer in encoder.layers:
        assert isinstance(layer, EncoderLayer)
        x = one_layer(layer, x)
    x = x.transpose(0, 1)
    features: Tensor = encoder.layer_norm(x) if encoder.prenorm else x
    return features


def one_layer(layer: EncoderLayer, x: Tensor) -> Tensor:
    """(T, 1, C) to the same."""
    y = attend(layer, layer.self_attn_layer_norm(x)) if layer.prenorm else attend(layer, x)
    x = x + y
    if not layer.prenorm:
        x = layer.self_attn_layer_norm(x)
    y = layer.final_layer_norm(x) if layer.prenorm else x
    x = x + layer.fc2(F.gelu(layer.fc1(y)))
    made: Tensor = x if layer.prenorm else layer.final_layer_norm(x)
    return made


def attend(layer: EncoderLayer, x: Tensor) -> Tensor:
    own = layer.self_attn
    biases = torch.cat([own.q_proj.bias, own.k_proj.bias, own.v_proj.bias])
    found, _ = F.multi_head_attention_forward(
        x,
        x,
        x,
        x.shape[2],
        own.heads,
        torch.empty(0),
        biases,
        None,
        None,
        False,
        0.0,
        own.out_proj.weight,
        own.out_proj.bias,
        training=False,
        need_weights=False,
        use_separate_proj_weight=True,
        q_proj_weight=own.q_proj.weight,
        k_proj_weight=own.k_proj.weight,
        v_proj_weight=own.v_proj.weight,
    )
    made: Tensor = found
    return made


def ours(model: AVHubert, *, packed: bool) -> tuple[FusedFrontend, AVHubert]:
    model = copy.deepcopy(model)
    network = model.encoder.w2v_model
    frontend = FusedFrontend(network.feature_extractor_video).eval().requires_grad_(False)
    network.encoder.fold()
    if packed:
        pack_layers(network)
        pack_layers(frontend)
    return frontend, model


def gflop(model: AVHubert, video: Tensor) -> float:
    """Multiplications and additions of all convolutions and linear layers, counted by running them once."""
    products = 0

    def count(layer: torch.nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal products
        weight = layer._normalised() if isinstance(layer, PositionalConvolution) else layer.weight
        assert isinstance(weight, Tensor)
        products += output.numel() * weight[0].numel()

    kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.Linear)
    layers = [layer for layer in model.encoder.modules() if isinstance(layer, kinds)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    model.encode(video, None, None)
    for hook in hooks:
        hook.remove()
    return 2 * products / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["base", "large"])
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3, help="the best counts")
    parser.add_argument("--processor-time", action="store_true", help="count it instead of time, on a busy machine")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    clock = time.process_time if options.processor_time else time.perf_counter
    with torch.inference_mode():
        for size in options.sizes:
            compare(size, options.frames, options.threads, options.repeats, clock)


def compare(size: str, frames: int, threads: int, repeats: int, clock: Callable[[], float]) -> None:
    model = make_model(size)
    video = torch.randn(1, 1, frames, 88, 88)
    (front, plain), (packed_front, packed) = (ours(model, packed=packed) for packed in (False, True))
    features = packed_front(video)
    work: dict[str, Callable[[], Tensor]] = {
        "original, step by step": lambda: original_step_by_step(model, video),
        "tlbench": lambda: plain.fuse(front(video), None, None),
        "tlbench, packed": lambda: packed.fuse(packed_front(video), None, None),
        "  of it, visual front end": lambda: packed_front(video),
        "  of it, transformer": lambda: packed.fuse(features, None, None),
    }
    best = dict.fromkeys(work, float("inf"))
    found: dict[str, Tensor] = {}
    peak = 0.0
    for _ in range(repeats):  # in turn, so that a busy moment of the machine does not hit one alone
        peak = max(peak, packed_peak_gflops(clock))
        for name, run in work.items():
            start = clock()
            found[name] = run()
            best[name] = min(best[name], clock() - start)
    total = gflop(model, video)
    theirs = found["original, step by step"]
    print(f"{size}, {frames} frames, {threads} threads, best of {repeats}; {total:.0f} GFLOP; peak {peak:.0f} GFLOP/s")
    for name, seconds in best.items():
        print(f"  {name:26}{seconds:7.3f} s  {best['original, step by step'] / seconds:5.2f} times", end="")
        if name.startswith(" "):
            print()
            continue
        off = float((found[name] - theirs).abs().max() / theirs.abs().max())
        print(f"  {100 * total / seconds / peak:3.0f} % of the peak, difference {off:.1e}")


if __name__ == "__main__":
    main()
