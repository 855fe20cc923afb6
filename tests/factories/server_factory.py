"""A server on this machine that the code under test takes for one on the internet, with https."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of the loopback address; gives the address as if it were https, without a last slash."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


def only_loopback(monkeypatch: pytest.MonkeyPatch, stand_in: str = "") -> None:
    """What goes to the loopback address over https is sent there without encryption; nothing goes anywhere else.

    What goes to Google goes to ``stand_in``, an address as :func:`serving` gives it, host, path and query as they are.
    """
    send = requests.adapters.HTTPAdapter.send

    def redirected(self: Any, request: Any, *args: Any, **named: Any) -> Any:
        parts = urlsplit(request.url)
        assert parts.hostname is not None
        if stand_in and parts.hostname.endswith(".google.com"):
            request.url = f"{stand_in}/{parts.hostname}{parts.path}?{parts.query}"
        else:
            assert (parts.scheme, parts.hostname) == ("https", "127.0.0.1")
        request.url = request.url.replace("https:", "http:", 1)
        return send(self, request, *args, **named)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", redirected)
