"""Peak memory of one worker with AV-HuBERT: weights from a file, then one clip read with beam 50.

    python -m benchmarks.avhubert_memory [--sizes base large] [--frames 75]

Each way is a process of its own: torch's product and packed weights, in float32 and bfloat16. The weights are random
and in the package format, which is read as the published files are. Linux only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.avhubert import SIZES as DECODERS
from benchmarks.avhubert import peak_resident_gib
from benchmarks.avhubert_encoder import SIZES
from tlbench.checkpoints.package import Package, write_package
from tlbench.datasets.clip import Clip
from tlbench.observers.avhubert.dims import Dims
from tlbench.observers.avhubert.inference import AVHubertClipState, AVHubertInference
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observers.avhubert.view import VIEWS
from tlbench.observing.evidence import Evidence

WAYS: dict[str, dict[str, bool]] = {
    "torch": {},
    "packed": {"packed": True},
    "bfloat16": {"half": True},
    "packed bfloat16": {"half": True, "packed": True},
}


def make_package(size: str, path: Path) -> None:
    layers, width, ffn, heads, prenorm = SIZES[size]
    decoder_layers, decoder_width, decoder_ffn, decoder_heads, _ = DECODERS[size]
    dims = Dims(
        encoder_layers=layers,
        encoder_width=width,
        encoder_ffn=ffn,
        encoder_heads=heads,
        encoder_prenorm=prenorm,
        decoder_layers=decoder_layers,
        decoder_width=decoder_width,
        decoder_ffn=decoder_ffn,
        decoder_heads=decoder_heads,
        vocabulary=1000,
        embedding_scale=False,
    )
    torch.manual_seed(0)
    symbols = ["<s>", "<pad>", "</s>", "<unk>", *(f"w{number}" for number in range(996))]
    config = {"dims": dims.to_json(), "dictionary": symbols}
    write_package(Package("avhubert", AVHubert(dims).state_dict(), config, {}, "random.pt", "0" * 64), path)


def read_one(path: Path, frames: int, way: str) -> float:
    """GiB at the peak of this process."""
    view = VIEWS["lrs2-center"]
    reader = AVHubertInference.load(path, view, "cpu", similarity=False, **WAYS[way])
    state = AVHubertClipState(Clip("noise", transcript="x"), None, view)
    state.generated.frames = frames
    state.generated._chunks = [np.random.RandomState(0).rand(frames, 88, 88).astype(np.float32)]
    (found,) = reader.compute([state])
    assert isinstance(found, Evidence), found
    return peak_resident_gib()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=["base", "large"])
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--package", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.package:
        print(read_one(options.package, options.frames, options.way))
        return
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / size
            make_package(size, path)
            gib = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 2**30
            print(f"{size}: files of {gib:.2f} GiB, one clip of {options.frames} frames")
            for way in WAYS:
                words = [sys.executable, "-m", "benchmarks.avhubert_memory", "--package", str(path), "--way", way]
                words += ["--frames", str(options.frames)]
                said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
                print(f"  {way:16} peak {float(said):.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
