"""When long work says a line where stderr is no terminal: once a minute of a command, however many bars it has."""

from __future__ import annotations

import time

QUIET_SECONDS = 60.0
_latest = [time.monotonic()]  # when the latest line was said, or the command began


def begin() -> None:
    """A command begins now."""
    _latest[0] = time.monotonic()


def is_over() -> bool:
    """Whether a line is due; then the next minute begins."""
    now = time.monotonic()
    if now - _latest[0] <= QUIET_SECONDS:
        return False
    _latest[0] = now
    return True
