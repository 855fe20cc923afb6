"""What templates print: no hidden character reaches a page as it is, whatever file it comes from."""

from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from tlbench.html_pages import visible

JOINERS = ("\u200c", "\u200d")  # of the words of some languages


@given(st.text(st.characters(codec="utf-8")))
def test_no_control_or_turning_character_is_left(text: str) -> None:
    shown = visible(text)
    assert isinstance(shown, str)
    left = [one for one in shown if category(one) == "Cc" and one not in "\t\n"]
    assert left == []
    assert not set(shown) & {chr(code) for code in (0x200B, 0x200E, 0x200F, 0xFEFF, *range(0x202A, 0x202F))}
    assert not set(shown) & {chr(code) for code in range(0x2060, 0x2070)}


@pytest.mark.parametrize("text", ["plain", "line\nline\ttab", "naïve é ü 中文", *JOINERS, "می‌خواهم"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert visible(text) == text


def test_a_hidden_character_is_an_escape_and_markup_stays_markup() -> None:
    assert visible("a\u202eb\x1b[1m") == "a\\u202eb\\u001b[1m"
    shown = visible(Markup("<b>\u200b</b>"))
    assert isinstance(shown, Markup)
    assert shown == "<b>\\u200b</b>"
    assert visible(None) is None
    assert visible(3) == 3
