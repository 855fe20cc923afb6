"""The whole of `tlbench score` against the four scripts of the original, from files to WER1, WER2, LSE, PSNR and SSIM.

    python -m benchmarks.four_scripts [--sizes base large] [--clips 6] [--threads N] [--repeats 1]

The baseline is four processes one after another, as a user of Sxjdwang/TalkLip starts them: ``visual_quality.py``,
``SyncNetInstance_calc_scores.py``, AV-HuBERT's ``infer_s2s.py`` and ``teacher_force_wer.py``. Each imports what it
needs, loads its network and decodes every video for itself; what they do with a clip are the steps of the other
benchmarks (:mod:`~benchmarks.visual`, :mod:`~benchmarks.syncnet`, :mod:`~benchmarks.avhubert_encoder`,
:mod:`~benchmarks.avhubert`, :mod:`~benchmarks.conformer`). `tlbench score` runs in one process with either matrix
product, and "as it comes" (a single batch in one process, more clips by workers), with an empty cache, with its checks,
records and intervals, and without the blind rows and the probe of 20 real clips, which the scripts do not have
(`--no-probe`). Networks have the published sizes and random weights, so that nothing is read early to its end. Face
boxes are given to both. Both run by turns; processor time is that of all threads together, memory the most that was
resident at one time in the largest process.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

ROOT = Path(__file__).parents[1]
CLIPS = ROOT / "tests" / "golden" / "clips"
SOURCES = ("clip_a", "clip_b", "clip_c")
BATCH_FRAMES = 1000  # dataset.max_tokens of AV-HuBERT's configuration for reading, av_hubert conf/s2s_decode.yaml
WEIGHTS = {"syncnet": "syncnet_v2.model", "conformer": "conformer.pth"}


def make_clips(folder: Path, count: int) -> None:
    """Clips as the scripts take them (``flat``) and as LRS2 lies on disk, no two with the same coded pictures."""
    from tlbench.media.audio import read_audio
    from tlbench.media.video_reader import read_video
    from tlbench.media.video_writer import write_video

    flat, real, made, boxes = (folder / name for name in ("flat", "lrs2/main/00000", "made/00000", "boxes/00000"))
    for place in (flat, real, made, boxes):
        place.mkdir(parents=True)
    for number in range(count):
        source, name = SOURCES[number % len(SOURCES)], f"{number:05d}"
        for suffix, place in (("", real), ("_pert", made)):
            video = CLIPS / f"{source}{suffix}.mp4"
            write_video(place / f"{name}.mp4", read_video(video), samples=read_audio(video), crf=18 + number)
            (flat / f"{name}{suffix}.mp4").hardlink_to(place / f"{name}.mp4")
        shutil.copy(CLIPS / f"{source}.txt", real / f"{name}.txt")
        shutil.copy(CLIPS / f"{source}.npy", boxes / f"{name}.npy")
        (flat / f"{name}.txt").hardlink_to(real / f"{name}.txt")
        (flat / f"{name}.npy").hardlink_to(boxes / f"{name}.npy")
    listed = "".join(f"00000/{number:05d}\n" for number in range(count))
    (folder / "lrs2" / "test.txt").write_text(listed, encoding="utf-8")


def make_weights(folder: Path, size: str) -> None:
    """Checkpoints of SyncNet and the Conformer, and AV-HuBERT as a package, with random weights."""
    import torch

    from benchmarks.avhubert import make_decoder
    from benchmarks.avhubert_encoder import make_model
    from tlbench.checkpoints.package import Package, write_package
    from tlbench.observers.avhubert.model import AVHubert
    from tlbench.observers.conformer.model import ConformerModel
    from tlbench.observers.syncnet.model import SyncNetModel

    torch.manual_seed(0)
    torch.save(SyncNetModel().state_dict(), folder / WEIGHTS["syncnet"])
    torch.save(ConformerModel().state_dict(), folder / WEIGHTS["conformer"])
    encoder, decoder = make_model(size), make_decoder(size)
    dims = replace(
        encoder.dims,
        decoder_layers=len(decoder.layers),
        decoder_ffn=decoder.layers[0].fc1.out_features,
        vocabulary=len(decoder.output_weight),
    )
    state = {name: tensor for name, tensor in encoder.state_dict().items() if not name.startswith("decoder.")}
    state |= {f"decoder.{name}": tensor for name, tensor in decoder.state_dict().items()}
    AVHubert(dims).load_state_dict(state)
    symbols = ["<s>", "<pad>", "</s>", "<unk>", *(f"▁w{number}" for number in range(dims.vocabulary - 4))]
    config = {"dims": dims.to_json(), "dictionary": symbols}
    write_package(Package("avhubert", state, config, {}, f"{size}.pt", "0" * 64), folder / "avhubert")


def grey_frames(path: Path) -> list[np.ndarray]:
    """All frames as grey uint8, as the original's readers load a video."""
    import cv2

    from benchmarks.visual import read_all

    return [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in read_all(path)]


def watched(flat: Path) -> list[Path]:
    return sorted(flat.glob("*_pert.mp4"))


def visual_script(flat: Path, weights: Path) -> None:
    from benchmarks.visual import original_step_by_step

    for path in watched(flat):
        original_step_by_step(path.with_name(path.name.replace("_pert", "")))


def syncnet_script(flat: Path, weights: Path) -> None:
    import torch

    from benchmarks.syncnet import original_step_by_step
    from tlbench.observers.syncnet.model import SyncNetModel

    model = SyncNetModel().eval().requires_grad_(False)
    model.load_state_dict(torch.load(weights / WEIGHTS["syncnet"], weights_only=True))
    for path in watched(flat):
        original_step_by_step(path, model)


def avhubert_script(flat: Path, weights: Path) -> None:
    """Batches of at most 1,000 padded frames, the longest clips first."""
    import numpy as np
    import torch

    from benchmarks.avhubert import StepByStep
    from benchmarks.avhubert_encoder import original_step_by_step
    from tlbench.observers.avhubert.checkpoint import load

    model, _ = load(weights / "avhubert")
    model.eval().requires_grad_(False)
    crops = []
    for path in watched(flat):
        frames = np.stack(grey_frames(path))[:, 36:124, 36:124]  # the middle 88x88 of LRS2's 160x160
        crops.append(torch.from_numpy((frames / 255.0 - 0.421) / 0.165).float())
    crops.sort(key=len, reverse=True)
    search = StepByStep(model.decoder, 50)
    with torch.inference_mode():
        while crops:
            count = max(1, BATCH_FRAMES // len(crops[0]))
            encoded = [original_step_by_step(model, each[None, None])[0] for each in crops[:count]]
            lengths = torch.tensor([len(each) for each in encoded])
            search.search(torch.nn.utils.rnn.pad_sequence(encoded, batch_first=True), lengths)
            crops = crops[count:]


def conformer_script(flat: Path, weights: Path) -> None:
    import cv2
    import numpy as np
    import torch

    from benchmarks.conformer import original_step_by_step
    from tlbench.datasets.lrs2 import read_transcript
    from tlbench.observers.conformer.model import ConformerModel

    model = ConformerModel().eval().requires_grad_(False)
    model.load_state_dict(torch.load(weights / WEIGHTS["conformer"], weights_only=True))
    for path in watched(flat):
        crops = [cv2.resize(frame, (224, 224))[56:168, 56:168] for frame in grey_frames(path)]
        text = read_transcript(path.with_name(path.name.replace("_pert.mp4", ".txt")))
        assert text is not None
        shown: Tensor = torch.from_numpy(np.stack(crops))
        original_step_by_step(shown, text, model)


SCRIPT = {
    "visual": visual_script,
    "syncnet": syncnet_script,
    "avhubert": avhubert_script,
    "conformer": conformer_script,
}


@dataclass(frozen=True)
class Took:
    """What a process needed; ``resident`` is its peak in bytes, or that of the largest process that it started."""

    seconds: float
    processor_seconds: float
    resident: int


def run(words: list[str], folder: Path, threads: int) -> Took:
    """A process, which must not fail."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    began, log = time.monotonic(), folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, *words], cwd=folder, env=environment, stdout=output, stderr=output)
        _, status, used = os.wait4(process.pid, 0)  # the kernel's own figures: to look at memory meanwhile takes time
    took = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, log.read_text()[-2000:]
    return Took(took, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def score_words(chosen: list[str], number: int) -> list[str]:
    score = ["-c", "from tlbench.cli.main import main; main()", "score", "made", "--dataset", "lrs2"]
    score += ["--data-root", "lrs2", "--boxes", "boxes", "--no-probe", *chosen]
    score += ["--metrics", "wer1,wer2,lse_c,lse_d,psnr,ssim", "--weights", "avhubert=weights/avhubert"]
    for name, file in WEIGHTS.items():
        score += ["--weights", f"{name}=weights/{file}"]
    return [*score, "--cache", f"cache-{number}", "--out", f"results-{number}"]


def compare(size: str, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "weights").mkdir()
        # A process's peak begins with that of the one which starts it, so this one stays small.
        make = ["--folder", str(folder), "--make", size, "--clips", str(options.clips)]
        run(["-m", "benchmarks.four_scripts", *make], folder, options.threads)
        script = ["-m", "benchmarks.four_scripts", "--folder", str(folder), "--script"]
        taken: dict[str, list[Took]] = {f"script {one}": [] for one in SCRIPT}
        one_worker = ["--workers", "1", "--matrix-product"]
        ours = {f"tlbench score, {product}'s product": [*one_worker, product] for product in ("torch", "onednn")}
        ours["tlbench score, as it comes"] = []
        taken |= {said: [] for said in ours}
        number = 0
        for _ in range(options.repeats):
            for one in SCRIPT:
                taken[f"script {one}"].append(run([*script, one], folder, options.threads))
            for said, chosen in ours.items():
                number += 1
                taken[said].append(run(score_words(chosen, number), folder, options.threads))
    whole = [
        sum(parts, start=0.0) for parts in zip(*(seconds_of(taken[f"script {one}"]) for one in SCRIPT), strict=True)
    ]
    print(f"AV-HuBERT {size}, {options.clips} clips, {options.threads} threads, medians of {options.repeats}")
    for said, each in taken.items():
        print(
            f"  {said:32}{statistics.median(seconds_of(each)):8.1f} s {_processors(each):8.1f} s of processors "
            f"{max(one.resident for one in each) / 2**20:6.0f} MiB",
            end="",
        )
        ratios = [all_four / one.seconds for all_four, one in zip(whole, each, strict=True)]
        print(f"  {statistics.median(ratios):5.2f} times the four scripts" if said in ours else "")
    print(f"  {'the four scripts':32}{statistics.median(whole):8.1f} s")


def seconds_of(each: list[Took]) -> list[float]:
    return [one.seconds for one in each]


def _processors(each: list[Took]) -> float:
    return statistics.median(one.processor_seconds for one in each)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=["tiny", "base", "large"], default=["base"])
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=1, help="the medians count")
    parser.add_argument("--script", choices=list(SCRIPT), help=argparse.SUPPRESS)
    parser.add_argument("--make", choices=["tiny", "base", "large"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_clips(options.folder, options.clips)
        make_weights(options.folder / "weights", options.make)
        return
    if options.script:
        SCRIPT[options.script](options.folder / "flat", options.folder / "weights")
        return
    for size in options.sizes:
        compare(size, options)


if __name__ == "__main__":
    main()
