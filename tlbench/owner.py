"""One run at a time writes a folder; its owner file says which run that is.

A run that is to write a folder makes ``.owner`` in it (``.NAME.owner`` for one thing in a folder: a file, a shard) and
removes it at the end. It holds host, process, user, command and time, and is touched every minute. A second run is
refused with these. An owner is gone if its process is gone on this host, or if it is of another host and its file was
not touched for ten minutes by the file system's own clock; a run that comes then takes over.

There are no locks, so it works on network file systems. An owner file appears whole, by a hard link that fails if the
name is taken. It is replaced or removed only by the run that holds its succession, which is an owner file of its own
named after the random token of the one to replace: of many runs that find the same dead owner, one gets it. That run
looks again before it acts, because a token never comes back.
"""

from __future__ import annotations

import _thread
import errno
import glob
import os
import signal
import stat
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.files import OWNER, read_outside, unwritable
from tlbench.litter import host_mark, is_running, remove_litter, temporary_name
from tlbench.owner_card import OwnerCard, new_token

TOUCH_SECONDS = 60.0
GONE_SECONDS = 600.0  # ten touches: a file server may be away for some minutes
_TRIES = 50  # of a file that comes and goes while it is looked at
# What systems without hard links answer, such as FAT and some network drives.
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
_Held = tuple[Path, OwnerCard]  # an owner file and what it says
_held: set[_Held] = set()  # of this process, for an end without clean-up
_lost: list[str] = []  # lines about what another run has taken over from this process


@dataclass(frozen=True)
class _Found:
    """What has the name of an owner file: an owner, or something that can't be read as one.

    Attributes
    ----------
    card : OwnerCard or None
        None if it can't be read.
    problem : str
        Why it can't be.
    regular : bool
        Whether it is a regular file, and no link, pipe, device or folder.
    touched : float
        Its time of last change, in seconds of the file system's clock.
    """

    card: OwnerCard | None
    problem: str
    regular: bool
    touched: float

    @property
    def token(self) -> str:
        """What names its succession."""
        return "unreadable" if self.card is None else self.card.token

    def is_gone(self, now: float) -> bool:
        """Whether the owner does not run any more; ``now`` is the time by the file system's clock."""
        if self.card is not None and self.card.mark == host_mark():
            return not is_running(self.card.process, self.card.start)
        return self.regular and now - self.touched > GONE_SECONDS


class _OwnedError(TlbenchError):
    """Another run owns it: ``found``."""

    def __init__(self, message: str, found: _Found) -> None:
        super().__init__(message)
        self.found = found


def owner_path(folder: Path, name: str = "") -> Path:
    """Where the owner file of a folder is, or of the thing ``name`` in it."""
    return folder / (f".{name}.owner" if name else ".owner")


@contextmanager
def owned(*folders: Path, name: str = "", take_over: bool = False) -> Iterator[None]:
    """Inside, this process is the only one that writes these folders.

    Folders that are missing are made, and removed at the end if nothing was written to them.

    Parameters
    ----------
    name : str
        One thing in each folder, such as a file or a shard, in place of the whole folder.
    take_over : bool
        Take them from another run at once, though it may still run. That run ends with an error within a minute.

    Raises
    ------
    TlbenchError
        If another run owns one of them: the line names it. If a folder can't be written, or its owner file can't be
        read. At the end, if another run has taken over meanwhile.

    Warns
    -----
    UserWarning
        If the run of an owner that is gone is taken over.
    """
    with ExitStack() as stack:
        # In one order, so that one of two runs gets them all.
        held = [stack.enter_context(_owned_one(folder, name, take_over)) for folder in sorted(set(folders))]
        touching = _Touching(held)
        touching.start()
        try:
            yield
        except KeyboardInterrupt:
            if touching.lost is not None:  # it interrupted this thread itself
                raise _taken_away(*touching.lost) from None
            raise
        finally:
            touching.ended.set()


@contextmanager
def _owned_one(folder: Path, name: str, take_over: bool) -> Iterator[_Held]:
    """:func:`owned` of one folder, without touching it."""
    path, card = owner_path(folder, name), OwnerCard.of_this_process()
    made: list[Path] = []
    others: _Found | None = None
    _held.add((path, card))
    try:
        try:
            before = _acquire(path, card, take_over, made)
        except OSError as error:
            raise unwritable(path, error) from error
        if before is not None:
            warnings.warn(f"{_thing(path)}: taken over from {_who(before)}", stacklevel=2)
        yield path, card
    finally:
        others = _release(path, card)
        _held.discard((path, card))
        _remove_empty(made)
    if others is not None:
        raise _taken_away(path, others)


def _acquire(path: Path, card: OwnerCard, take_over: bool, made: list[Path]) -> _Found | None:
    """Make the folder and take its owner file, as :func:`_take`; ``made`` gets the folders that were missing."""
    for _ in range(_TRIES):
        made += _make_folder(path.parent)
        remove_litter(path.parent)
        try:
            before = _take(path, card, take_over)
        except FileNotFoundError:  # another run has just removed the folder, which was empty
            continue
        _remove_old_successions(path, card)
        return before
    raise TlbenchError(f"{path.parent}: is removed again and again; choose another folder")


def _take(path: Path, card: OwnerCard, take_over: bool) -> _Found | None:
    """Make ``path`` the owner file of ``card``. Returns what it replaced, None if there was nothing.

    Raises
    ------
    TlbenchError
        If it belongs to another run.
    OSError
        If the folder can't be written.
    """
    temporary = path.with_name(temporary_name(".tmp"))
    try:
        with open(temporary, "xb") as file:
            file.write(card.to_json())
        now = temporary.stat().st_mtime  # not this machine's clock, which may differ
        for _ in range(_TRIES):
            if _link(temporary, path, card):
                return None
            found = _read(path)
            if found is None:
                continue
            if not (take_over or found.is_gone(now)):
                raise _refusal(path, found, now)
            with _succession(path, found.token, card):
                again = _read(path)
                if again is not None and again.token == found.token and (take_over or again.is_gone(now)):
                    os.replace(temporary, path)
                    return found
            take_over = False  # it was meant for the run that was there
    finally:
        temporary.unlink(missing_ok=True)
    raise TlbenchError(f"{path}: appears and disappears again and again; try later, or choose another folder")


@contextmanager
def _succession(path: Path, token: str, card: OwnerCard) -> Iterator[None]:
    """Inside, this process alone may replace or remove the owner file with this token.

    A run that was killed in here is succeeded in the same way. Raises as :func:`_take`.
    """
    place = path.with_name(f"{path.name}.{token}")
    _take(place, replace(card, token=new_token()), take_over=False)
    try:
        yield
    finally:
        place.unlink(missing_ok=True)


def _link(temporary: Path, path: Path, card: OwnerCard) -> bool:
    """Give a whole file the name ``path`` too. False if the name is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return temporary.stat().st_nlink == 2  # NFS may answer so if it did it and its first answer was lost
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create(path, card.to_json())
    return True


def _create(path: Path, content: bytes) -> bool:
    """Create a file where there are no hard links; it is empty for a moment. False if the name is taken."""
    created = False
    try:
        with open(path, "xb") as file:
            created = True
            file.write(content)
    except FileExistsError:
        return False
    except OSError:
        if created:
            path.unlink(missing_ok=True)
        raise
    return True


def _read(path: Path) -> _Found | None:
    """What has the name of an owner file; None if nothing has. Raises OSError if that can't be found out."""
    try:
        about = os.lstat(path)
    except FileNotFoundError:
        return None
    card, problem, regular = None, "", stat.S_ISREG(about.st_mode)
    try:
        if stat.S_ISLNK(about.st_mode):
            problem = "it is a link"
        else:
            card = OwnerCard.from_json(read_outside(path, OWNER))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):  # it has just been removed
            return None
        problem = error.strerror or str(error)
    except ValueError as error:
        problem = str(error)
    return _Found(card, problem, regular, about.st_mtime)


def _release(path: Path, card: OwnerCard) -> _Found | None:
    """Remove the owner file. Returns what is there instead, if it is another run's; that stays."""
    with suppress(OSError):
        found = _read(path)
        if found is None or found.card != card:
            return found
    try:
        with _succession(path, card.token, card):
            return _remove(path, card)
    except _OwnedError as refused:  # another run takes it over at this moment
        return refused.found
    except (OSError, TlbenchError):  # the disk may be full
        with suppress(OSError):
            return _remove(path, card)
    return None


def _remove(path: Path, card: OwnerCard) -> _Found | None:
    found = _read(path)
    if found is None or found.card != card:
        return found
    path.unlink(missing_ok=True)
    return None


def owner_now(folder: Path, name: str = "") -> OwnerCard | None:
    """The run that has a folder at the moment, for people to be told of; None if none has, or nobody can tell.

    What it says may be over when it is read. Whether a folder can be had is found out by :func:`owned` alone.
    """
    try:
        found = _read(owner_path(folder, name))
    except OSError:
        return None
    return None if found is None or found.is_gone(time.time()) else found.card


def check_still_owned() -> None:
    """Asked before something is written that could not be told from the work of another run.

    Raises TlbenchError if another run has taken over what this process owned.
    """
    for path, card in list(_held):
        found = None
        with suppress(OSError):  # a file server that is away may be back in a minute
            found = _read(path)
        if found is not None and found.card != card:
            raise _taken_away(path, found)


def why_taken_away() -> str | None:
    """The line about what another run has taken over from this process; None if it has all. For signal handlers."""
    return _lost[0] if _lost else None


def remove_owner_files() -> None:
    """Remove the owner files of this process, which is about to end without clean-up."""
    for path, card in list(_held):
        with suppress(OSError):
            _remove(path, card)


class _Touching(threading.Thread):
    """Touches owner files every minute, in a thread of its own: a step of the run itself may take longer than that.

    A daemon thread, so it ends with the process; a process that was forked from this one does not have it. A file that
    another run has taken over is not touched, so the thread keeps nobody else's file fresh. It then interrupts the run.
    """

    def __init__(self, held: Sequence[_Held]) -> None:
        super().__init__(name="owner", daemon=True)
        self.ended = threading.Event()
        self.lost: tuple[Path, _Found] | None = None
        self._held = held
        in_main = threading.current_thread() is threading.main_thread()
        self._interrupts = in_main and callable(signal.getsignal(signal.SIGINT))  # others can't be interrupted

    def run(self) -> None:
        while not self.ended.wait(TOUCH_SECONDS):
            for path, card in self._held:
                with suppress(OSError):  # a file server that is away may be back in a minute
                    found = _read(path)
                    if found is not None and found.card != card:
                        self.lost = path, found
                        if self._interrupts:
                            _lost.append(str(_taken_away(path, found)))
                            _interrupt_main()
                        return
                    os.utime(path)


def _interrupt_main() -> None:
    """Ctrl-C for the main thread, also where it sleeps."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it. Returns those that were missing, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, given from the inside, up to the first that holds something."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _remove_old_successions(path: Path, card: OwnerCard) -> None:
    """Remove what runs that were killed while they took over have left; its own may be in use."""
    with suppress(OSError):
        for left in path.parent.glob(f"{glob.escape(path.name)}.*"):
            found = None if left.name.startswith(f"{path.name}.{card.token}") else _read(left)
            if found is not None and found.is_gone(found.touched):
                left.unlink(missing_ok=True)


def _refusal(path: Path, found: _Found, now: float) -> TlbenchError:
    thing = _thing(path)
    if found.card is None:
        return _OwnedError(
            f"{path}: can't be read as an owner file ({found.problem:.120}); if no run writes to {thing}, remove that "
            "file, or take over (--take-over)",
            found,
        )
    seen = "" if found.card.mark == host_mark() else f", last seen {max(0, now - found.touched):.0f} s ago"
    return _OwnedError(
        f"{thing}: another run writes to it, {found.card.described()}{seen}; wait for it, choose another folder, or "
        "take over if it is gone (--take-over)",
        found,
    )


def _taken_away(path: Path, found: _Found) -> TlbenchError:
    return TlbenchError(
        f"{_thing(path)}: taken over by {_who(found)} while this run was writing to it; let one of them end, then run "
        "it again"
    )


def _who(found: _Found) -> str:
    return "an owner file that can't be read" if found.card is None else found.card.described()


def _thing(path: Path) -> Path:
    """What an owner file, or the succession of one, is for."""
    name, _, _ = path.name.removeprefix(".").rpartition("owner")
    return path.parent / name.removesuffix(".") if name else path.parent
