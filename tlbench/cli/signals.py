"""SIGINT and SIGTERM: every command ends within five seconds, with 130 or 143, and nothing half written.

A command that serves pages until Ctrl-C ends with 0 then.

SIGUSR1 asks whatever observes clips to stop soon (:mod:`tlbench.observing.stopping`); other work takes no notice.

The first signal raises :class:`Interrupted` at the next line of Python. A call into a library may take longer than that
(a convolution of a large batch), so a thread watches: if the process is still there after four seconds, or at a second
SIGINT, it ends at once. That is safe, because files appear under their names only when they are whole.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tlbench.cli.lines import say
from tlbench.errors import one_line
from tlbench.observing.stopping import STOP
from tlbench.owner import remove_owner_files, why_taken_away

GRACE_SECONDS = 4.0
REMOVE_SECONDS = 0.5
SIGNALS = (signal.SIGINT, signal.SIGTERM)
WORDS = b"interrupted; run the same command again to go on where it stopped\n"


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end; its message is the signal's name."""


_received: list[int] = []
_deferred = False


def install() -> None:
    """Handle both signals from now on. Only the main thread of a process can do this."""
    _received.clear()
    for number in SIGNALS:
        signal.signal(number, _raise)
    if sys.platform != "win32":
        signal.signal(signal.SIGUSR1, lambda *_: STOP.set())
    if sys.platform != "win32":  # its wake-up descriptor has to be a socket
        readable, writable = os.pipe()
        os.set_blocking(writable, False)
        signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
        threading.Thread(target=_watch, args=(readable,), name="signals", daemon=True).start()


@contextmanager
def deferred() -> Iterator[None]:
    """Inside, the first signal is only noted (:func:`received`): for work that ends by itself at a safe place."""
    global _deferred
    _deferred = True
    try:
        yield
    finally:
        _deferred = False


@contextmanager
def until_ctrl_c() -> Iterator[None]:
    """Around what serves until Ctrl-C, which is then its proper end and no interruption."""
    try:
        yield
    except KeyboardInterrupt:
        if received() not in (None, signal.SIGINT):
            raise
        say("stopped", err=True)


def received() -> int | None:
    """The number of the first signal that came; None if none did."""
    return _received[0] if _received else None


def exit_code(otherwise: int) -> int:
    """The exit code of the signal that came, else ``otherwise``."""
    return 128 + _received[0] if _received else otherwise


def _raise(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    if not _deferred:
        raise Interrupted(signal.Signals(number).name)


def _watch(readable: int) -> None:
    """Runs in a thread of its own. The interpreter writes each signal's number into the pipe, whatever it is doing."""
    first = _next(readable)
    threading.Timer(GRACE_SECONDS, _end, (first,)).start()
    while _next(readable) != signal.SIGINT:
        pass
    _end(first)


def _next(readable: int) -> int:
    while True:
        number = os.read(readable, 1)[0]
        if number in SIGNALS:
            return number


def _end(number: int) -> None:
    import multiprocessing  # a start of tlbench does not wait for it

    for child in multiprocessing.active_children():
        child.kill()
    removing = threading.Thread(target=remove_owner_files, daemon=True)
    removing.start()
    removing.join(REMOVE_SECONDS)  # a file server may not answer
    lost = why_taken_away()  # then the run has interrupted itself
    words, status = WORDS, 128 + number
    if lost is not None:
        words, status = f"error: {one_line(lost)}\n".encode(errors="replace"), 2
    with suppress(OSError):  # a full or closed stderr keeps nobody from ending
        os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, words)
    os._exit(status)
