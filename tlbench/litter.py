"""Temporary files of runs that were killed: named so that a later run can tell them from those in use.

A temporary name carries the host, the process and when the process started. What a process of this host left behind is
removed once that process is gone; what another host left is removed after seven days, because nobody here can ask
whether its process still runs. So no locks are needed, on one machine or on many that share a disk.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import time
from pathlib import Path

OTHER_HOSTS_SECONDS = 7 * 24 * 3600
ENDED = ("Z", "X")  # proc(5): a zombie has ended, and only waits for its parent to ask how; X is dead
# .NAME.HOST-PROCESS-START-RANDOM.SUFFIX; NAME may be missing.
_TEMPORARY = re.compile(
    r"\.(?:(?P<name>.+)\.)?(?P<host>[0-9a-f]{8})-(?P<process>[0-9]{1,10})-(?P<start>[0-9]{1,20})-[0-9a-f]{8}"
    r"\.(?:tmp|new|old|part(?:\.[A-Za-z0-9]+)?)"
)


@functools.cache
def host_mark() -> str:
    """Eight hex digits for this host, within which a number of a process means one process.

    Containers have numbers of their own and may all have the name of their machine, and two machines may have the same
    name. So the mark is made from the start of the machine and the numbering (pid_namespaces(7)) where the system tells
    them, else from the host's name.
    """
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
        host = start + os.readlink("/proc/self/ns/pid")
    except (OSError, ValueError):
        host = socket.gethostname()
    return hashlib.sha256(host.encode()).hexdigest()[:8]


def temporary_name(suffix: str, name: str = "") -> str:
    """A new name for a temporary file or folder of this process, hidden, that ends in ``suffix``.

    Parameters
    ----------
    suffix : {'.tmp', '.new', '.old', '.part'} or '.part' with a further suffix
    name : str
        Of the file that is written, where people should see which.
    """
    process = os.getpid()
    middle = f"{host_mark()}-{process}-{start_of(process)}-{secrets.token_hex(4)}"
    return f".{name}.{middle}{suffix}" if name else f".{middle}{suffix}"


def is_temporary(name: str) -> bool:
    """Whether a file or folder of this name is one of :func:`temporary_name`'s."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_litter(folder: Path, *, deep: bool = False) -> int:
    """Remove what runs that are gone left in a folder; what a running process writes is left alone.

    A file that can't be removed stays; it harms nothing. What was set aside as ``.old`` is put back under its name if
    the new one never came there.

    Parameters
    ----------
    deep : bool
        Look into the folders inside as well, at any depth; links are not followed.

    Returns
    -------
    int
        How many files and folders were removed.
    """
    removed = 0
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return 0
    for entry in entries:
        if _is_litter(entry):
            if _put_back(Path(entry.path)):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)
            removed += 1
        elif deep and entry.is_dir(follow_symlinks=False):
            removed += remove_litter(Path(entry.path), deep=True)
    return removed


def _put_back(path: Path) -> bool:
    """Whether this is the old one of something that was being replaced, and could be put back in its place."""
    found = _TEMPORARY.fullmatch(path.name)
    if path.suffix != ".old" or found is None or not found["name"] or path.with_name(found["name"]).exists():
        return False
    try:
        path.rename(path.with_name(found["name"]))
    except OSError:
        return False
    return True


def _is_litter(entry: os.DirEntry[str]) -> bool:
    found = _TEMPORARY.fullmatch(entry.name)
    if found is None:
        return False
    if found["host"] != host_mark():
        try:
            age_seconds = time.time() - entry.stat(follow_symlinks=False).st_mtime
        except OSError:
            return False
        return age_seconds > OTHER_HOSTS_SECONDS
    return not is_running(int(found["process"]), int(found["start"]))


def is_running(process: int, start: int) -> bool:
    """Whether a process of this host runs that started at ``start``; 0 if nobody could tell when it did."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass  # somebody else's, or no number of a process: its start decides
    fields = _about_process(process)
    if fields is None:
        return True
    state, now = fields
    return state not in ENDED and start in (0, now)


def start_of(process: int) -> int:
    """When a process started, in ticks since the machine did; 0 where nobody can tell."""
    about = _about_process(process)
    return 0 if about is None else about[1]


def _about_process(process: int) -> tuple[str, int] | None:
    """A process's state, and when it started in ticks since the machine did (proc(5), fields 3 and 22).

    None where there is no ``/proc``.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
