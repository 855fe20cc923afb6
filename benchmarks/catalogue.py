"""The benchmarks of speed and memory: what each compares, how it is called, and which figures of its output count."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

GRID = "{grid}"  # in arguments: the folder of GRID that the user gives


@dataclass(frozen=True)
class Figure:
    """One figure of a benchmark's output for the table.

    Attributes
    ----------
    label : str
        What was done, in words.
    pattern : str
        Regular expression with the figure as its group; of several matches the first counts.
    text : str
        How the figure is shown: ``{}`` times the speed.
    """

    label: str
    pattern: str
    text: str = "{} times"

    def is_in(self, output: str) -> bool:
        """Whether an output has the figure."""
        return re.search(self.pattern, output, re.MULTILINE) is not None

    def of(self, output: str) -> str:
        """The figure in an output, as shown. Raises ValueError if it is not there."""
        found = re.search(self.pattern, output, re.MULTILINE)
        if found is None:
            raise ValueError(f"no {self.label!r} in the output: nothing fits {self.pattern!r}")
        return self.text.format(found[1])


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: ``python -m benchmarks.<module>`` with arguments.

    Attributes
    ----------
    name : str
        For ``--only``.
    title : str
    about : str
        What is compared with what, and what a reader must know of the figures; Markdown.
    module : str
    arguments : tuple of str
    figures : tuple of Figure
    takes_before : bool
        Whether it can also run another version of tlbench, of a checkout.
    """

    name: str
    title: str
    about: str
    module: str
    arguments: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    takes_before: bool = False

    def command(self, grid: str = "GRID", before: str = "") -> list[str]:
        """The words after ``python``, with the folder of GRID and, if there is one, of another version."""
        words = [word.replace(GRID, grid) for word in self.arguments]
        more = ["--before", before] if before and self.takes_before else []
        return ["-m", f"benchmarks.{self.module}", *words, *more]

    @property
    def needs_grid(self) -> bool:
        return GRID in self.arguments


BENCHMARKS = (
    Benchmark(
        "visual",
        "PSNR and SSIM",
        "From the files of both videos to the numbers, on the clips of the tests (160x160). The baseline "
        "follows the original's `visual_quality.py`: `cv2.VideoCapture`, crop, scikit-image's SSIM. Nearly "
        "half of what is left is decoding both videos and reading their headers, a third is SSIM. `tlbench score` "
        "divides clips among processes of one thread each, which is the row with processes.",
        "visual",
        ("--repeats", "9"),
        (
            Figure("PSNR and SSIM of faces, files to numbers", r"^ours, face  .* median +([\d.]+) x"),
            Figure("the same, a process for each core", r"^ours, face, \d+ processes .* median +([\d.]+) x"),
            Figure("the same with the mouth", r"^ours, face \+ mouth  .* median +([\d.]+) x"),
        ),
    ),
    Benchmark(
        "decoding",
        "Decoding and crops",
        "What the original's scripts decode and write to feed their metrics, JPEG files included, against the"
        " views that observers take here. Results of AMD are from before the `paper` view's files had the quantisers"
        " of FFmpeg 5.1, for which each file is read again (`python -m benchmarks.jpeg_files CLIP`).",
        "decoding",
        (),
        (
            Figure("faces and SyncNet's frames, `sound`", r"^ours: faces, SyncNet sound .*?([\d.]+) x"),
            Figure("faces and both of SyncNet's views", r"^ours: faces, SyncNet paper \+ sound .*?([\d.]+) x"),
        ),
    ),
    Benchmark(
        "mel",
        "Mel spectrograms",
        "Wav2Lip's front end, which TalkLip's generator hears with, against its own steps with librosa.",
        "mel",
        (),
        (Figure("mel spectrogram of 3 s of sound", r"^ +3 s of sound, ours .*?: +([\d.]+) x"),),
    ),
    Benchmark(
        "s3fd",
        "S3FD",
        "The published face detector's network from frames to maps. Nine tenths of its time are in "
        "convolutions, which oneDNN computes for both.",
        "s3fd",
        ("--threads", "1", "--repeats", "3"),
        (Figure("S3FD, 360x288, one thread", r"^ours .*?: +([\d.]+) x"),),
    ),
    Benchmark(
        "syncnet",
        "SyncNet",
        "From the video file to LSE. The baseline follows `SyncNetInstance_calc_scores.py`. The share of the "
        "peak counts convolutions as published (the first layer needs fewer products). Results of AMD are from before "
        "the `paper` view's files had the quantisers of FFmpeg 5.1.",
        "syncnet",
        ("--repeats", "3"),
        (
            Figure("SyncNet, files to LSE, `paper`", r"^tlbench, paper .*?([\d.]+) times"),
            Figure("SyncNet, both views, for twice the work", r"^tlbench, both views .*?([\d.]+) times"),
        ),
    ),
    Benchmark(
        "mvm",
        "MVM",
        "A clip and its mirror image, as the original classifies words.",
        "mvm",
        (),
        (
            Figure("MVM, torch's product", r"^tlbench .*?([\d.]+) times"),
            Figure("the same with packed weights", r"^tlbench, packed .*?([\d.]+) times"),
        ),
    ),
    Benchmark(
        "conformer",
        "Conformer",
        "Teacher-forced reading of five clips, all characters equal.",
        "conformer",
        ("--repeats", "3"),
        (
            Figure("Conformer, five clips, torch's product", r"^tlbench, all at once .*?([\d.]+) times"),
            Figure("the same with packed weights", r"^tlbench, packed .*?([\d.]+) times"),
        ),
    ),
    Benchmark(
        "avhubert",
        "AV-HuBERT",
        "Beam search with 50 hypotheses. The baseline completes all hypotheses; tlbench needs only the best "
        "one, and stops when no other can become better. In this benchmark all have full length, so stopping "
        "early saves nothing.",
        "avhubert",
        ("--sizes", "base", "--utterances", "1", "--repeats", "2"),
        (
            Figure("AV-HuBERT base, beam 50, 40 frames, torch's product", r"^ +tlbench  .*?([\d.]+) times"),
            Figure("the same with packed weights", r"^ +tlbench, packed .*?([\d.]+) times"),
        ),
    ),
    Benchmark(
        "matrix_products",
        "The matrix product",
        "torch multiplies linear layers with MKL, which packs the weights anew for every product, and on AMD's "
        "processors uses half of the vector width. Lip readers on a CPU can multiply with weights that were packed"
        " once for oneDNN instead. `--matrix-product auto` takes what a table says for the processor, its "
        "instructions and the release of torch (`tlbench/observing/matrix_products.csv`); processors that nobody "
        "has measured keep torch's. The two differ by rounding, so the choice is part of the key of evidence and "
        "stands in a result's provenance. To add a processor, run this benchmark on it and put the row that it "
        "prints into the table. AMD's and Intel's processors with AVX-512 gain, Intel's limited to AVX2 nothing; "
        "ARM's were not measured. MVM gains by its last convolutions only. The table's "
        "figures are those of the run in which a row was measured; another run on a shared machine may give a "
        "tenth or two less of both. With a torch that is older than a row, torch's own product stays. What it "
        "gained is in [how lip readers became faster](speed-of-readers.md).",
        "matrix_products",
        ("--repeats", "12"),
        (
            Figure("torch's product, geometric mean", r"^geometric mean: torch (\d+)", "{} GFLOP/s"),
            Figure("packed for oneDNN, geometric mean", r"^geometric mean: .*onednn (\d+)", "{} GFLOP/s"),
        ),
    ),
    Benchmark(
        "generate",
        "Generation",
        "TalkLip's videos by the original's loop, one clip at a time, against `tlbench generate`. At the peak "
        "the network's products alone would take three fifths of our time. Results of AMD are of two clips, with the "
        "loop's network loaded before and ours within the time.",
        "generate",
        (),
        (Figure("generation", r"^median speed-up ([\d.]+)"),),
    ),
    Benchmark(
        "train_reference",
        "A training step",
        "The original's step against tlbench's on the same batch. On the Intel Xeon, convolutions take three quarters "
        "of a step (torch's profiler) and run at the peak of its matrix product, so that with nothing else to do a "
        "step would be 1.6 times as fast as the original's. Channels-last memory, which miniatures use, gives 7 % "
        "there; the published size keeps the default, because a step could no longer be held to the original's.",
        "train_reference",
        (),
        (Figure("training step", r": ([\d.]+) times the steps"),),
    ),
    Benchmark(
        "cold_run",
        "A first run of score",
        "The whole of `tlbench score` on 20 GRID clips with the observers that are bundled for GRID, with an "
        "empty cache and one worker, by where its processor time goes. Its baseline is another version of "
        "tlbench, in a checkout that `--before` names.",
        "cold_run",
        ("--data-root", GRID),
        (Figure("20 GRID clips, empty cache", r"^this version +([\d.]+) s of processors", "{} s of processor time"),),
        takes_before=True,
    ),
    Benchmark(
        "four_scripts",
        "The whole of score against the original's four scripts",
        "From files to WER1, WER2, LSE, PSNR and SSIM. The baseline is four processes one after another, each of which "
        "imports, loads its network and decodes every video for itself, with the original's steps of the benchmarks "
        "above. Networks have the published sizes and random weights. AV-HuBERT's searches take the greatest length in "
        "both, so stopping early saves nothing. Eight clips are one batch, which is computed in one process of two "
        "threads as it comes, too.",
        "four_scripts",
        ("--sizes", "base", "large", "--clips", "8"),
        (
            Figure("the four scripts, AV-HuBERT base", r"(?s)^AV-HuBERT base.*?torch's product .*?([\d.]+) times"),
            Figure("the same with packed weights", r"(?s)^AV-HuBERT base.*?onednn's product .*?([\d.]+) times"),
            Figure("the same as it comes", r"(?s)^AV-HuBERT base.*?as it comes .*?([\d.]+) times"),
            Figure("the four scripts, AV-HuBERT large", r"(?s)^AV-HuBERT large.*?torch's product .*?([\d.]+) times"),
            Figure("the same with packed weights", r"(?s)^AV-HuBERT large.*?onednn's product .*?([\d.]+) times"),
            Figure("the same as it comes", r"(?s)^AV-HuBERT large.*?as it comes .*?([\d.]+) times"),
            Figure(
                "the same: peak of resident memory", r"(?s)^AV-HuBERT large.*?onednn's product .*? (\d+) MiB", "{} MiB"
            ),
        ),
    ),
    Benchmark(
        "second_run",
        "A second run of score",
        "The same folder again: all evidence is in the cache, neither torch nor a worker starts. The baseline"
        " is the import of torch alone, which every run waited for.",
        "second_run",
        ("--data-root", GRID),
        (
            Figure("second run, 20 clips", r"^ *20 clips, .* second run +([\d.]+) s", "{} s"),
            Figure("second run, 98 clips", r"^ *98 clips, .* second run +([\d.]+) s", "{} s"),
        ),
    ),
    Benchmark(
        "checks_cost",
        "The checks of score",
        "The same run with and without the checks of input files, in one process.",
        "checks_cost",
        ("--repeats", "3"),
        (Figure("a run with its checks over one without", r"^nothing kept: .*: ([\d.]+) times"),),
    ),
    Benchmark(
        "memory",
        "Memory",
        "Peak of the resident memory of `tlbench score` and all its processes, over clips and workers. "
        "Workers are started anew (`spawn`), never forked. Pages that processes share are counted for each.",
        "memory",
        ("--clips", "100", "--grid", GRID),
        (
            Figure("98 GRID clips, all bundled observers, one worker", r"^ *98 GRID.* 1 worker: peak +(\d+)", "{} MiB"),
            Figure("the same, two workers", r"^ *98 GRID.* 2 workers: peak +(\d+)", "{} MiB"),
        ),
    ),
    Benchmark(
        "columns",
        "Columns about pictures",
        "Sharpness, LMD, LPIPS and CSIM on the frames that PSNR and SSIM are computed of, decoded once, one thread, "
        "256x256 pixels. The baseline is PSNR and SSIM of the whole frame. CSIM embeds two faces a frame here, as for "
        "the first system that is compared with a real video; the next ones embed one. On a busy machine the times of "
        "processors are the steadier ones.",
        "column_costs",
        ("--threads", "1", "--only", "clip_c256", "--repeats", "1"),
        (
            Figure("LMD by the mesh, over PSNR and SSIM", r"^lmd, mesh .* ([\d.]+) x", "{} times the time"),
            Figure("LPIPS, over PSNR and SSIM", r"^lpips, whole frame .* ([\d.]+) x", "{} times the time"),
        ),
    ),
    Benchmark(
        "face_network",
        "The network of CSIM",
        "dlib's face ResNet by torch, 16 faces a pass, on the same faces as dlib's own call, which is the baseline. "
        "Processor time of one thread.",
        "face_network",
        ("--repeats", "3"),
        (Figure("dlib's face network, by torch", r"^by torch .* ([\d.]+) x"),),
    ),
    Benchmark(
        "column_networks",
        "The networks of the columns",
        "Inception, I3D, both networks of CSIM and AlexNet at their published sizes on one thread, as a run calls "
        "them, against oneDNN's product of two square matrices.",
        "column_networks",
        (),
        (
            Figure("Inception-v3 of FID, one thread", r"^FID: .* (\d+) % of the peak", "{} % of the peak"),
            Figure("I3D of FVD, one thread", r"^FVD: .* (\d+) % of the peak", "{} % of the peak"),
            Figure("dlib's network of CSIM, one thread", r"^CSIM: .* (\d+) % of the peak", "{} % of the peak"),
        ),
    ),
    Benchmark(
        "columns_of_avatars",
        "All columns of a paper in one run",
        "`tlbench score --metrics paper-avatar` from files to the result, one worker and an empty cache, on clips of "
        "256x256 pixels and 75 frames. The baseline is a run of PSNR and SSIM alone. Networks whose checkpoint is not "
        "given have weights at random, which do not change their time. A real video is decoded once, for what compares "
        "it with the generated one and for its own features in the real set, which the next system finds in the cache. "
        "98 clips are enough for FID and FVD.",
        "columns",
        ("--grid", GRID, "--clips", "98", "--repeats", "1"),
        (
            Figure(
                "all columns, over PSNR and SSIM", r"^all columns take ([\d.]+) times", "{} times the processor time"
            ),
            Figure("the same: peak of resident memory", r"^all columns: .* peak (\d+) MiB", "{} MiB"),
        ),
    ),
)


def chosen(names: Sequence[str]) -> list[Benchmark]:
    """The benchmarks with these names, in the catalogue's order, all if there is none. Raises ValueError."""
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    for name in names:
        if name not in known:
            raise ValueError(f"no benchmark {name!r}; there are {', '.join(known)}")
    return [benchmark for benchmark in BENCHMARKS if not names or benchmark.name in names]
