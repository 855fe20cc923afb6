"""Speed of generation, compared with a loop over clips as in the original's script.

    python -m benchmarks.generate [--size published] [--clips 4] [--frames 50] [--threads N] [--repeats 3]
        [--precision fp32]

The baseline takes the steps of Sxjdwang/TalkLip's ``inf_test.py``: decode a whole clip, crop all faces into one array
of floats, run the network on all of them, resize each face and copy it into a float copy of its frame, write an MPEG-4
avi with OpenCV, then decode that and encode it as H.264 with the audio into an mp4. Both use the same files, boxes and
random weights of a local generator, load the generator once, and write finished videos, which are compared. Beside
them: what the network's products alone would take at the matrix peak measured in the same run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.peak import packed_peak_gflops
from tlbench.datasets.options import DataOptions
from tlbench.generation.generate_dataset import generate_dataset
from tlbench.generation.generator import GenerateOptions
from tlbench.media.audio import read_audio
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video
from tlbench.talklip.checkpoint import load_generator, write_official
from tlbench.talklip.generator import SIDE, SIZES, TalkLip

WIDTH = HEIGHT = 160
BOX = (32, 32, 128, 140)


def make_clips(folder: Path, clips: int, frames: int) -> None:
    """Videos of moving stripes with noise as audio, and boxes; the content does not change the time."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    for number in range(clips):
        pictures = [
            np.stack([128 + 100 * np.sin((rows + 2 * columns) / 17 + shift / 3 + phase) for phase in range(3)], -1)
            for shift in range(frames)
        ]
        sound = (3000 * rng.standard_normal(frames * 640)).astype(np.int16)
        (folder / "videos").mkdir(exist_ok=True)
        (folder / "boxes").mkdir(exist_ok=True)
        write_video(folder / "videos" / f"{number}.mp4", (p.astype(np.uint8) for p in pictures), samples=sound)
        np.save(folder / "boxes" / f"{number}.npy", np.tile(BOX, (frames, 1)))


def write_generator(size: str, path: Path) -> None:
    """A generator with random weights."""
    torch.manual_seed(0)
    network = TalkLip(SIZES[size])
    write_official(network, path, 0, 0, {})


def one_clip_at_a_time(checkpoint: Path, folder: Path, out: Path) -> None:
    """The original's steps."""
    out.mkdir()
    network = load_generator(checkpoint)
    for path in sorted((folder / "videos").glob("*.mp4")):
        capture = cv2.VideoCapture(str(path))
        frames = []
        while True:
            there, frame = capture.read()
            if not there:
                break
            frames.append(frame)
        images = np.array(frames)
        boxes = np.load(folder / "boxes" / f"{path.stem}.npy")
        samples = read_audio(path)
        faces = np.zeros((len(images), 96, 96, 3))
        identity = np.zeros((len(images), 96, 96, 3))
        for i, (x1, y1, x2, y2) in enumerate(boxes):
            faces[i] = cv2.resize(images[i, y1:y2, x1:x2], (96, 96))
            a1, b1, a2, b2 = boxes[0]
            identity[i] = cv2.resize(images[0, b1:b2, a1:a2], (96, 96))
        pose = torch.tensor(faces, dtype=torch.float32).div(255).permute(0, 3, 1, 2).clone()
        pose[:, :, 48:] = 0
        given = torch.cat([pose, torch.tensor(identity, dtype=torch.float32).div(255).permute(0, 3, 1, 2)], dim=1)
        mels = torch.from_numpy(network.audio_features(samples, len(images)))
        with torch.no_grad():
            made = network(mels, None, None, given)
        whole = torch.from_numpy(images).float()
        for i, (x1, y1, x2, y2) in enumerate(boxes):
            patch = torch.nn.functional.interpolate(made[i][None] * 255, (y2 - y1, x2 - x1), mode="bilinear")
            whole[i, y1:y2, x1:x2] = patch[0].permute(1, 2, 0)
        avi = out / "temporary.avi"
        writer = cv2.VideoWriter(str(avi), cv2.VideoWriter.fourcc(*"DIVX"), 25, (WIDTH, HEIGHT))
        for image in whole:
            writer.write(image.clone().numpy().astype(np.uint8))
        writer.release()
        mux_again(avi, samples, out / path.name)
        avi.unlink()


def mux_again(avi: Path, samples: np.ndarray, path: Path) -> None:
    """What ``ffmpeg -i sound -i avi out.mp4`` does."""
    with av.open(str(avi)) as source:
        pictures = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
    write_video(path, pictures, samples=samples, crf=23)


def gflop_per_frame(network: TalkLip) -> float:
    """Multiplications and additions of all convolutions for one face, counted by running it."""
    products = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal products
        transposed = isinstance(layer, nn.ConvTranspose2d)  # each input pixel enters k x k products
        assert isinstance(layer.weight, Tensor)
        products += (inputs[0] if transposed else output).numel() * layer.weight[0].numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 1, 80, 16), None, None, torch.zeros(1, 6, SIDE, SIDE))
    return 2 * products / 1e9


def seconds(job: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock time and CPU time of a job; the latter is more reliable on a shared machine."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - begin, time.process_time() - begin_cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="published", choices=SIZES)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"], help="of tlbench; the loop's is fp32")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    frames = given.clips * given.frames
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clips(folder, given.clips, given.frames)
        checkpoint = folder / "generator.pth"
        write_generator(given.size, checkpoint)
        ratios = []
        for repeat in range(given.repeats):
            plain, quick = folder / f"plain{repeat}", folder / f"quick{repeat}"
            before = seconds(partial(one_clip_at_a_time, checkpoint, folder, plain))
            data = DataOptions("folder", folder / "videos", boxes=folder / "boxes")
            how = GenerateOptions(device="cpu", precision=given.precision)
            after = seconds(partial(generate_dataset, checkpoint, quick, data, options=how))
            ratios.append([old / new for old, new in zip(before, after, strict=True)])
            print(
                f"one clip at a time {frames / before[0]:6.1f} frames/s, tlbench {frames / after[0]:6.1f}", flush=True
            )
        made, wanted = (read_video(folder / f"{whose}0" / "0.mp4").astype(int) for whose in ("quick", "plain"))
        wall, cpu = np.median(ratios, axis=0)
        print(f"median speed-up {wall:.2f}, in CPU time {cpu:.2f}; {given.size} size, {given.threads} threads")
        work, peak = gflop_per_frame(load_generator(checkpoint)), packed_peak_gflops(time.perf_counter)
        print(
            f"{work:.2f} GFLOP a frame; oneDNN's peak {peak:.0f} GFLOP/s: the network alone at most "
            f"{peak / work:.0f} frames/s in float32"
        )
        print(f"mean difference of the videos: {np.abs(made - wanted).mean():.2f} levels (including the avi's loss)")


if __name__ == "__main__":
    main()
