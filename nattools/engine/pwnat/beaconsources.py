"""By which packets a listener keeps its NAT open for a caller's error, and where it hears of that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from nattools.engine.pwnat.knockreceiver import KnockReceiver
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.statement import Statement, statement
from nattools.net.base import IcmpError, IcmpSocket, Network, SendFailure, UdpSocket
from nattools.protocols.pwnat import BEACON, TARGETS, original
from nattools.traversal.budget import Budget

ORIGINAL_ADVICE: Final = (
    "The original's way takes CAP_NET_RAW on both sides: run it with sudo. Without --compat the listener "
    "needs nothing."
)


class BeaconSource(ABC):
    """`open` it with the socket that the connection will use; `close` it at the end."""

    def __init__(self, receiver: KnockReceiver) -> None:
        self.receiver = receiver

    @abstractmethod
    async def open(self, network: Network, socket: UdpSocket) -> None:
        """From now on errors are heard. Again with another socket. CannotRun: a privilege is missing."""

    @abstractmethod
    def send(self) -> list[SendFailure | None]:
        """One beacon to each place, and what kept it from leaving."""

    @abstractmethod
    def told(self, port: int) -> Statement:
        """What it sends, for the person."""

    def share(self, socket: UdpSocket) -> None:  # noqa: B027
        """The socket has been given to the checks, which also want to hear of errors."""

    def greet(self, socket: UdpSocket, place: Endpoint, budget: Budget) -> None:  # noqa: B027
        """What a caller there expects before anything else; from the budget, for he has proved nothing."""

    def close(self) -> None:  # noqa: B027
        """Idempotent."""


class UdpBeacons(BeaconSource):
    """Beacons over UDP, from the very port that is then used: no privilege, and no identifier to rewrite."""

    def __init__(self, receiver: KnockReceiver) -> None:
        super().__init__(receiver)
        self._socket: UdpSocket | None = None

    async def open(self, network: Network, socket: UdpSocket) -> None:
        self._socket = socket
        socket.on_icmp = self.receiver.take

    def send(self) -> list[SendFailure | None]:
        return [] if self._socket is None else [self._socket.send(BEACON, target) for target in TARGETS]

    def told(self, port: int) -> Statement:
        return statement("pwnat-beacons", port=port, targets=tuple(target.host for target in TARGETS))

    def share(self, socket: UdpSocket) -> None:
        rest = socket.on_icmp

        def heard(error: IcmpError) -> None:
            if self.receiver.about_beacon(error):
                self.receiver.take(error)
            elif rest is not None:
                rest(error)

        socket.on_icmp = heard


class EchoBeacons(BeaconSource):
    """As the original pwnat does it: echo requests, and whoever an error comes from is taken for a caller."""

    def __init__(self, receiver: KnockReceiver) -> None:
        super().__init__(receiver)
        self._icmp: IcmpSocket | None = None

    async def open(self, network: Network, socket: UdpSocket) -> None:
        if self._icmp is not None:
            return
        try:
            self._icmp = await network.open_icmp(family=4, identifier=original.IDENTIFIER)
        except CannotRun as error:
            raise CannotRun(str(error), ORIGINAL_ADVICE) from None
        port = socket.local.port
        self._icmp.on_icmp = lambda error: self.receiver.take_original(error, port)

    def send(self) -> list[SendFailure | None]:
        return [] if self._icmp is None else [self._icmp.send_echo(original.TARGET, original.SEQUENCE)]

    def told(self, port: int) -> Statement:
        return statement("pwnat-echoes", port=port, target=original.TARGET)

    def greet(self, socket: UdpSocket, place: Endpoint, budget: Budget) -> None:
        if budget.take(place):
            socket.send(original.HOLE, place)

    def close(self) -> None:
        if self._icmp is not None:
            self._icmp.close()
            self._icmp = None
