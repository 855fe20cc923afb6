"""Errors quote values by one function, in at most 120 characters, and no message is longer than a screen."""

from __future__ import annotations

import ast
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.draw_house import ROOT, sources
from tlbench.errors import MESSAGE_CHARACTERS, QUOTED_CHARACTERS, ClipError, TlbenchError, quoted, shortened
from tlbench.names import why_no_clip_id, why_no_name

# Rooms that read what users name and what strangers wrote.
ROOMS = (
    *("datasets", "preflight", "metrics", "scoring", "comparison", "tables", "figures", "reporting", "leaderboard"),
    *("calibration",),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300) | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(), inner, max_size=9),
    max_leaves=30,
)


@given(values)
def test_a_quotation_is_one_short_line(value: object) -> None:
    said = quoted(value)
    assert len(said) <= QUOTED_CHARACTERS
    assert said.isprintable() or "\n" not in said


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**7,
        "\ud800" * 10**6,
        10**5000,
        ["x" * 10**6] * 3,
        {"a" * 10**6: 1},
        b"x" * 10**6,
        [[[[[[[[1]]]]]]]] * 10**5,
    ],
    ids=["text", "surrogates", "digits", "list", "object", "bytes", "deep list"],
)
def test_a_large_value_is_quoted_at_once(value: object) -> None:
    assert 0 < len(quoted(value)) <= QUOTED_CHARACTERS


@given(st.text(max_size=400), st.integers(20, 200))
def test_a_shortened_text_keeps_its_ends(text: str, characters: int) -> None:
    short = shortened(text, characters)
    assert len(short) <= characters
    assert short == text if len(text) <= characters else text.startswith(short.split(" ... ")[0][:5])


def test_a_short_value_is_quoted_whole() -> None:
    assert [quoted(value) for value in ("a'b", 7, None, ["a"], 0.5)] == ['"a\'b"', "7", "None", "['a']", "0.5"]


def test_no_error_is_longer_than_a_screen() -> None:
    long = "begins " + "x" * 10**6 + " ends; do this"
    for error in (TlbenchError(long), ClipError("code", long)):
        assert len(str(error)) <= MESSAGE_CHARACTERS
        assert str(error).startswith("begins")
        assert str(error).endswith("ends; do this")
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_value_that_a_library_put_into_its_error_is_shortened_and_a_path_is_not() -> None:
    with pytest.raises(TypeError) as theirs:
        np.dtype("<" + "Zq" * 300)
    assert len(str(TlbenchError(f"a field is not of its kind ({theirs.value})"))) < 2 * QUOTED_CHARACTERS
    path = "/".join(["d" * 255] * 4)
    for error in (TlbenchError(f"{path}: not there"), ClipError("code", f"{path}: not there")):
        assert str(error) == f"{path}: not there"


@pytest.mark.parametrize("room", ROOMS)
def test_errors_of_a_room_quote_with_the_one_function(room: str) -> None:
    raw = []
    for path in sources(ROOT / "tlbench" / room):
        if path.parent.name == "synthetic" or path.name == "fetch_grid.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for part in ast.walk(node) if isinstance(node, ast.Raise) else ():
                own = isinstance(part, ast.FormattedValue) and part.conversion == ord("r")
                if own and not re.fullmatch("[A-Z_]+", ast.unparse(part.value)):
                    raw.append(f"{path.name}:{part.lineno}: {ast.unparse(part.value)}")
    assert raw == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("a" * 501, "501 characters"),
        ("a\x1b[31m", r"control character \(U\+001B"),
        ("a\u202eb", r"invisible character \(U\+202E"),
        ("a\u200bb", r"invisible character \(U\+200B"),
        ("\ufeffa", r"invisible character \(U\+FEFF"),
        ("caf\udce9", r"surrogate pair \(U\+DCE9"),
        ("a\u2028b", "line break"),
    ],
)
def test_what_can_be_no_name(text: str, why: str) -> None:
    assert re.search(why, why_no_name(text) or "")
    assert re.search(why, why_no_clip_id(text) or "")


@pytest.mark.parametrize("text", ["../a", "/a", "a//b", ".", "a/..", "a\\b"])
def test_a_name_that_leads_out_of_its_folder_is_no_clip_id(text: str) -> None:
    assert why_no_name(text) is None
    assert why_no_clip_id(text) is not None


@pytest.mark.parametrize(
    "text", ["wav2lip", "TalkLip (g+c)", "日本語", "أحمد", "cafe\u0301", "a\u00a0b", "\U0001f600", "a" * 500]
)
def test_what_can_be_a_name(text: str) -> None:
    assert why_no_name(text) is None
