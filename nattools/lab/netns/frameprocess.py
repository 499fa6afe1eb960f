"""The process that carries a lab's frames: through all its userspace routers, along all its impaired wires
and tunnels. What happens to a userspace router while it runs, the lab tells it by a message (Linux)."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal

import msgspec

from nattools.errors import CannotRun
from nattools.lab.layout import Layout
from nattools.lab.nat.engine import NatEngine, Side
from nattools.lab.nat.portalpage import engine_of
from nattools.lab.netns import nft
from nattools.lab.netns.namespaces import Namespace
from nattools.lab.netns.tunnels import TunDevice, join_tunnel
from nattools.lab.netns.userspace import (
    ETH_P_IP,
    PACKET_HOST,
    Forwarder,
    FrameLoop,
    Send,
    UserspaceRouter,
    join,
    packet_socket,
    sender,
    userspace_router,
)
from nattools.lab.netns.wiring import WIRES, Wiring
from nattools.lab.scenario import NatSpec, RouterSpec, Scenario, routers
from nattools.net.system.namespace import entered

_ANSWER_LIMIT_S = 60.0
_ORDERS = "orders"
Change = Literal["restart", "next-address", "behave", "cut", "mend"]


class RouterOrder(msgspec.Struct, frozen=True):
    """What is to become of a userspace router: see `eventplayer.ChangeableLab`. `spec` is for "behave"."""

    router: str
    change: Change
    spec: NatSpec | None = None


class FrameProcess:
    """All userspace routers (`names`), wires and tunnels of a lab. `fork` starts a process; the devices of
    the namespaces must be there by then."""

    def __init__(
        self, scenario: Scenario, layout: Layout, wiring: Wiring, names: Sequence[str], seed: int
    ) -> None:
        self._scenario = scenario
        self._layout = layout
        self._wiring = wiring
        self._names = names
        self._seed = seed
        self._orders: socket.socket | None = None

    def start(
        self,
        namespaces: Mapping[str, Namespace],
        tunnels: Sequence[TunDevice],
        fork: Callable[[str, Callable[[], None]], int],
    ) -> None:
        """Carry frames from now on, if there is anything to carry."""
        if not self._names and WIRES not in namespaces:
            return
        frames = FrameLoop()
        running = {name: self._router(frames, name, namespaces[name]) for name in self._names}
        if WIRES in namespaces:
            self._add_wires(frames, namespaces[WIRES], tunnels)
        self._orders, heard = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.settimeout(_ANSWER_LIMIT_S)
        heard.setblocking(False)
        frames.listen(_Orders(heard), _ORDERS, partial(_obey, running, heard))
        fork("the userspace routers", frames.run)
        frames.close()

    def order(self, order: RouterOrder) -> None:
        """Have something done to a router; it is done when this returns. Nothing happens to one that is not a
        userspace router. CannotRun: the process does not answer."""
        if self._orders is None or order.router not in self._names:
            return
        try:
            self._orders.send(msgspec.json.encode(order))
            done = self._orders.recv(1)
        except OSError:
            done = b""
        if not done:
            raise CannotRun(f"the userspace router {order.router!r} does not answer")

    def close(self) -> None:
        """It hears of nothing any more. Idempotent."""
        if self._orders is not None:
            self._orders.close()
            self._orders = None

    def _router(self, frames: FrameLoop, name: str, namespace: Namespace) -> _RunningRouter:
        with entered(namespace.path):
            sock = packet_socket(ETH_P_IP)

        def described(spec: RouterSpec) -> UserspaceRouter:
            return userspace_router(self._layout, self._wiring, name, spec)

        senders: dict[Side, Send] = {"inside": sender(sock, nft.LAN), "outside": sender(sock, nft.WAN)}
        router = _RunningRouter(described, senders, random.Random(f"{self._seed} {name}"))
        router.take_on(routers(self._scenario)[name], self._layout.dmz_address(self._scenario, name))
        frames.listen(sock, nft.LAN, partial(router.arrived, "inside"))
        frames.listen(sock, nft.WAN, partial(router.arrived, "outside"))
        return router

    def _add_wires(self, frames: FrameLoop, namespace: Namespace, tunnels: Sequence[TunDevice]) -> None:
        with entered(namespace.path):
            sock = packet_socket()
        for tun, tunnel in zip(tunnels, self._wiring.tunnels, strict=True):
            join_tunnel(frames, tun, sock, tunnel, random.Random(f"{self._seed} {tunnel.end.name}"))
        for wire in self._wiring.wires:
            rng = random.Random(f"{self._seed} {wire.left.name}")
            join(frames, sock, wire.left.name, wire.right.name, wire.impairment, rng)


class _RunningRouter:
    """A userspace router, and what has been done to it."""

    def __init__(
        self,
        described: Callable[[RouterSpec], UserspaceRouter],
        senders: dict[Side, Send],
        rng: random.Random,
    ) -> None:
        self._described = described
        self._senders = senders
        self._rng = rng
        self._passes = True
        self._engine: NatEngine
        self._forwarder: Forwarder

    def take_on(self, spec: RouterSpec, dmz: str | None = None) -> None:
        """Be what the spec says. `dmz`: where everything goes that belongs to nothing."""
        router = self._described(spec)
        self._engine = engine_of(
            spec,
            inside=router.inside_network,
            outside_address=router.outside.address,
            inside_address=router.inside.address,
            rng=self._rng,
        )
        self._engine.forwards.everything = dmz
        self._forwarder = Forwarder(router, self._engine, self._senders)

    def arrived(self, side: Side, frame: bytes, kind: int) -> None:
        """A frame came in."""
        if kind == PACKET_HOST and self._passes:
            self._forwarder.receive(side, frame, time.monotonic())

    def obey(self, order: RouterOrder) -> None:
        """Do what is told."""
        if order.change == "behave" and order.spec is not None:
            before = self._engine
            self.take_on(order.spec)
            self._engine.follow(before)
        elif order.change == "next-address":
            self._engine.next_address()
        elif order.change == "restart":
            self._engine.forget()
        else:
            self._passes = order.change == "mend"


class _Orders:
    """A socket of orders, read as `FrameLoop` reads frames."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def fileno(self) -> int:
        """For `select`."""
        return self._sock.fileno()

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int, int]]:
        """The next order. OSError: there is none now, or never again."""
        return self._sock.recv(size), (_ORDERS, 0, PACKET_HOST)

    def close(self) -> None:
        """This process's copy."""
        self._sock.close()


def _obey(running: Mapping[str, _RunningRouter], answers: socket.socket, message: bytes, kind: int) -> None:
    """Obey an order and say so. An empty one: the lab has closed its end, and kills this process too."""
    if message:
        order = msgspec.json.decode(message, type=RouterOrder)
        running[order.router].obey(order)
        with suppress(OSError):
            answers.send(b"1")
