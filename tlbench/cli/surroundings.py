"""One line for what the surroundings of a command refuse: memory, files, processes, folders, names.

Functions say what they were doing where they know more; this is for what no one expected.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from tlbench.errors import TlbenchError

# NumPy's OpenBLAS crashes or waits without end where it gets no memory when it is imported: measured on two cores with
# `ulimit -v` up to 520 MiB and `ulimit -d` up to 250 MiB. It takes more for each core, so below MUCH_MEMORY it gets
# one thread.
LEAST_MEMORY = 600 << 20  # bytes that a process may take, so that NumPy can be imported
MUCH_MEMORY = 4 << 30  # bytes
LONGEST_WORD = 300  # characters of a word in a message; a longer one is cut in the middle
NO_MEMORY = "not enough memory; use fewer --workers or shorter clips, or a machine with more of it"
NO_PROCESS = "no further process or thread can be started; use --workers 1, or raise the limit (`ulimit -u`)"
# What libraries say in a RuntimeError, an ImportError or an error of their own if they get no memory or no thread.
_SAYS_MEMORY = (
    *("allocate memory", "out of memory", "insufficient memory", "failed to map segment", "bad_alloc"),
    *("cannot map zero-fill pages", "memoryerror"),
    *("not enough memory", "failed to allocate"),
)
_SAYS_PROCESS = ("start new thread", "resource temporarily unavailable", "thread creation failed")
_WAYS_OUT = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the quota is used up; free some space and run the same command again",
    errno.EFBIG: "files of this size are not allowed; raise the limit (`ulimit -f`)",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "choose another one, or change its permissions",
    errno.EPERM: "choose another one, or change its permissions",
    errno.EMFILE: "use fewer --workers, or raise the limit (`ulimit -n`)",
    errno.ENFILE: "use fewer --workers, or close other programs",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.ELOOP: "remove the link that leads to itself",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "check the path",
    errno.EEXIST: "choose another one",
    errno.EIO: "check the disk",
}


def refused(error: BaseException) -> str | None:
    """What the surroundings refused and what to do, in one line; None if the error has another reason."""
    if isinstance(error, MemoryError):
        return NO_MEMORY
    said = str(error).lower()
    if isinstance(error, OSError):
        if error.errno == errno.ENOMEM:
            return NO_MEMORY
        if error.errno == errno.EAGAIN:
            return NO_PROCESS
        return _of_system(error)
    if isinstance(error, UnicodeEncodeError):
        name = error.object[max(0, error.start - 40) : error.start + 40]
        return f"{name!r} is not UTF-8; rename the file"
    if isinstance(error, RuntimeError) and "home directory" in said:  # pathlib's, where the user has no entry
        return "this user has no home folder; set HOME to a folder that can be written"
    if isinstance(error, RuntimeError) and said.startswith("symlink loop from"):  # pathlib's, up to Python 3.12
        return f"{error}; remove the link that leads to itself"
    if any(sign in said for sign in _SAYS_MEMORY):
        return NO_MEMORY
    if any(sign in said for sign in _SAYS_PROCESS):
        return NO_PROCESS
    return None


def _of_system(error: OSError) -> str:
    why = error.strerror or str(error) or type(error).__name__
    if "usable temporary directory" in why:  # tempfile's
        return "no folder for temporary files can be written; set TMPDIR to one"
    if error.errno == errno.ENOENT and not _current_folder():
        return "the current folder is not there any more; change to another one"
    path = "" if error.filename is None else os.fsdecode(error.filename)
    way_out = _WAYS_OUT.get(error.errno or 0, "run the same command again, what is done already is kept")
    return f"{path}: {why}; {way_out}" if path else f"{why}; {way_out}"


def check_memory() -> None:
    """Raises TlbenchError if a limit of this process (``ulimit -v``, ``-d``) leaves too little memory for NumPy.

    Must be called before NumPy is imported.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    limits = {"-v": resource.RLIMIT_AS, "-d": resource.RLIMIT_DATA}
    for option, limit in limits.items():
        allowed, _ = resource.getrlimit(limit)
        if allowed == resource.RLIM_INFINITY:
            continue
        if allowed < LEAST_MEMORY:
            raise TlbenchError(
                f"this process may take {allowed >> 20} MiB of memory (`ulimit {option}`); raise the limit to "
                f"{LEAST_MEMORY >> 20} MiB or more"
            )
        if allowed < MUCH_MEMORY:
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def check_words(words: Iterable[str]) -> None:
    """Raises TlbenchError for a word of the command line that is not UTF-8: no result could hold it."""
    for word in words:
        try:
            os.fsencode(word).decode("utf-8")
        except UnicodeError:
            raise TlbenchError(f"{word!r:.120} is not UTF-8; rename it, or make a link with another name") from None


def short_words(line: str) -> str:
    """A line whose words have at most :data:`LONGEST_WORD` characters, so that a path of 4,000 does not fill a page."""
    half = LONGEST_WORD // 2
    return " ".join(
        word if len(word) <= LONGEST_WORD else f"{word[:half]}...{word[-half:]}" for word in line.split(" ")
    )


def _current_folder() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True
