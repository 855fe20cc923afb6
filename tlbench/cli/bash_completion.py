"""Completion in bash, which splits words at ``=`` and ``:``: ``--view avhubert=auto`` arrives as four words.

click's own class takes the pieces for words of their own, so that ``--view avhubert=`` and ``--view=`` complete
nothing. Here they are joined again. bash puts what it is given in place of the last piece only, so the pieces before
it are taken off.
"""

from __future__ import annotations

from click.shell_completion import BashComplete, CompletionItem, add_completion_class

BREAKS = ("=", ":")  # those of bash's COMP_WORDBREAKS that are in the words of commands


@add_completion_class
class WholeWords(BashComplete):
    """As click's, for words with ``=`` and ``:``. To import this module is to register it."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is typed, and that word."""
        args, typed = super().get_completion_args()
        words = joined([*args, typed])
        return words[:-1], words[-1]

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """What fits, each without what stays as it is typed."""
        value = incomplete.partition("=")[2] if incomplete.startswith("-") else incomplete
        kept = max(value.rfind(mark) for mark in BREAKS) + 1
        found = super().get_completions(args, incomplete)
        return [CompletionItem(item.value[kept:], item.type, item.help) for item in found]


def joined(pieces: list[str]) -> list[str]:
    """The words that bash split at ``=`` and ``:``.

    >>> joined(["score", "--view", "avhubert", "=", "face", ""])
    ['score', '--view', 'avhubert=face', '']
    """
    words: list[str] = []
    glue = False  # whether the next piece belongs to the last word
    for piece in pieces:
        is_break = bool(piece) and all(mark in BREAKS for mark in piece)
        if words and (is_break or glue):
            words[-1] += piece
        else:
            words.append(piece)
        glue = is_break
    return words
