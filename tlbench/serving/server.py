"""The web server of pages that are served from here: waitress, a WSGI server in plain Python, with limits."""

from __future__ import annotations

import logging
import socket
import sys
from typing import TYPE_CHECKING

from waitress.adjustments import Adjustments

from tlbench.serving.addresses import CONNECTIONS_OF_ONE, is_loopback
from tlbench.serving.connections import LimitedServer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

MAX_HEADERS = 16 * 1024  # bytes
MAX_REQUEST = 64 * 1024  # bytes after the headers
CONNECTIONS = 1000  # at the same time; with MAX_HEADERS and MAX_REQUEST 80 MB at worst
NEVER = 1 << 62  # for limits of waitress that others replace


def make_server(
    site: WSGIApplication,
    listener: socket.socket,
    *,
    threads: int,
    connections_of_one: int = CONNECTIONS_OF_ONE,
    behind_proxy: bool = False,
) -> LimitedServer:
    """A server; its ``run`` serves until a signal is raised, such as KeyboardInterrupt, which is passed on.

    Parameters
    ----------
    site : WSGI application
    listener : socket
        Bound and listening.
    threads : int
        Requests served at the same time; others wait.
    connections_of_one : int
        Connections of one address at the same time. For one more, the one that has waited longest is closed.
    behind_proxy : bool
        Whether a reverse proxy on this machine passes requests on. What it says of the addresses of its clients
        (X-Forwarded-For) is believed, and its own connections are not limited.
    """
    logging.getLogger("waitress").setLevel(logging.ERROR)  # else it reports how many wait
    most = _connections()
    proxy = listener.getsockname()[0] if behind_proxy else None
    adjustments = Adjustments(
        sockets=[listener],
        threads=threads,
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
        return most if behind_proxy and is_loopback(network) else connections_of_one

    return LimitedServer(site, listener, adjustments, most, most_of_one)


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
