"""The study's web server: waitress, which is plain Python and made to face people, in front of the site."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.study.store import Store

THREADS = 8  # participants whose videos load at the same moment; the others wait their turn
MAX_REQUEST = 64 * 1024  # bytes


def serve_study(
    folder: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    name: str | None = None,
    *,
    ready: Callable[[str], None],
) -> None:
    """Serve a study until interrupted.

    Parameters
    ----------
    host : str
        The address to listen on. By default nobody but this machine reaches it.
    port : int
        0 takes a free one.
    name : str, optional
        What people type where a proxy on this machine stands in front, ``study.example.org``.
    ready : str -> None
        Called with the address once it answers.

    Raises
    ------
    TlbenchError
        If there is no study, the extra ``study`` is not installed, or the port is taken.
    """
    try:
        from waitress.server import create_server

        from tlbench.study.site import LOOPBACK, make_site
    except ModuleNotFoundError as error:
        if error.name not in ("flask", "waitress"):
            raise
        raise TlbenchError(f"serving a study needs {error.name}; install it: pip install 'tlbench[study]'") from error
    with Store(folder) as store, _listening(host, port) as listener:
        site = make_site(store, (*LOOPBACK, *([name] if name else [])) if is_loopback(host) else None)
        server = create_server(site, sockets=[listener], threads=THREADS, ident=None, max_request_body_size=MAX_REQUEST)
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listener.getsockname()[1]}/")
        server.run()


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises TlbenchError if the port is taken or the address is not this machine's."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]  # Python adds the address once more
        raise TlbenchError(
            f"can't listen on {host} port {port} ({reason}); choose another (--port; 0 takes a free one)"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
