"""Words that must not come back: the field has a word of its own for each (see CONTRIBUTING.md)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.draw_house import ROOT

# What is not to be read again, and what to write instead.
WORDS = {
    r"\bcharg(e|es|ed|ing)\b": "loss",
    r"\bexams?\b": "validation set",
    r"\blessons?\b": "training samples, train set",
    r"\bjudg(e|es|ed|ing|ements?|ments?)\b": "validate, discriminator",
    r"\bteach(er|ers|es|ing)?\b|\btaught\b": "expert; train",
    r"\blearners?\b": "trainable, network",
    r"\bcurriculum\b": "label inventory",
    r"\b(watcher|footage|sitting|bench)s?\b": "clip state, video reader, clip job, runner",
    r"\bcopiers?\b": "copy_init",
    r"\bbegun\b": "started, continued",
    r"\bheard\b": "audio_features, sound",
    r"\bbeside (which|whom|whose)\b": "a second sentence",
    r"\b(so-manieth|whosoever|thereof|wherein|whereof|lest|nigh|ere|vouch(es)?)\b": "plain words",
    r"\bstands? (there )?twice\b": "is there twice",
}
# Where a word means what the field means by it, or belongs to somebody else's file.
EXCEPTIONS = (
    r"teacher[- ]forc\w*",  # the decoding that gives the network the true beginning
    r"no fair judge",  # in the tables of leaderboards, which stay as they are
    # Names in files that exist: training states, packages and caches.
    r"\bself\.heard\b|\"heard\"|\"judged\"|\"lessons?\"|\"--judged-clips\"",
)
ANY = re.compile("|".join(WORDS), re.IGNORECASE)
ALLOWED = re.compile("|".join(EXCEPTIONS), re.IGNORECASE)
EXEMPT = (
    "tlbench/files_of_before.py",  # names in files that were written before
    "tests/house/test_words.py",
    "tlbench/datasets/synthetic/",  # a vocabulary of its own: phonemes, jaw, lids
    "tests/golden/",  # the original code's names
    "tests/files_of_before/",
    # lists of spoken words
    *(f"observers/{name}/card_synthetic" for name in ("autoavsr", "avhubert", "conformer", "mvm")),
)


def pages() -> list[Path]:
    folders = [ROOT / name for name in ("tlbench", "observers", "docs", "tests", "benchmarks", "examples", "scripts")]
    found = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".md", ".toml")]
    found += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    names = [path.relative_to(ROOT).as_posix() for path in found]
    return [ROOT / name for name in sorted(names) if not name.startswith(EXEMPT)]


def avoided(text: str) -> list[str]:
    """Each word to avoid in a text, with its line and what to write instead."""
    if not ANY.search(text):
        return []
    text = ALLOWED.sub("", text)
    return [
        f"line {text[: match.start()].count(chr(10)) + 1}: {match[0]!r} (write: {instead})"
        for pattern, instead in WORDS.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]


def test_the_words_are_the_fields() -> None:
    paths = pages()
    assert len(paths) > 500
    assert [f"{path.relative_to(ROOT)}, {word}" for path in paths for word in avoided(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("it was\nChar" + "ged", ["line 2: 'Char" + "ged' (write: loss)"]),
        ("a teacher-forced beginning", []),
        ("plain words", []),
    ],
)
def test_a_word_to_avoid_is_found_with_its_line(text: str, said: list[str]) -> None:
    assert avoided(text) == said
