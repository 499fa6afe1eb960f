"""Where a QUIC link's datagrams go: over the best pair of an ICE driver, which can be replaced, or over one
socket."""

from __future__ import annotations

from collections.abc import Callable

from nattools.model.endpoint import Endpoint
from nattools.net.base import UdpSocket
from nattools.protocols.demultiplex import SharedProtocol, protocol_of
from nattools.traversal.icedriver import IceDriver


class Carrier:
    """`nattools.traversal.link.DatagramPath` over the selected pair of whatever driver it was told to use.

    It takes the driver's `on_data` and `on_selected`; closing it gives them back and leaves the driver open.
    The driver before the last is still listened to, since the peer may change later than we do.
    """

    def __init__(self, driver: IceDriver | None = None) -> None:
        self.on_datagram: Callable[[bytes], None] | None = None
        self.on_change: Callable[[], None] | None = None
        self._driver: IceDriver | None = None
        self._before: IceDriver | None = None
        self._closed = False
        if driver is not None:
            self.use(driver)

    @property
    def local(self) -> Endpoint | None:
        """The own end of the pair in use."""
        pair = None if self._driver is None else self._driver.agent.usable
        return None if pair is None else pair.path[1]

    @property
    def remote(self) -> Endpoint | None:
        """The peer's end of the pair in use."""
        pair = None if self._driver is None else self._driver.agent.usable
        return None if pair is None else pair.path[2]

    def use(self, driver: IceDriver) -> None:
        """From now on send over this one's pairs."""
        if self._closed or driver is self._driver:
            return
        if self._before is not driver:
            self._let_go(self._before)
        self._before, self._driver = self._driver, driver
        if self._before is not None:
            self._before.on_selected = None
        driver.on_data, driver.on_selected = self._data, self._changed
        self._changed()

    def send(self, data: bytes) -> None:
        """Send now, or drop it if there is no pair at the moment."""
        if self._driver is not None:
            self._driver.send(data)

    def close(self) -> None:
        """Let go of the drivers. Idempotent."""
        self._closed = True
        self._let_go(self._driver)
        self._let_go(self._before)
        self._driver = self._before = None

    def _let_go(self, driver: IceDriver | None) -> None:
        if driver is not None:
            driver.on_data = driver.on_selected = None

    def _data(self, data: bytes, protocol: SharedProtocol, local: Endpoint, source: Endpoint) -> None:
        if protocol == "quic" and self.on_datagram is not None:
            self.on_datagram(data)

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


class SocketPath:
    """`nattools.traversal.link.DatagramPath` over one socket to one place; it owns the socket."""

    def __init__(self, socket: UdpSocket, remote: Endpoint) -> None:
        self.on_datagram: Callable[[bytes], None] | None = None
        self.on_change: Callable[[], None] | None = None
        self._socket = socket
        self._remote = remote
        socket.on_datagram = self._arrived

    @property
    def local(self) -> Endpoint | None:
        """Where the socket is bound."""
        return self._socket.local

    @property
    def remote(self) -> Endpoint | None:
        """Where everything is sent to, and comes from."""
        return self._remote

    def send(self, data: bytes) -> None:
        """Send now."""
        self._socket.send(data, self._remote)

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self._socket.on_datagram = None
        self._socket.close()

    def _arrived(self, data: bytes, source: Endpoint) -> None:
        if self.on_datagram is not None and source == self._remote and protocol_of(data) == "quic":
            self.on_datagram(data)
