"""The whole way of a reader: a published file, imported, scores real files, and says what the plain network says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.factories import fairseq_factory as fairseq
from tests.factories.media_factory import write_second
from tests.factories.warm_commands import run_command
from tests.golden.formula import fill
from tlbench.media.video_reader import FrameChunk, VideoReader
from tlbench.media.views import open_view
from tlbench.observers.avhubert.checkpoint import load
from tlbench.observers.avhubert.decode import BeamSettings, beam_search
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observers.avhubert.view import LRS2_CENTER
from tlbench.scoring.result_file import load_result

CLIPS = Path(__file__).parents[1] / "golden" / "clips"
IDS = {"6331559613336179781/00002": "clip_a", "6331559613336179781/00007": "clip_c"}


def write_published(path: Path) -> None:
    """A fairseq file of a small network with formula weights, of the sizes in ``fairseq_factory``."""
    tokenizer, symbols = fairseq.train_tokenizer()
    model = AVHubert(replace(fairseq.DIMS, vocabulary=len(symbols)))
    state = model.state_dict()
    fill(state)
    with torch.no_grad():  # an end that is likelier: sentences of several lengths
        state["decoder.embed_tokens.weight"] *= 3
    fairseq.write_checkpoint(path, state, fairseq.fine_tuned_config(), symbols, tokenizer, kind="dictconfig")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reading")
    for clip_id, source in IDS.items():
        for place, suffix in (("lrs2/main", ""), ("generated", "_pert")):
            target = folder / place / f"{clip_id}.mp4"
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = write_second if source == "clip_a" else shutil.copy
            copy(CLIPS / f"{source}{suffix}.mp4", target)
        shutil.copy(CLIPS / f"{source}.txt", folder / "lrs2" / "main" / f"{clip_id}.txt")
    (folder / "lrs2" / "test.txt").write_text("".join(f"{clip_id} NF\n" for clip_id in IDS))
    write_published(folder / "published.pt")
    return folder


def tlbench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    places = {
        "TLBENCH_CACHE": str(folder / f"cache-{len(words)}-{words[-1]}"),
        "TLBENCH_CHECKPOINTS": str(folder / "checkpoints"),
    }
    return run_command(words, folder, {**os.environ, **places, "COLUMNS": "120"})


SCORE = ("score", "generated", "--dataset", "lrs2", "--data-root", "lrs2", "--metrics", "wer1,cer1,ver")


def plainly_read(folder: Path, clip_id: str) -> str:
    """The same without an observer, a runner or an early stop: decode, crop, encode, search the whole beam."""
    model, dictionary = load(folder / "published.pt")
    whole = tuple(
        frame for run in VideoReader(folder / "generated" / f"{clip_id}.mp4", 0).frames() for frame in run.native
    )
    crops = open_view(LRS2_CENTER).apply(FrameChunk(0, whole))
    with torch.inference_mode():
        encoded = model.encode(torch.from_numpy(crops)[None, None], None, None)
        best = beam_search(model.decoder, encoded, torch.tensor([len(crops)]), BeamSettings())[0][0]
    return dictionary.text(best.tokens.tolist())


def hypotheses(folder: Path, out: str) -> dict[str, str]:
    records = (folder / out / "generated" / "records.jsonl").read_text().splitlines()
    found = {}
    for record in map(json.loads, records):
        found[record["id"]] = record["evidence"]["avhubert"]["values"]["hypothesis"]
    return found


@pytest.fixture(scope="module")
def scored(desk: Path) -> subprocess.CompletedProcess[str]:
    """The published file is imported, and reads the generated videos."""
    imported = tlbench(desk, "checkpoints", "import", "published.pt", "--as", "avhubert")
    assert imported.returncode == 0, imported.stderr
    return tlbench(desk, *SCORE, "--out", "imported")


def test_a_published_file_is_imported_and_reads_as_its_plain_network_does(
    desk: Path, scored: subprocess.CompletedProcess[str]
) -> None:
    assert scored.returncode == 0, scored.stderr
    assert "WER1" in scored.stdout
    read = hypotheses(desk, "imported")
    assert read == {clip_id: plainly_read(desk, clip_id) for clip_id in IDS}
    assert len(set(read.values())) == len(read)  # it is the clips that are read

    direct = tlbench(desk, *SCORE, "--weights", "avhubert=published.pt", "--out", "direct")
    assert direct.returncode == 0, direct.stderr
    one, other = (load_result(desk / out / "generated") for out in ("imported", "direct"))
    assert one.protocols["wer1/paper"].id == other.protocols["wer1/paper"].id
    assert [row.value for row in one.rows()] == [row.value for row in other.rows()]


@pytest.mark.slow
def test_another_view_warns_is_recorded_and_reads_something_else(desk: Path) -> None:
    boxes = desk / "boxes"
    for clip_id, source in IDS.items():
        (boxes / clip_id).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CLIPS / f"{source}.npy", boxes / f"{clip_id}.npy")
    framed = tlbench(
        desk,
        *SCORE,
        *("--weights", "avhubert=published.pt", "--view", "avhubert=face-framed", "--boxes", "boxes"),
        *("--contact-sheet", "sheet.png", "--trained-with", "talklip-expert", "--out", "framed"),
    )
    assert framed.returncode == 0, framed.stderr
    assert "was trained with" in framed.stderr
    assert "observer overlap" in framed.stdout.replace("\n", " ")
    result = load_result(desk / "framed" / "generated")
    protocol = result.protocols["wer1/paper"]
    assert (protocol.view, protocol.boxes) == ("avhubert-face-framed@1", "given")
    assert result.trained_with == ("talklip-expert",)
    assert any("overlap" in remark for remark in result.remarks)
    assert (desk / "sheet.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--view", "avhubert=nose"), "there is no such view"),
        (("--view", "avhubert"), "OBSERVER=VIEW"),
        (("--view", "pixels=face"), "no metric of this run"),
        (("--weights", "avhubert=page.pt"), "web page"),
        (("--weights", "avhubert=cut.pt"), "cut short"),
    ],
)
def test_what_can_not_be_done_is_one_line(desk: Path, words: tuple[str, ...], said: str) -> None:
    (desk / "page.pt").write_text("<!doctype html><title>Sign in</title>")
    (desk / "cut.pt").write_bytes((desk / "published.pt").read_bytes()[:5000])
    weights = () if "--weights" in words else ("--weights", "avhubert=published.pt")
    done = tlbench(desk, *SCORE, *weights, *words, "--out", "bad")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_evidence_of_a_reader_is_complete(desk: Path, scored: subprocess.CompletedProcess[str]) -> None:
    assert scored.returncode == 0, scored.stderr
    record = json.loads((desk / "imported" / "generated" / "records.jsonl").read_text().splitlines()[0])
    values = record["evidence"]["avhubert"]["values"]
    assert set(values) == {"hypothesis", "reference", "tokens", "score"}
    assert np.isfinite(values["score"])
