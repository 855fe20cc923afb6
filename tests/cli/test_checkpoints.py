"""``tlbench checkpoints`` as a person or a script meets it: what is printed where, and the exit code."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.factories.fairseq_factory import LETTERS, fine_tuned_config, fine_tuned_state, write_checkpoint
from tests.factories.media_factory import write_clip
from tests.factories.observer_weights import formula_weights
from tests.factories.server_factory import only_loopback, serving
from tlbench import verify as verifying
from tlbench.checkpoints import catalogue as known
from tlbench.checkpoints.catalogue import known_cards
from tlbench.checkpoints.package import read_package
from tlbench.checkpoints.weights import Weights
from tlbench.cli.main import main
from tlbench.verify import GroundTruthCheck, HalfEffect, OriginalDifference

CONTENT = b"not a real checkpoint, but whole"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


class Desk:
    """A folder to work in, with a checkpoint folder and a cache of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: object) -> Said:
        self._monkeypatch.setattr(sys, "argv", ["tlbench", "checkpoints", *map(str, words)])
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            with pytest.raises(SystemExit) as ended:
                main()
        captured = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, captured.out, captured.err)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    monkeypatch.setenv("TLBENCH_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("TLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formula_weights("avhubert", tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The cards' files come from this machine: ``syncnet`` right, ``conformer`` without a hash, ``mvm`` a web page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html>Sign in</html>" if self.path == "/mvm" else CONTENT
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    cards = {card.name: card for card in known_cards()}
    only_loopback(monkeypatch)
    with serving(Handler) as base:
        for name in ("syncnet", "conformer", "mvm"):
            cards[name] = replace(cards[name], url=f"{base}/{name}")
        cards["syncnet"] = replace(cards["syncnet"], sha256=hashlib.sha256(CONTENT).hexdigest())
        monkeypatch.setattr(known, "known_cards", lambda: list(cards.values()))
        yield


def test_the_list_has_one_line_for_each_checkpoint(desk: Desk) -> None:
    said = desk("list")
    assert said.code == 0
    assert said.err == f"details: tlbench checkpoints list NAME; files are looked for in {desk.checkpoints}\n"
    for line, card in zip(said.out.splitlines(), known_cards(), strict=True):
        name, _, rest = line.partition(" ")
        place, title = re.split(r"  +", rest.strip(), maxsplit=1)
        assert (name, title) == (card.name, card.title)
        assert place == ("not here" if card.package is None else "bundled")


def test_by_name_all_that_a_user_must_know_is_said(desk: Desk) -> None:
    said = desk("list", *(card.name for card in known_cards()))
    assert (said.code, said.err) == (0, "")
    for card in known_cards():
        place = "not here" if card.package is None else "bundled"
        block = f"\n{said.out}".partition(f"\n{card.name}  [{place}]\n")[2].partition("\n\n")[0]
        for fact in (card.title, card.trained_on, card.licence, card.url, card.file):
            assert fact in block, card.name
    assert "published of ground truth: lrs2_wer1 23.82" in said.out
    assert desk("list", "sincnet").err.startswith("error: no checkpoint is called 'sincnet'; did you mean 'syncnet'?")


def test_the_list_says_what_is_here_and_in_which_form(desk: Desk, tiny: Path) -> None:
    desk.checkpoints.mkdir()
    (desk.checkpoints / "syncnet_v2.model").write_bytes(b"x")
    (desk.checkpoints / "avhubert").symlink_to(tiny)
    said = desk("list", "syncnet", "avhubert")
    assert "syncnet  [here, as the published file]" in said.out
    assert "avhubert  [here, as a package]" in said.out
    items = {item["name"]: item for item in json.loads(desk("list", "--json").out)}
    assert items["syncnet"]["here"] == str(desk.checkpoints / "syncnet_v2.model")
    assert items["conformer"]["here"] is None
    assert items["syncnet"]["sha256"].startswith("961e8696")
    assert (items["avhubert"]["used_unnamed"], items["talklip-expert"]["used_unnamed"]) == (True, False)


def test_the_list_needs_no_torch(desk: Desk) -> None:
    code = (
        "import sys\nfrom tlbench.cli.main import main\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules, file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, "checkpoints", "list"]
    done = subprocess.run(words, capture_output=True, text=True, env=dict(os.environ), check=True)
    assert done.stderr.splitlines()[-1] == "False"


def test_what_is_fetched_is_where_it_is_found_and_the_licence_is_shown_first(desk: Desk, served: None) -> None:
    said = desk("fetch", "syncnet", "conformer")
    assert said.code == 0, said.err
    assert said.out.splitlines() == [str(desk.checkpoints / name) for name in ("syncnet_v2.model", "conformer_lrs2.pt")]
    assert said.err.count("licence: ") == 2
    listed = desk("list", "syncnet", "conformer").out
    assert "syncnet  [here" in listed
    assert f"conformer_lrs2.pt, sha256 {hashlib.sha256(CONTENT).hexdigest()[:12]} (first seen here)" in listed


def test_a_web_page_is_exit_code_2_and_one_line(desk: Desk, monkeypatch: pytest.MonkeyPatch, served: None) -> None:
    said = desk("fetch", "mvm", "--out", desk.folder / "else")
    assert said.code == 2
    assert said.out == ""
    assert said.err.splitlines()[-1].startswith("error: checkpoint 'mvm'")
    assert "web page" in said.err
    assert not list((desk.folder / "else").iterdir())


def test_an_unknown_name_is_told_before_anything_is_fetched(desk: Desk, served: None) -> None:
    said = desk("fetch", "syncnet", "confomer")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: no checkpoint is called 'confomer'; did you mean 'conformer'?")
    assert not desk.checkpoints.exists()


@pytest.fixture
def fairseq(desk: Desk) -> Path:
    """A fairseq file of a network with a decoder, by its sizes."""
    path = desk.folder / "avhubert_large_lrs2.pt"
    write_checkpoint(path, fine_tuned_state(len(LETTERS)), fine_tuned_config(), LETTERS, None)
    return path


def test_an_import_says_what_it_is_and_puts_it_where_it_is_found(desk: Desk, fairseq: Path) -> None:
    said = desk("import", fairseq, "--as", "avhubert")
    assert said.code == 0, said.err
    assert said.out.splitlines() == [str(desk.checkpoints / "avhubert")]
    sha256 = hashlib.sha256(fairseq.read_bytes()).hexdigest()
    assert f"made of avhubert_large_lrs2.pt, sha256 {sha256}" in said.err
    assert "encoder_layers 2, encoder_width 16" in said.err
    assert f"dictionary: {len(LETTERS)} entries" in said.err
    assert read_package(desk.checkpoints / "avhubert").source_sha256 == sha256
    assert "avhubert  [here, as a package]" in desk("list", "avhubert").out
    again = desk("import", fairseq, "--as", "avhubert")
    assert again.code == 2
    assert "exists already" in again.err
    elsewhere = desk("import", fairseq, "--as", "talklip-expert", "--out", desk.folder / "mine")
    assert elsewhere.out.splitlines() == [str(desk.folder / "mine")]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"<!DOCTYPE html>", "avhubert", "web page"),
        (b"", "avhubert", "empty"),
        (b"PK\x03\x04 cut short", "avhubert", "x.pt"),
        (None, "avhubert", "x.pt: can't be read"),
        (b"x", "syncnet", "not a checkpoint"),
        (b"x", "talklip-g", "no observer uses it"),
        (b"x", "autoavsr-grid", "'autoavsr-grid' is bundled with tlbench, so no file is imported as it (--as)"),
        (b"x", "avhubrt", "did you mean 'avhubert'?"),
    ],
)
def test_what_can_not_be_imported_is_one_line_and_leaves_nothing(
    desk: Desk, content: bytes | None, name: str, message: str
) -> None:
    if content is not None:
        (desk.folder / "x.pt").write_bytes(content)
    said = desk("import", "x.pt", "--as", name)
    assert (said.code, said.out) == (2, "")
    (line,) = said.err.splitlines()
    assert message in line
    assert not desk.checkpoints.exists()


def test_verify_runs_the_self_test_and_names_the_file(desk: Desk, tiny: Path) -> None:
    said = desk("verify", "avhubert", "--file", tiny)
    assert said.code == 0, said.err
    assert f"avhubert: {tiny}" in said.out
    assert "no published hash to compare with" in said.out
    assert "self-test passed: " in said.out


def test_verify_says_what_half_precision_reads_differently(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "weights_of", lambda card, path: Weights(card, desk.folder / "x.pt", "0" * 64))
    monkeypatch.setattr(verifying, "self_test", lambda weights: "score 1.0")
    effect = HalfEffect(clips=8, differing=2, symbols=90, edits=3)
    monkeypatch.setattr(verifying, "half_precision_check", lambda *_, **__: effect)
    said = desk("verify", "avhubert", "--compare-bf16")
    assert said.code == 0, said.err
    assert "half precision: 2 of 8 clips read differently, 3 of 90 symbols" in said.out


def test_half_precision_is_counted_on_a_data_set_that_nothing_was_published_for(
    desk: Desk, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "self_test", lambda weights: "score 1.0")
    effect = HalfEffect(clips=8, differing=0, symbols=90, edits=0)
    monkeypatch.setattr(verifying, "half_precision_check", lambda *_, **__: effect)
    words = ("verify", "avhubert", "--file", tiny, "--dataset", "grid", "--data-root", "x")
    assert desk(*words, "--compare-bf16").code == 0
    said = desk(*words)
    assert said.code == 2
    assert "no published value of ground truth on 'grid'" in said.err


def test_verify_compares_with_what_was_published_and_says_so_by_its_exit_code(desk: Desk, tiny: Path) -> None:
    root = desk.folder / "lrs2"
    for number, sentence in enumerate(("HELLO", "GOOD MORNING TO YOU", "IT IS LATE")):
        video = root / "main" / f"{number}" / "00001.mp4"
        video.parent.mkdir(parents=True)
        write_clip(video, frames=6 + 2 * number, width=160, height=160)
        video.with_suffix(".txt").write_text(f"Text:  {sentence}\n")
    (root / "test.txt").write_text("0/00001\n1/00001\n2/00001\n")
    said = desk("verify", "avhubert", "--file", tiny, "--dataset", "lrs2", "--data-root", root, "--limit", 2)
    assert said.code == 1, said.err
    assert "wer1/paper of ground truth, 2 of 2 clips: " in said.out
    assert said.out.rstrip().endswith("published 23.82: NOT in the interval")


@pytest.mark.parametrize(("published", "scored", "code"), [(24.0, 4, 0), (23.0, 4, 1), (24.0, 3, 1)])
def test_only_a_published_value_in_the_interval_of_all_clips_is_exit_code_0(
    desk: Desk, tiny: Path, monkeypatch: pytest.MonkeyPatch, published: float, scored: int, code: int
) -> None:
    found = GroundTruthCheck("wer1/paper", 24.5, 23.5, 25.5, published, scored, 4)
    monkeypatch.setattr(verifying, "self_test", lambda weights: "score 1.0")
    monkeypatch.setattr(verifying, "published_check", lambda *_, **__: [found])
    said = desk("verify", "avhubert", "--file", tiny, "--dataset", "lrs2", "--data-root", "x")
    assert said.code == code
    assert f"wer1/paper of ground truth, {scored} of 4 clips: 24.50 [23.50, 25.50], published" in said.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mvm",), "is not here; download https://"),
        (("mvm", "--data-root", "lrw"), "--data-root lrw: of which data set? pass --dataset too"),
        (("x.pt",), "say which checkpoint it should be: verify NAME --file x.pt"),
        (("nvm",), "did you mean 'mvm'?"),
        (("syncnet", "--file", "x.pt"), "x.pt"),
    ],
)
def test_what_can_not_be_verified_is_exit_code_2_and_one_line(desk: Desk, words: tuple[str, ...], message: str) -> None:
    (desk.folder / "x.pt").write_bytes(b"no checkpoint")
    said = desk("verify", *words)
    assert said.code == 2
    assert message in said.err.splitlines()[-1]
    assert said.err.splitlines()[-1].startswith("error: ")


def test_a_file_that_is_not_the_published_one_is_exit_code_1_however_well_it_works(desk: Desk) -> None:
    said = desk("verify", "syncnet", "--file", formula_weights("syncnet", desk.folder))
    assert said.code == 1
    assert "NOT the published file" in said.out
    assert "self-test passed" in said.out
    assert "instead of the published 961e8696f888" in said.err


def test_verify_prints_what_the_original_says_otherwise(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "weights_of", lambda card, path: Weights(card, desk.folder / "x.pt", "0" * 64))
    monkeypatch.setattr(verifying, "self_test", lambda weights: "score 1.0")
    found = [
        OriginalDifference("a", "score", "-0.5", "-0.5", 1e-8, True),
        OriginalDifference("a", "tokens", "[5, 2]", "[6, 2]", None, False),
    ]
    monkeypatch.setattr(verifying, "original_check", lambda *_, **__: found)
    said = desk("verify", "avhubert", "--against", "original")
    assert said.code == 1
    assert "clip a, tokens: original [5, 2], ours [6, 2]" in said.out
    assert "against the original, score: equal in 1 of 1 clip, largest difference 1.0e-08" in said.out
    assert "against the original, tokens: equal in 0 of 1 clip" in said.out


def test_a_folder_of_original_code_is_for_the_comparison(desk: Desk) -> None:
    said = desk("verify", "avhubert", "--original-code", "x")
    assert said.code == 2
    assert "--original-code x: for what? pass --against original too" in said.err
