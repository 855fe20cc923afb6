"""What an owner file says of the run that made it: host, process, user, command and time, as JSON."""

from __future__ import annotations

import getpass
import json
import os
import re
import secrets
import socket
import sys
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

from tlbench.litter import host_mark, start_of

_MOST_CHARACTERS = 1000  # of a text in the file
_SHOWN_CHARACTERS = 120  # of a text in a message
_TOKEN = re.compile(r"[0-9a-f]{16}")
_MOST_PROCESSES = 2**31 - 1  # a pid_t has 32 bits


@dataclass(frozen=True)
class OwnerCard:
    """A run that owns something.

    Attributes
    ----------
    token : str
        16 random hex digits, so that no two owner files are equal.
    mark : str
        :func:`tlbench.litter.host_mark` of its host.
    process, start : int
        Its process, and when that started (:func:`tlbench.litter.start_of`).
    host, user, command, since : str
        For people. ``since`` is a time in UTC.
    """

    token: str
    mark: str
    process: int
    start: int
    host: str
    user: str
    command: str
    since: str

    @classmethod
    def of_this_process(cls) -> OwnerCard:
        """A new card of the process that calls this."""
        process = os.getpid()
        command = " ".join(["tlbench", *sys.argv[1:]])[:_MOST_CHARACTERS]
        since = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        host, start = socket.gethostname(), start_of(process)
        return cls(new_token(), host_mark(), process, start, host, _user(), command, since)

    def to_json(self) -> bytes:
        """The content of the file."""
        return json.dumps(asdict(self), indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> OwnerCard:
        """The inverse of :meth:`to_json`. Raises ValueError if it is something else; nothing in it is trusted."""
        try:
            read = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ValueError("it is no JSON") from error
        fields = cls.__dataclass_fields__
        if not isinstance(read, dict) or read.keys() != fields.keys():
            raise ValueError("it has other fields than an owner")
        for name in fields:
            kind = int if name in ("process", "start") else str
            if type(read[name]) is not kind:
                raise ValueError(f"its {name} is no {'number' if kind is int else 'text'}")
        card = cls(**read)
        if _TOKEN.fullmatch(card.token) is None:
            raise ValueError("its token is none")
        if not (0 < card.process <= _MOST_PROCESSES and card.start >= 0):
            raise ValueError("its process is none")
        return card

    def described(self) -> str:
        """``process 4242 of alice on node7 since 2026-01-31 12:00:00 UTC (tlbench score made ...)``."""
        user, host, since, command = (_short(text) for text in (self.user, self.host, self.since, self.command))
        return f"process {self.process} of {user} on {host} since {since} ({command})"


def new_token() -> str:
    """A token that no other owner file has."""
    return secrets.token_hex(8)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no environment variable, and no entry for the number
        return str(os.getuid()) if hasattr(os, "getuid") else "somebody"
