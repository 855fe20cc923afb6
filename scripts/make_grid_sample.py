"""Writes the clips of the data set grid-sample, small enough to be bundled.

    python scripts/make_grid_sample.py GRID OUT

GRID is the folder of the corpus. OUT, ``tlbench/datasets/bundled`` for a distribution that bundles them, gets
``s1/<clip>.mp4`` (H.264 at CRF 22, AAC mono at 16 kHz), ``s1/<clip>.align`` and ``s1/NOTICE.txt``.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tlbench.datasets.grid_sample import SAMPLE
from tlbench.media.audio import read_whole_audio
from tlbench.media.video_reader import read_video
from tlbench.media.video_writer import write_video

CRF = 22
MOST_BYTES = 1_500_000
NOTICE = """Twelve clips of the GRID audiovisual sentence corpus: M. Cooke, J. Barker, S. Cunningham, X. Shao, "An
audio-visual corpus for speech perception and automatic speech recognition", J. Acoust. Soc. Am. 120(5), 2006.
Published at https://zenodo.org/records/3625687 under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/).
Changed: encoded again (H.264, CRF 22; AAC, mono, 16 kHz). The alignments are unchanged.
"""


def main(grid: Path, out: Path) -> int:
    """Write the clips; returns their bytes. Raises SystemExit if they are too large to be bundled."""
    (out / "s1").mkdir(parents=True, exist_ok=True)
    for clip in SAMPLE:
        [source] = [path for path in grid.glob(f"{clip}.*") if path.suffix in (".mpg", ".mp4")]
        write_video(out / f"{clip}.mp4", read_video(source), samples=read_whole_audio(source), crf=CRF)
        alignments = (folder / f"{clip}.align" for folder in (grid, grid / "alignments"))
        shutil.copyfile(next(path for path in alignments if path.is_file()), out / f"{clip}.align")
    (out / "s1" / "NOTICE.txt").write_text(NOTICE, "utf-8")
    size = sum(path.stat().st_size for path in (out / "s1").iterdir())
    if size > MOST_BYTES:
        raise SystemExit(f"{out}: {size:,} bytes are more than {MOST_BYTES:,}")
    return size


if __name__ == "__main__":
    print(f"{main(Path(sys.argv[1]), Path(sys.argv[2])):,} bytes")
