"""Hostile checkpoints, packages, arrays and training states through the commands that read them."""

from __future__ import annotations

import io
import os
import random
import shutil
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from tests.factories.media_factory import tone, write_clip
from tests.trouble.hostile_archives import HOSTILE as ARCHIVES
from tests.trouble.hostile_archives import TRACE, Trap
from tests.trouble.hostile_packages import HOSTILE as PACKAGES
from tests.trouble.media_cases import Verdict
from tests.trouble.warm_children import MeasuredOutcome, WarmChildren, warm_children
from tlbench.checkpoints.catalogue import find_card
from tlbench.talklip.checkpoint import write_official
from tlbench.talklip.generator import TINY, TalkLip

SECONDS = 90.0  # wall time of a command, on a machine that does much else
PROCESSOR_SECONDS = 75.0  # 60 for unpickling, and the work of a whole checkpoint
FRAMES = 22
# Of the process, beyond what the file may need: four times its size and 256 MB. What a network and a clip take.
WORK_BYTES = 512 * 10**6
NETWORKS = {"syncnet-grid": "lse_c", "avhubert-grid": "wer1", "conformer-synthetic": "wer2"}
GENERATOR = "talklip-gc-synthetic"


def hostile_checkpoints(folder: Path, cases: int, seed: int) -> Iterator[Verdict]:
    """Try ``cases`` hostile files; ``folder`` is empty and gets all of them.

    A case is right if the command does what it does with the whole file: some changed bytes belong to nothing that is
    read. It falls short with another number, if foreign code was run, and if it takes more memory or time than allowed.
    """
    _make_world(folder)
    with warm_children(folder) as children:
        usual = {name: children.run(_verify(name, _bundled(name)), seconds=SECONDS) for name in NETWORKS}
        assert all(outcome.code == 0 for outcome in usual.values()), usual
        for number in range(cases):
            rng = random.Random(f"{seed}/{number}")  # a case is the same however many come before it
            place = folder / f"case{number:04d}"
            place.mkdir()
            yield _tried(children, place, rng, usual)
            shutil.rmtree(place)


def _tried(children: WarmChildren, place: Path, rng: random.Random, usual: dict[str, MeasuredOutcome]) -> Verdict:
    kind = rng.choices(["package", "archive", "array", "state"], [8, 8, 1, 2])[0]
    if kind == "array":
        words, what, read = _array(place, rng)
    elif kind == "state":
        words, what, read = _state(place, rng)
    else:
        words, what, read = (_package if kind == "package" else _archive)(place, rng)
    outcome = children.run(words, seconds=SECONDS)
    name = f"{place.name} {what} ({' '.join(str(word) for word in words[:2])})"
    label = f"checkpoints: {kind}, {what.partition(':')[0]}"
    why = _cost(outcome, read) or outcome.fell_short
    trace = place.parent / TRACE
    if trace.exists():
        why = "foreign code was run"
        shutil.rmtree(trace, ignore_errors=True)
    if why:
        return Verdict(label, name, "fell short", why)
    errors = [line for line in outcome.stderr.splitlines() if line.startswith("error:")]
    if outcome.code == 2:
        end = "one line" if len(errors) == 1 else "fell short"
        return Verdict(label, name, end, "" if end == "one line" else f"{len(errors)} lines of errors")
    if outcome.code == 1:
        # A decoder of three positions is no damage, but it reads clips of three frames only.
        said = kind == "array" or any(code in outcome.stdout for code in ("not-finite", "too-long"))
        end = "finding" if said else "fell short"
        return Verdict(label, name, end, "" if said else f"exit code 1: {outcome.stdout[-200:]!r}")
    same = _numbers_of(outcome) in [_numbers_of(one) for one in usual.values()] if words[1] == "verify" else True
    harmless = kind != "package" or "flipped" in what or words[1] == "verify"
    end = "right" if same and harmless else "fell short"
    return Verdict(label, name, end, "" if end == "right" else "exit code 0, as if the file were right")


def _cost(outcome: MeasuredOutcome, read: Path) -> str:
    """Why a command cost too much, or an empty text."""
    files = [read] if read.is_file() else [path for path in read.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    allowed = 4 * size + 256 * 10**6 + WORK_BYTES
    if outcome.peak_bytes > allowed or "not enough memory" in outcome.stderr:
        return f"{outcome.peak_bytes / 1e6:,.0f} MB of memory, allowed are {allowed / 1e6:,.0f}"
    if outcome.processor_seconds > PROCESSOR_SECONDS:
        return f"{outcome.processor_seconds:.0f} s of processor time"
    return ""


def _numbers_of(outcome: MeasuredOutcome) -> str:
    return outcome.stdout.partition("self-test passed: ")[2]


def _bundled(name: str) -> Path:
    package = find_card(name).package
    assert package is not None
    return package


def _verify(name: str, path: Path) -> list[str | Path]:
    return ["checkpoints", "verify", name, "--file", path]


def _make_world(folder: Path) -> None:
    """A clip, real and generated, with boxes and a transcript; and a whole tiny generator."""
    for place in ("real", "generated", "boxes"):
        (folder / place).mkdir()
    for place in ("real", "generated"):
        size = {"frames": FRAMES, "width": 160, "height": 160}
        write_clip(folder / place / "a.mp4", audio_codec="aac", samples=tone(FRAMES / 25), **size)
        (folder / place / "a.txt").write_text("BIN BLUE AT A ONE NOW\n")
    np.save(folder / "boxes" / "a.npy", np.array([[30, 20, 130, 150]] * FRAMES))
    torch.manual_seed(0)
    write_official(TalkLip(TINY), folder / "generator.pth", 0, 0, {})


def _generate(place: Path, checkpoint: Path) -> list[str | Path]:
    words: list[str | Path] = ["generate", "--generator", checkpoint, "--dataset", "folder"]
    return [*words, "--data-root", "real", "--boxes", "boxes", "--out", place / "made", "--cache", place / "cache"]


def _train(place: Path, *more: str | Path) -> list[str | Path]:
    words: list[str | Path] = ["train-reference", "--dataset", "folder", "--data-root", "real", "--boxes", "boxes"]
    (place / "list.txt").write_text("a\n")
    words += ["--train-list", place / "list.txt", "--val-list", place / "list.txt", "--variant", "base-no-lip-gan"]
    words += ["--batch-clips", "1", "--accelerator", "cpu", "--stage-steps", "1,0,0", "--num-workers", "0"]
    return [*words, "--out", place / "run", "--cache", place.parent / "cache", *more]


def _package(place: Path, rng: random.Random) -> tuple[list[str | Path], str, Path]:
    name = rng.choice([*NETWORKS, *NETWORKS, GENERATOR])
    package = place / "package"
    shutil.copytree(_bundled(name), package)
    kind = rng.choice(sorted(PACKAGES))
    what = f"{kind}: {name}, {PACKAGES[kind](package, rng)}"
    if name == GENERATOR:
        return _generate(place, package) if rng.random() < 0.7 else _train(place, "--init-from", package), what, package
    score: list[str | Path] = ["score", "generated", "--dataset", "folder", "--data-root", "real", "--boxes", "boxes"]
    score += ["--metrics", f"{NETWORKS[name]},psnr", "--weights", f"{name}={package}", "--out", place / "result"]
    score += ["--cache", place / "cache"]  # evidence is kept by what a package says it was made of
    return score if rng.random() < 0.5 else _verify(name, package), what, package


def _archive(place: Path, rng: random.Random) -> tuple[list[str | Path], str, Path]:
    path = place / "weights.pth"
    whole = torch.load(place.parent / "generator.pth", weights_only=True)["state_dict"]
    kind = rng.choice(sorted(ARCHIVES))
    what = f"{kind}: {ARCHIVES[kind](path, whole, rng)}"
    name = "avhubert" if kind == "fairseq" else rng.choice(["syncnet", "avhubert", "conformer", "mvm"])
    uses: list[list[str | Path]] = [
        _verify(name, path),
        ["checkpoints", "import", path, "--as", name, "--out", place / "package"],
    ]
    if kind != "fairseq":
        uses += [_generate(place, path), _train(place, "--init-from", path)]
    return rng.choice(uses), what, path


def _array(place: Path, rng: random.Random) -> tuple[list[str | Path], str, Path]:
    """Face boxes that are no boxes: headers that lie, objects, packed arrays."""
    (place / "boxes").mkdir()
    path = place / "boxes" / "a.npy"
    held = io.BytesIO()
    np.save(held, np.array([[30, 20, 130, 150]] * FRAMES))
    data = held.getvalue()
    what = rng.choice(["shape", "header", "objects", "packed", "cut", "numbers", "flipped"])
    if what == "shape":
        shape = rng.choice(["(10000000000, 4)", "(22, 4000000000000)", "(-1, 4)", "(22, 4, 0)", "(" * 5000])
        header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}".encode()
        data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + data[128:]
    elif what == "header":
        data = b"\x93NUMPY\x02\x00" + struct.pack("<I", rng.choice([2**32 - 1, 10**9, 0])) + data[10:]
    elif what == "objects":
        np.save(path, np.array([Trap(os.mkdir, TRACE)] * 4, dtype=object), allow_pickle=True)
        data = path.read_bytes()
    elif what == "packed":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("arr_0.npy", data + b"\0" * 100 * 2**20)
        data = packed.getvalue()
    elif what == "cut":
        data = data[: rng.randrange(len(data))]
    elif what == "numbers":
        rows = np.full((FRAMES, 4), rng.choice([np.inf, -np.inf, 1e300, 2.0**60]))
        np.save(path, rows)
        data = path.read_bytes()
    else:
        data = bytearray(data)
        for _ in range(5):
            data[rng.randrange(128)] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    words: list[str | Path] = ["score", "generated", "--dataset", "folder", "--data-root", "real", "--metrics", "psnr"]
    return [*words, "--boxes", place / "boxes", "--out", place / "result"], what, path


def _state(place: Path, rng: random.Random) -> tuple[list[str | Path], str, Path]:
    """A training state from somebody else."""
    words = _train(place, "--size", "tiny")
    path = place / "run" / "state.pt"
    path.parent.mkdir()
    kept = place.parent / "state.pt"
    if not kept.is_file():
        _write_state(kept, words, place)
    state = torch.load(kept, weights_only=True)
    what = rng.choice(["archive", "step", "stage", "optimiser", "settings", "weights", "missing", "not finite"])
    absurd = rng.choice([10**30, -5, "x", float("nan"), None, [], {}, torch.zeros(3), True])
    if what == "archive":
        kind = rng.choice(sorted(ARCHIVES.keys() - {"fairseq"}))
        return words, f"{kind}: {ARCHIVES[kind](path, state['generator'], rng)}", path
    if what == "step":
        state["at"][rng.choice(["step", "tries", "l1"])] = "x" if absurd is None else absurd
    elif what == "stage":
        state["stages"]["stage"] = absurd
    elif what == "optimiser":
        entry = {"step": torch.tensor(1.0), "exp_avg": torch.zeros(7), "exp_avg_sq": absurd}
        state["generator_optimiser"]["state"] = {rng.choice([0, 10**6, "x"]): entry}
    elif what == "settings":
        group = state["generator_optimiser"]["param_groups"][0]
        group[rng.choice(["params", "betas", "eps"])] = "x" if absurd is None else absurd
    elif what == "missing":
        del state[rng.choice(sorted(state))]
    else:
        name = rng.choice([name for name, one in state["generator"].items() if one.is_floating_point()])
        number = torch.nan if what == "not finite" else 0.0
        shape = state["generator"][name].shape if what == "not finite" else (3,)
        state["generator"][name] = torch.full(shape, number)
    torch.save(state, path)
    return words, f"{what}: {absurd!r:.20}", path


def _write_state(path: Path, words: list[str | Path], place: Path) -> None:
    """The state of a run that has not started."""
    outside = replace_out(words, place.parent / "whole run")
    with warm_children(place.parent) as children:
        stopped = children.run([*outside, "--max-time", "1e-9"], seconds=SECONDS)
    assert stopped.code == 1, stopped
    shutil.copy(place.parent / "whole run" / "state.pt", path)


def replace_out(words: list[str | Path], out: Path) -> list[str | Path]:
    """The same command with another output folder."""
    where = words.index("--out") + 1
    return [*words[:where], out, *words[where + 1 :]]
