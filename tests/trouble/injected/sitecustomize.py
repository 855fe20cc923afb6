"""Python imports this module by its name at every start, where its folder is on ``PYTHONPATH``: it kills commands.

All processes of a command count together which files and folders they rename or link below one folder, and which files
they open to append to. At the chosen number the whole process group is killed, just before it or just after it. Python
tells of these actions before they happen (``sys.addaudithook``), so
nothing is replaced; "after" is at whatever Python tells next.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping

RENAMES = ("os.rename", "os.link", "os.symlink")  # os.replace is told as os.rename


class KillPoints:
    """Counts, and kills at a number.

    Parameters
    ----------
    below : str
        The folder.
    counter : str
        A file, one byte for each action, which all processes share.
    at : int
        The number to kill at, from 1; 0 for none.
    moment : str
        ``before`` or ``after``.
    """

    def __init__(self, below: str, counter: str, at: int, moment: str) -> None:
        self._below, self._at, self._moment = below, at, moment
        self._counter = os.open(counter, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._pending = False
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._pending:
            self._pending = False  # Python tells of this kill as well
            os.killpg(0, signal.SIGKILL)
        if self._concerns(event, arguments):
            os.write(self._counter, b".")
            if os.lseek(self._counter, 0, os.SEEK_CUR) == self._at:
                if self._moment == "before":
                    os.killpg(0, signal.SIGKILL)
                self._pending = True

    def _concerns(self, event: str, arguments: tuple[object, ...]) -> bool:
        if event not in RENAMES and not (event == "open" and _appends(arguments[2])):
            return False
        named = arguments[: 1 if event == "open" else 2]
        names = (name for name in named if isinstance(name, str | bytes | os.PathLike))
        return any(os.path.abspath(os.fsdecode(name)).startswith(self._below) for name in names)


def _appends(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & os.O_APPEND)


def install(given: Mapping[str, str]) -> None:
    """Count in this process as these variables say; without them do nothing."""
    if "KILL_BELOW" in given:
        KillPoints(given["KILL_BELOW"], given["KILL_COUNTER"], int(given["KILL_AT"]), given["KILL_MOMENT"])
    if "KILL_SECONDS" in given and os.getpgid(0) == os.getpid():  # the first process of the group
        what = (os.getpgid(0), int(given["KILL_SIGNAL"]))
        timer = threading.Timer(float(given["KILL_SECONDS"]), os.killpg, what)
        timer.daemon = True
        timer.start()


install(os.environ)
