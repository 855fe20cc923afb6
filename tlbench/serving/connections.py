"""Waitress with limits on time and on connections, so that nobody who only waits keeps others out.

Waitress alone stops to accept anybody at its limit of connections, takes one byte now and then for activity, and never
closes a connection whose other end reads nothing (it waits until the socket can be written). So here:

* A request has to arrive within a time, whatever its pace, and some of an answer has to be read all the time.
* Where there are too many connections, of one address or in all, the one that has waited longest for nothing is closed
  for a new one. Nobody new is refused while any connection only waits.
* One request at a time: what a client sends before it has its answer is dropped, and the connection closed after it.

Times are in seconds of a clock that does not go back, sizes in bytes.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer

from tlbench.serving.addresses import network

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

FIRST_SECONDS = 10.0  # until a new connection sends anything
REQUEST_SECONDS = 20.0  # from the first byte of a request to its last
KEPT_SECONDS = 60.0  # until the next request after an answer
READ_SECONDS = 30.0  # in which some of an answer has to be read
# Of each connection, in the kernel. Linux doubles it and tells of room when a third is free, so "some" of an answer is
# 85 kB, and who reads less than 3 kB a second is closed. A browser asks for the rest of a video anew.
SEND_BUFFER = 128 * 1024
ACCEPTED_AT_ONCE = 64  # connections taken before the open ones have their turn again


class OneRequest(HTTPRequestParser):
    """Reads a request. What follows it at once is dropped, and any request that can't be read is refused as such.

    Waitress waits for a body after ``Expect: 100-continue`` even where there is none; here it does not.
    """

    def received(self, data: bytes) -> int:
        """Take bytes of a request; the number of those that were used."""
        used = super().received(data)
        if self.completed:
            self.expect_continue = False
        if self.completed and not self.empty and data[used:].strip():
            headers: dict[str, str] = self.headers  # type: ignore[assignment]  # a dict in fact
            headers["CONNECTION"] = "close"
            used = len(data)
        return used

    def parse_header(self, header_plus: bytes) -> None:
        """Waitress lets through what ``int`` and ``urlsplit`` raise: numbers of thousands of digits, half addresses."""
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError("Malformed request") from error


class Connection(HTTPChannel):
    """One connection, which knows for how long it has waited.

    Attributes
    ----------
    network : str
        Whom the address at the other end belongs to, see :func:`tlbench.serving.addresses.network`.
    answered : int
        Number of requests answered.
    since : float
        When it was last known to be of use: accepted, answered or read from.
    """

    parser_class = OneRequest
    answered = 0

    def __init__(self, server: LimitedServer, place: socket.socket, address: Any, adjustments: Adjustments) -> None:
        self.network = network(address[0])
        self.since = time.monotonic()
        self._seen: tuple[bool, int] = (False, 0)
        self._asked_since: float | None = None
        self._unread = 0
        super().__init__(server, place, address, adjustments, map=server.map)

    def service(self) -> None:
        """Answer a request, in a thread of the pool."""
        super().service()
        self.answered += 1

    @property
    def idleness(self) -> tuple[int, float]:
        """What is closed first: who never asked, who sends slowly, who was answered, who reads; then the oldest."""
        if self.total_outbufs_len:
            return 3, self.since
        if self.answered and self.request is None:
            return 2, self.since
        return int(self.request is not None), self.since

    def overdue(self, now: float) -> bool:
        """Whether its time is over. To be called every second or so; never true while a request is answered."""
        if self.requests:
            return False
        sending = self.total_outbufs_len > 0
        if (sending, self.answered) != self._seen:
            self._seen, self.since, self._asked_since = (sending, self.answered), now, None
            self._unread = self.total_outbufs_len
        waited = now - self.since
        if sending:
            if self.total_outbufs_len < self._unread:
                self.since, self._unread, waited = now, self.total_outbufs_len, 0.0
            return waited >= READ_SECONDS
        if self._asked_since is None and self.request is not None:
            self._asked_since = now
        if self._asked_since is not None:  # and empty lines do not start it again
            return now - self._asked_since >= REQUEST_SECONDS
        return waited >= (KEPT_SECONDS if self.answered else FIRST_SECONDS)


class LimitedServer(TcpWSGIServer):
    """Waitress's server with these connections.

    Parameters
    ----------
    site : WSGI application
    listener : socket
        Bound and listening.
    adjustments : waitress.adjustments.Adjustments
        Its ``connection_limit`` is not reached, and its ``channel_timeout`` not used.
    most : int
        Connections in all.
    most_of_one : str -> int
        The most connections that a network (:mod:`tlbench.serving.addresses`) may have.
    """

    channel_class = Connection

    def __init__(
        self,
        site: WSGIApplication,
        listener: socket.socket,
        adjustments: Adjustments,
        most: int,
        most_of_one: Callable[[str], int],
    ) -> None:
        self.most, self.most_of_one = most, most_of_one
        self.map: dict[int, Any] = {}  # waitress keeps everything it polls here
        place = (listener.family, listener.type, listener.proto, listener.getsockname())
        super().__init__(site, self.map, True, listener, adj=adjustments, sockinfo=place, bind_socket=False)

    def connections(self) -> list[Connection]:
        """Those that are open and stay so."""
        channels: Iterable[Connection] = self.active_channels.values()  # type: ignore[attr-defined]
        return [channel for channel in channels if not channel.will_close]

    def set_socket_options(self, conn: socket.socket) -> None:
        """Bound what the system keeps of an answer that is not read yet."""
        super().set_socket_options(conn)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def handle_accept(self) -> None:
        """Accept who waits, and make room for them."""
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted = self.accept()
            except OSError:  # no file descriptors, or gone before it was accepted
                self._close_one(self.connections())
                return
            if accepted is None:
                return
            place, address = accepted
            if not self._make_room(network(address[0])):
                place.close()
                continue
            try:
                self.set_socket_options(place)
            except OSError:  # gone already
                place.close()
                continue
            Connection(self, place, address, self.adj)

    def maintenance(self, now: float) -> None:
        """Mark the connections whose time is over. Waitress calls this every ``cleanup_interval`` seconds."""
        clock = time.monotonic()
        for connection in self.connections():
            if connection.overdue(clock):
                connection.will_close = True

    def run(self) -> None:
        """Serve until a signal is raised, then :meth:`stop`."""
        try:
            while True:
                self.asyncore.loop(timeout=self.adj.asyncore_loop_timeout, use_poll=True, map=self.map, count=1)
                self._close_marked()
        finally:
            self.stop()

    def stop(self) -> None:
        """Give the answers that are being made half a second, then close everything."""
        self.task_dispatcher.shutdown(timeout=0.5)  # type: ignore[arg-type]  # seconds, whole or not
        for channel in list(self.active_channels.values()):  # type: ignore[attr-defined]
            channel.handle_close()
        self.close()

    def _close_marked(self) -> None:
        """Close what is marked. Between two turns of the loop, else a new connection may get the old one's events."""
        for channel in list(self.active_channels.values()):  # type: ignore[attr-defined]
            if channel.will_close and not channel.requests:
                channel.handle_close()

    def _make_room(self, of: str) -> bool:
        """Mark connections so that one more is within both limits. False if all are being answered."""
        open_ones = self.connections()
        of_one = [connection for connection in open_ones if connection.network == of]
        if len(of_one) >= self.most_of_one(of):
            return self._close_one(of_one)
        if len(open_ones) >= self.most:
            counts = Counter(connection.network for connection in open_ones)
            largest = max(counts.values())
            return self._close_one(c for c in open_ones if counts[c.network] == largest)
        return True

    def _close_one(self, connections: Iterable[Connection]) -> bool:
        """Mark the connection that is of least use, and whether there was one that is not being answered."""
        waiting = [connection for connection in connections if not connection.requests]
        if waiting:
            min(waiting, key=lambda connection: connection.idleness).will_close = True
        return bool(waiting)
