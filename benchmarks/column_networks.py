"""Speed of the networks of FID, FVD, LPIPS and both CSIMs, as a share of the processor's peak in matrix products.

    python -m benchmarks.column_networks [--repeats 5]

Each network has its published size and weights at random, which do not change its time, and computes one pass as in a
run: on one thread, with as many pictures as a pass has, by the classes that the observers use (batch normalisation
fused, channels last). Operations are counted by torch's own counter, of the network as published. The baseline is
oneDNN's product of two square matrices, one of which is packed. Time is the processor's, since others may use the
machine; the networks and the baseline take turns, and the best counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peak import packed_peak_gflops
from tlbench.observers.i3d.inference import I3DInference
from tlbench.observers.i3d.model import I3DModel
from tlbench.observers.identity.arcface.dims import Dims as ArcFaceDims
from tlbench.observers.identity.arcface.embedding import FACES_A_PASS as ARCFACES_A_PASS
from tlbench.observers.identity.arcface.model import ArcFaceNetwork
from tlbench.observers.identity.embedding import FACES_A_PASS, passes_of
from tlbench.observers.identity.model import FaceNetwork
from tlbench.observers.inception.inference import FRAMES_A_PASS, InceptionInference
from tlbench.observers.inception.model import InceptionModel
from tlbench.observers.lpips.inference import PairDistance
from tlbench.observers.lpips.model import CHANNELS, AlexNetFeatures, LPIPSDistance
from tlbench.observing.fixed_passes import FixedPasses

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Pass:
    """One pass of a network.

    Attributes
    ----------
    network : str
    name : str
        With what a pass is of.
    frames : int
        Frames, faces or pairs of frames of a pass.
    gflop : float
        1e9 floating point operations of the pass.
    run : callable
        Computes it.
    """

    network: str
    name: str
    frames: int
    gflop: float
    run: Callable[[], object]


def gflop_of(network: nn.Module, *inputs: Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(*inputs)
    return counter.get_total_flops() / 1e9


def passes(device: torch.device = CPU) -> list[Pass]:
    """A pass of each network on the device. Its result is on the CPU, so it is done when the call returns."""
    found = []

    inception = InceptionModel().eval()
    pictures = torch.rand(FRAMES_A_PASS, 3, 299, 299)
    gflop = gflop_of(inception, pictures)
    features, pictures = InceptionInference(inception, str(device)).features, pictures.to(device)
    name = f"FID: Inception-v3, {FRAMES_A_PASS} frames"
    found.append(Pass("inception", name, FRAMES_A_PASS, gflop, lambda: features(pictures)))

    i3d = I3DModel().eval()
    window = torch.rand(3, i3d.dims.frames, 224, 224)
    gflop = gflop_of(i3d, window[None])
    logits, window = I3DInference(i3d, str(device)).logits, window.to(device)
    name = f"FVD: I3D, a window of {i3d.dims.frames} frames"
    found.append(Pass("i3d", name, i3d.dims.frames, gflop, lambda: logits(window)))

    arcface = ArcFaceNetwork(ArcFaceDims()).eval()
    faces = torch.rand(ARCFACES_A_PASS, 3, 112, 112)
    gflop, faces = gflop_of(arcface, faces), faces.to(device)
    by_arcface = FixedPasses(arcface, ARCFACES_A_PASS, arcface.dims.features, device, torch.channels_last)
    name = f"CSIM ArcFace: ResNet-50, {ARCFACES_A_PASS} faces"
    found.append(Pass("arcface", name, ARCFACES_A_PASS, gflop, lambda: by_arcface(faces)))

    dlib = FaceNetwork().eval()
    chips = torch.rand(FACES_A_PASS, 3, 150, 150)
    gflop, chips = gflop_of(dlib, chips), chips.to(device)
    by_dlib = passes_of(dlib, device, packed=device.type == "cpu")
    name = f"CSIM: dlib's ResNet, {FACES_A_PASS} faces"
    found.append(Pass("dlib", name, FACES_A_PASS, gflop, lambda: by_dlib(chips)))

    alexnet = AlexNetFeatures().eval()
    ones = {f"lin{number}": torch.ones(channels) for number, channels in enumerate(CHANNELS)}
    frames = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
    gflop = gflop_of(alexnet, torch.rand(2, 3, 256, 256))
    distance = PairDistance(LPIPSDistance(alexnet, ones).eval(), str(device))
    name = "LPIPS: AlexNet, two frames of 256x256"
    found.append(Pass("lpips", name, 1, gflop, lambda: distance.each([(frames[0], frames[1])])))
    return found


def took(run: Callable[[], object]) -> float:
    """Seconds of processors."""
    start = time.process_time()
    run()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    jobs = passes()
    peak, best = 0.0, dict.fromkeys((job.name for job in jobs), float("inf"))
    for job in jobs:
        job.run()  # memory, oneDNN's kernels
    for _ in range(repeats):
        peak = max(peak, packed_peak_gflops(time.process_time, repeats=3))
        for job in jobs:
            best[job.name] = min(best[job.name], took(job.run))
    print(f"one thread, best of {repeats}; oneDNN's peak {peak:.0f} GFLOP/s")
    for job in jobs:
        speed = job.gflop / best[job.name]
        print(
            f"{job.name:42s} {best[job.name] * 1000:7.1f} ms a pass of {job.gflop:6.2f} GFLOP: {speed:4.0f} GFLOP/s, "
            f"{100 * speed / peak:3.0f} % of the peak"
        )


if __name__ == "__main__":
    main()
