"""Leaderboards of invented systems, filed as theirs would be, for tests of the site."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from tests.factories.leaderboard_factory import SYNCNET
from tlbench.leaderboard import build as leaderboard
from tlbench.leaderboard.submission import Figure, Published
from tlbench.leaderboard.submission_file import to_text
from tlbench.metrics.catalogue import find_metrics
from tlbench.metrics.protocol import Protocol
from tlbench.observing.clip_info import ClipInfo
from tlbench.observing.evidence import Evidence
from tlbench.scoring.aggregation import aggregate
from tlbench.scoring.record import RECORDS_NAME, ClipRecord, RecordWriter
from tlbench.scoring.result import FILE_NAME, Result, Role
from tlbench.statistics import IntervalSettings

READER = "ab12cd34ef56" + "0" * 52
METRICS = ("wer1/sound", "wer1/paper", "ver", "lse_c/sound", "lse_d/sound", "psnr", "ssim")
SENTENCES = (
    "the rain will reach the north by noon",
    "nobody had seen it",
    "place blue at f two now",
    "thank you very much indeed everybody",
    "yes",
)
# Names that a record may have and no page may run: ends of elements, quotes, brackets.
NASTY = "</script><script>document.title=1</script>\"><img src=x onerror=alert(1)>'{{7*7}}"


def records(name: str, wrong: float, count: int = 20, seed: int = 0) -> list[ClipRecord]:
    """Clips of which every word is misread with the probability ``wrong``."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        said = SENTENCES[i % len(SENTENCES)].split()
        read = ["bat" if rng.random() < wrong else word for word in said]
        evidence = {
            "avhubert": Evidence("avhubert", {"reference": " ".join(said), "hypothesis": " ".join(read)}),
            "syncnet": Evidence(
                "syncnet",
                {
                    "common_max_shift_frames": 15,
                    "common_lse_d": 6 + wrong + rng.normal(0, 0.3),
                    "common_lse_c": 8 - wrong + rng.normal(0, 1),
                },
            ),
            "pixels": Evidence(
                "pixels",
                {
                    "face_psnr_wrapped": rng.uniform(28, 36, 30),
                    "face_mse": rng.uniform(20, 90, 30),
                    "face_ssim": rng.uniform(0.7, 1.0, 30),
                },
            ),
        }
        hashes = (sha256(f"{name}{i}".encode()).hexdigest(), sha256(f"{i}".encode()).hexdigest())
        made.append(ClipRecord(ClipInfo(f"s{i % 4}/c{i:02d}", f"s{i % 4}", None, *hashes, frames=30), evidence))
    return made


def filed_run(
    folder: Path,
    name: str,
    wrong: float,
    *,
    role: Role = "system",
    boxes: str = "haar",
    metrics: Sequence[str] = METRICS,
    count: int = 20,
    seed: int = 0,
) -> Result:
    """Writes a run's ``result.json`` and ``records.jsonl``."""
    lines = records(name, wrong, count, seed)
    with RecordWriter(folder / RECORDS_NAME) as writer:
        for record in lines:
            writer.write(record)
    chosen = find_metrics(metrics)
    weights = {"avhubert": READER, "syncnet": SYNCNET, "pixels": None}
    protocols = {
        metric.key: Protocol.of(
            metric,
            dataset="grid",
            split="test",
            view="face@1",
            decoding="pyav-25fps@1",
            boxes=boxes,
            weights_sha256=weights[metric.observer],
        )
        for metric in chosen
    }
    result = aggregate(
        lines,
        chosen,
        protocols,
        name=name,
        dataset="grid",
        split="test",
        expected=count,
        role=role,
        provenance={
            "tlbench": "0.1.0",
            "platform": "<b>Linux</b>",
            "finished": "2026-11-29T12:00:00+00:00",
            "weights": {"avhubert": {"sha256": READER}, "syncnet": {"sha256": SYNCNET}},
        },
        interval=IntervalSettings(resamples=100),
    )
    result.write(folder / FILE_NAME)
    return result


def make_leaderboards(folder: Path) -> Path:
    """Computed systems of two protocols, a ceiling, published figures, and a name full of markup; returns the board."""
    board = folder / "boards"
    made: tuple[tuple[str, float, Role, str], ...] = (
        ("Reads well", 0.1, "system", "haar"),
        ("Reads as well", 0.12, "system", "haar"),
        (NASTY, 0.9, "system", "haar"),
        ("Other boxes", 0.3, "system", "given"),
        ("More other boxes", 0.8, "system", "given"),
        ("ground-truth", 0.02, "control", "haar"),
    )
    for place, (name, wrong, role, boxes) in enumerate(made):
        run = folder / f"run{place}"
        run.mkdir(parents=True)
        filed_run(run, name, wrong, role=role, boxes=boxes, seed=place)
        leaderboard.add(run, board, trained_with=() if role == "control" else ("syncnet",) if place == 1 else ("none",))
    for name, wer, psnr in (("Printed", 20.0, 31.0), ("Printed <i>too</i>", 40.0, 33.0)):
        figures = (Figure("wer1/paper", wer, "Table 1"), Figure("psnr/paper", psnr, "Table <1>"))
        published = Published(name, "grid", "system", "a-paper", "A <b>title</b>", "https://example.org/p", figures)
        (board / "grid" / f"{published.slug}.json").write_text(to_text(published), "utf-8")
    return board
