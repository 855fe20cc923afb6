"""Both parts of a synthetic corpus in one folder: what was changed is found and mended, sound and picture agree."""

from __future__ import annotations

import shutil
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

from tlbench import worker_processes
from tlbench.datasets.selection import load_dataset
from tlbench.datasets.synthetic import corpus as corpus_module
from tlbench.datasets.synthetic.clips import ClipKey, make_take
from tlbench.datasets.synthetic.corpus import Sizes, check_corpus, check_present, render_corpus
from tlbench.datasets.synthetic.grammar import MIDDLE_WORDS
from tlbench.datasets.synthetic.head import CY, Head
from tlbench.datasets.synthetic.person import make_person
from tlbench.datasets.synthetic.rng import StableRng
from tlbench.datasets.synthetic.scene import Scene
from tlbench.datasets.synthetic.speech import SAMPLE_RATE, SpeechSynthesizer
from tlbench.datasets.word_times import word_times
from tlbench.errors import TlbenchError
from tlbench.media.audio import read_audio

pytest.importorskip("espeakng_loader", reason="speech needs the extra 'demo'")

SIZES = Sizes(train=0, val=0, test=1, word_train=0, word_val=0, word_test=1)
SENTENCE = "main/test000/00001"
WORD = f"words/{MIDDLE_WORDS[0].upper()}/test/{MIDDLE_WORDS[0].upper()}_00001"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sentence and one word."""
    out = tmp_path_factory.mktemp("corpus") / "made"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_module, "MIDDLE_WORDS", MIDDLE_WORDS[:1])
        assert render_corpus(out, sizes=SIZES, workers=1) == 2
    return out


@pytest.fixture
def root(rendered: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(rendered, tmp_path / "copy"))


def test_a_word_clip_is_read_with_its_word_and_its_times(rendered: Path) -> None:
    clip = load_dataset("synthetic-words", rendered).clips[0]
    assert (clip.id, clip.word) == (WORD.removeprefix("words/"), MIDDLE_WORDS[0].upper())
    assert clip.reference is not None
    times = {span.label: (span.begin_seconds + span.end_seconds) / 2 for span in word_times(clip, ())}
    assert times[MIDDLE_WORDS[0].upper()] == pytest.approx(29 / 50, abs=0.002)


def test_sound_begins_with_the_picture(rendered: Path) -> None:
    """The decoded sound lies where the rendered samples lay, to less than two milliseconds."""
    with SpeechSynthesizer() as speaker:
        take = make_take(ClipKey(0, "sentences", "test", 0), speaker)
    sound = read_audio(rendered / f"{SENTENCE}.mp4", SAMPLE_RATE).astype(float)
    said = np.zeros(len(sound))
    said[: len(take.samples)] = take.samples[: len(sound)]
    product = np.fft.irfft(np.fft.rfft(sound, 2 * len(said)) * np.conj(np.fft.rfft(said, 2 * len(said))))
    lag = int(np.argmax(product))
    lag -= len(product) if lag > len(product) // 2 else 0
    assert abs(lag) < 0.002 * SAMPLE_RATE


@pytest.mark.parametrize("suffix", [".txt", ".mp4"])
def test_a_changed_file_is_made_anew(rendered: Path, root: Path, suffix: str) -> None:
    (root / f"{SENTENCE}{suffix}").write_bytes(b"something else")
    assert check_corpus(root) == [f"{SENTENCE}{suffix}: has changed"]
    assert render_corpus(root, sizes=SIZES, parts=["sentences"], workers=1) == 1
    assert check_corpus(root) == []
    for name in ("hashes.txt", "corpus.json", f"{SENTENCE}{suffix}"):
        assert (root / name).read_bytes() == (rendered / name).read_bytes()


def test_what_was_changed_in_the_other_part_is_still_said(root: Path) -> None:
    (root / f"{WORD}.npy").write_bytes(b"something else")
    assert render_corpus(root, sizes=SIZES, parts=["sentences"], workers=1) == 0
    assert check_corpus(root) == [f"{WORD}.npy: has changed"]


def test_a_list_that_was_edited_is_written_anew(rendered: Path, root: Path) -> None:
    (root / "test.txt").write_text("")
    assert check_corpus(root) == ["test.txt: has changed"]
    render_corpus(root, sizes=SIZES, parts=["sentences"], workers=1)
    assert check_corpus(root) == []
    assert (root / "test.txt").read_bytes() == (rendered / "test.txt").read_bytes()


def test_an_interrupted_corpus_is_not_scored(root: Path) -> None:
    about = root / "corpus.json"
    about.write_text('{"form": 1, "seed": 0, "finished": false}')
    with pytest.raises(TlbenchError, match="was interrupted; run `tlbench data synth` for it again"):
        load_dataset("synthetic", root)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"form": 99, "seed": 0}', '{"form": 1, "seed": "0"}', "\x00"])
def test_a_corpus_of_an_unknown_form_is_refused(root: Path, text: str) -> None:
    (root / "corpus.json").write_text(text)
    with pytest.raises(TlbenchError, match=r"corpus\.json: .*render the corpus into another folder"):
        load_dataset("synthetic", root)


def test_changed_hashes_are_not_believed(root: Path) -> None:
    with (root / "hashes.txt").open("a") as file:
        file.write("0" * 64 + "  main/test000/00001.mp4\n")
    with pytest.raises(TlbenchError, match=r"hashes\.txt: has changed"):
        check_corpus(root)


def test_a_process_that_was_killed_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed:
        def __init__(self, *_: object) -> None: ...

        def shutdown(self, **_: object) -> None: ...

        def submit(self, *_: object) -> object:
            raise BrokenProcessPool("killed")

    (root / f"{SENTENCE}.mp4").unlink()
    monkeypatch.setattr(worker_processes, "ProcessPoolExecutor", Killed)
    with pytest.raises(TlbenchError, match=r"was killed, .* run the same command again to go on"):
        render_corpus(root, sizes=SIZES, parts=["sentences"])


@pytest.mark.parametrize("number", range(6))
def test_a_wide_open_mouth_stays_in_the_readers_window_and_skin_is_not_burnt_out(number: int) -> None:
    """Lips at their lowest and widest, with the head where it may be; x 48 to 112 and y 60 to 124 is what is read."""
    who = make_person(StableRng("window", number))
    scene = Scene(who, Head(who), 25, seed=number)
    wide, shut = np.array([1.0, 0.6, 0, 0, 0, 0]), np.array([1.0, 0.6, 0, 1.0, 0, 0])
    for t in (0, 12, 24):
        opened = scene.frame(t, wide)
        moved = np.abs(opened.astype(int) - scene.frame(t, shut)).max(axis=2) > 40
        rows, columns = np.nonzero(moved)
        assert len(rows) > 100
        assert rows.min() >= 60
        assert rows.max() < 126  # the deepest lower lips lose a pixel or two
        assert columns.min() >= 48
        assert columns.max() < 112
        x1, y1, x2, y2 = scene.box(t)
        assert 0 <= x1 < columns.min() < columns.max() < x2 <= 160
        assert 0 <= y1 < rows.min() < rows.max() < y2 <= 160
        cheek = opened[int(CY) - 60 : int(CY) - 40, 60:100]
        assert np.percentile(cheek, 99) < 245


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_kill_while_the_hashes_are_replaced_changes_nothing(root: Path, tmp_path: Path, at: int) -> None:
    """Of corpus.json, hashes.txt and corpus.json again, the one that is not written any more."""
    (root / "main/test000/00009.txt").write_text("one more file")
    whole = Path(shutil.copytree(root, tmp_path / "whole"))
    assert render_corpus(whole, sizes=SIZES, parts=("sentences",), workers=1) == 0
    write, written = corpus_module.write_bytes_atomically, 0

    def killed(path: Path, content: bytes) -> None:
        nonlocal written
        written += path.name in ("corpus.json", "hashes.txt")
        if written == at:
            raise KeyboardInterrupt
        write(path, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_module, "write_bytes_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            render_corpus(root, sizes=SIZES, parts=("sentences",), workers=1)
    check_present(root)
    assert render_corpus(root, sizes=SIZES, parts=("sentences",), workers=1) == 0
    for name in ("corpus.json", "hashes.txt", "test.txt"):
        assert (root / name).read_bytes() == (whole / name).read_bytes(), name
