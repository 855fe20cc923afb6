"""The web server of a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tlbench.errors import TlbenchError
from tlbench.owner import owned
from tlbench.serving.addresses import CONNECTIONS_OF_ONE, is_loopback
from tlbench.serving.listening import listening
from tlbench.study.store import Store

THREADS = 8  # requests served at the same time; others wait


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
        from tlbench.serving.server import make_server
        from tlbench.study.site import LOOPBACK, make_site
    except ModuleNotFoundError as error:
        if error.name not in ("flask", "waitress"):
            raise
        raise TlbenchError(f"serving a study needs {error.name}; install it: pip install 'tlbench[study]'") from error
    one_server = owned(folder, name="server", take_over=take_over)
    with Store(folder) as store, one_server, listening(host, port) as listener:
        store.check_writable()
        hosts = (*LOOPBACK, *([name] if name else [])) if is_loopback(host) else None
        server = make_server(
            make_site(store, hosts),
            listener,
            threads=THREADS,
            connections_of_one=connections_of_one,
            behind_proxy=name is not None,
        )
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listener.getsockname()[1]}/")
        server.run()
