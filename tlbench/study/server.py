"""The web server of a study: waitress, a WSGI server in plain Python."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.owner import owned
from tlbench.study.store import Store

THREADS = 8  # requests served at the same time; others wait
MAX_REQUEST = 64 * 1024  # bytes


def serve_study(
    folder: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    name: str | None = None,
    *,
    take_over: bool = False,
    ready: Callable[[str], None],
) -> None:
    """Serve a study until interrupted.

    Parameters
    ----------
    host : str
        The address to listen on. By default only this machine reaches it.
    port : int
        0 takes a free port.
    name : str, optional
        The host name of a reverse proxy on this machine, such as ``study.example.org``.
    take_over : bool
        Take the study at once from another server; see :func:`tlbench.owner.owned`.
    ready : str -> None
        Called with the address when the server listens.

    Raises
    ------
    TlbenchError
        If the folder has no study, another server serves it, the extra ``study`` is not installed, or the port is in
        use.
    """
    try:
        from waitress.server import create_server

        from tlbench.study.site import LOOPBACK, make_site
    except ModuleNotFoundError as error:
        if error.name not in ("flask", "waitress"):
            raise
        raise TlbenchError(f"serving a study needs {error.name}; install it: pip install 'tlbench[study]'") from error
    one_server = owned(folder, name="server", take_over=take_over)
    with Store(folder) as store, one_server, _listening(host, port) as listener:
        site = make_site(store, (*LOOPBACK, *([name] if name else [])) if is_loopback(host) else None)
        server = create_server(site, sockets=[listener], threads=THREADS, ident=None, max_request_body_size=MAX_REQUEST)
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listener.getsockname()[1]}/")
        server.run()


def _listening(host: str, port: int) -> socket.socket:
    """A listening socket. Raises TlbenchError if the port is in use or the address does not belong to this machine."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]  # Python repeats the address
        raise TlbenchError(
            f"can't listen on {host} port {port} ({reason}); choose another (--port; 0 takes a free one)"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
