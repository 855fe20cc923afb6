"""The socket of a web page that is served from here."""

from __future__ import annotations

import socket

from tlbench.errors import TlbenchError


def listening(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises TlbenchError if the port is in use or the address does not belong to this machine.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, UnicodeError) as error:
        said = error.strerror if isinstance(error, OSError) else None
        reason = (said or str(error)).partition(" (")[0]  # Python repeats the address
        raise TlbenchError(
            f"can't listen on {host:.120} port {port} ({reason}); choose another (--port; 0 takes a free one)"
        ) from error
