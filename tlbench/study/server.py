"""The web server of a study: waitress, a WSGI server in plain Python, with limits (``connections.py``)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.listening import listening
from tlbench.owner import owned
from tlbench.study.addresses import is_loopback
from tlbench.study.store import Store

THREADS = 8  # requests served at the same time; others wait
MAX_HEADERS = 16 * 1024  # bytes
MAX_REQUEST = 64 * 1024  # bytes after the headers
CONNECTIONS = 1000  # at the same time; with MAX_HEADERS and MAX_REQUEST 80 MB at worst
CONNECTIONS_OF_ONE = 200  # of one address: a room of fifty people with four connections each
NEVER = 1 << 62  # for limits of waitress that others replace


def serve_study(
    folder: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    name: str | None = None,
    *,
    connections_of_one: int = CONNECTIONS_OF_ONE,
    take_over: bool = False,
    ready: Callable[[str], None],
) -> None:
    """Serve a study until a signal is raised, such as KeyboardInterrupt, which is passed on.

    Parameters
    ----------
    host : str
        The address to listen on. By default only this machine reaches it.
    port : int
        0 takes a free port.
    name : str, optional
        The host name of a reverse proxy on this machine, such as ``study.example.org``. What the proxy says of the
        addresses of its clients (X-Forwarded-For) is believed, and its own connections are not limited.
    connections_of_one : int
        Connections of one address at the same time. For one more, the one that has waited longest is closed.
    take_over : bool
        Take the study at once from another server; see :func:`tlbench.owner.owned`.
    ready : str -> None
        Called with the address when the server listens.

    Raises
    ------
    TlbenchError
        If the folder has no study, its database or its videos are damaged, another server serves it, the extra
        ``study`` is not installed, or the port is in use.
    """
    try:
        from waitress.adjustments import Adjustments

        from tlbench.study.connections import StudyServer
        from tlbench.study.site import LOOPBACK, make_site
    except ModuleNotFoundError as error:
        if error.name not in ("flask", "waitress"):
            raise
        raise TlbenchError(f"serving a study needs {error.name}; install it: pip install 'tlbench[study]'") from error
    logging.getLogger("waitress").setLevel(logging.ERROR)  # else it reports how many wait
    one_server = owned(folder, name="server", take_over=take_over)
    with Store(folder) as store, one_server, listening(host, port) as listener:
        store.check_writable()
        hosts = (*LOOPBACK, *([name] if name else [])) if is_loopback(host) else None
        most = _connections()
        proxy = listener.getsockname()[0] if name else None
        adjustments = Adjustments(
            sockets=[listener],
            threads=THREADS,
            ident=None,
            max_request_header_size=MAX_HEADERS,
            max_request_body_size=MAX_REQUEST,
            outbuf_high_watermark=NEVER,  # at it a thread would wait for a client to read; pages are small
            connection_limit=NEVER,
            channel_timeout=NEVER,
            cleanup_interval=1,
            log_socket_errors=False,
            trusted_proxy=proxy,
            trusted_proxy_headers={"x-forwarded-for"} if proxy else set(),
        )

        def most_of_one(network: str) -> int:
            return most if name and is_loopback(network) else connections_of_one

        server = StudyServer(make_site(store, hosts), listener, adjustments, most, most_of_one)
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listener.getsockname()[1]}/")
        server.run()


def _connections() -> int:
    """How many connections there can be: each may need two file descriptors. Raises the limit of this process."""
    if sys.platform == "win32":
        return CONNECTIONS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited, spare = resource.RLIM_INFINITY, 100
    wanted = 2 * CONNECTIONS + spare
    if soft != unlimited and soft < wanted:
        soft = wanted if hard == unlimited else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTIONS if soft == unlimited else max(1, min(CONNECTIONS, (soft - spare) // 2))
