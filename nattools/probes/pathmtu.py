"""How large may a packet be? Path MTU discovery by asking (RFC 8899 5.3): packets that no router may
fragment, of several sizes at once, until the largest that is answered is known.

ICMP errors (RFC 1191, RFC 8201) say where to look and are believed only if a packet of that size is answered:
a router may say anything. Silence counts in as many copies as the path's loss asks for. A STUN message has
whole words, so sizes are known to 4 bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint, Family
from nattools.model.ipv6trial import MtuTrial
from nattools.model.observation import Hop
from nattools.net.base import IcmpError, Network, UdpSocket
from nattools.net.eventloop import AllEvents, TimedEvent
from nattools.probes.layers import FARTHEST as WALKED
from nattools.probes.layers import walk
from nattools.probes.probe import LaneProbe, ProbeContext, ProbeOptions
from nattools.probes.sizesearch import HEADERS, SizeSearch, largest_for
from nattools.probes.target import Target
from nattools.protocols import stun

HOP_COPIES = 3


class PathMtuProbe(LaneProbe):
    """The most able server, over both families."""

    name = "path-mtu"
    text = "how large may a packet be?"
    commands = frozenset({"ipv6"})
    transport = "udp"
    tells_loss = False
    capability = "dont-fragment"
    question = "How large may a packet be?"
    settle = "the same command on Linux, macOS or Windows"

    def wanted(self, options: ProbeOptions) -> bool:
        """Unless it is not wanted."""
        return options.mtu and super().wanted(options)

    def over(self, options: ProbeOptions, family: Family) -> bool:
        """Over both families."""
        return True

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """What fits the interface first; then ever closer."""
        asked, link = (
            targets[0].endpoint,
            link_mtu(context.network, targets[0].endpoint.host, context.interface),
        )
        began = asyncio.get_running_loop().time()
        try:
            socket = await context.network.open_udp(
                family=context.family, interface=context.interface, dont_fragment=True
            )
        except CannotRun:
            return
        with closing(SizeClient(context, socket, asked)) as client:
            await client.narrow(largest_for(link))
            here = client.failed in client.refused
            deaf = context.network.missing("icmp-errors") is not None
            hole = None not in (client.passed, client.failed) and client.told is None and not (here or deaf)
            last_hop = await _last_hop(context, asked, client.failed or 0) if hole else None
        context.recorder.add(
            MtuTrial(
                probe=self.name,
                family=context.family,
                asked=str(asked),
                passed=client.passed,
                failed=client.failed,
                link=link,
                told=client.told,
                told_by=client.told_by,
                last_hop=last_hop,
                refused_here=here,
                deaf=deaf,
                copies=client.copies,
                sent=client.sent,
            ),
            at=began,
        )


def link_mtu(network: Network, host: str, interface: str | None = None) -> int | None:
    """The MTU of the interface by which packets to this host leave, if it is known."""
    route = network.route(host)
    name = interface or (None if route is None else route[0])
    return next((each.mtu for each in network.interfaces() if each.name == name), None)


class SizeClient(SizeSearch):
    """A socket whose packets are not fragmented, and the server that is asked."""

    def __init__(self, context: ProbeContext, socket: UdpSocket, asked: Endpoint) -> None:
        super().__init__(context.estimate)
        self.sent = 0
        self.close = socket.close
        self._context = context
        self._socket = socket
        self._asked = asked
        self._sizes: dict[bytes, int] = {}
        socket.on_datagram, socket.on_icmp = self._datagram, self._icmp

    def _send(self, size: int) -> bool:
        """False: this machine itself refuses the size."""
        transaction = stun.new_transaction_id()
        self._sizes[transaction] = size
        self.sent += 1
        data = stun.binding_request(transaction, padded_to=size - HEADERS[self._context.family])
        return self._socket.send(data, self._asked) != "too-big"

    def _datagram(self, data: bytes, source: Endpoint) -> None:
        with suppress(ProtocolError):
            message = stun.decode(data)
            size = self._sizes.get(message.transaction_id)
            if size is not None and source == self._asked:
                self.answered(size)

    def _icmp(self, error: IcmpError) -> None:
        if error.kind == "too-big" and error.destination == self._asked:
            self.note_told(error)


async def _last_hop(context: ProbeContext, asked: Endpoint, size: int) -> str | None:
    """The router that packets of this size come to, and not to the next one; None: not known."""
    if context.network.missing("ttl") is not None:
        return None
    came_to = await _reached(context, asked, size)
    return last_before_silence(came_to, await walk(context, asked))


def last_before_silence(came_to: dict[int, str], hops: Sequence[Hop]) -> str | None:
    """Of the routers that answer Time Exceeded to large packets, by TTL, the furthest one, if what stands
    behind it answers to small ones, as `hops` has them up to the server. Else large packets may have gone on
    to a router that never answers, or farther than was looked."""
    last = max(came_to, default=0)
    beyond = hops[last].address is not None if last < len(hops) else last == len(hops) < WALKED
    return came_to[last] if last and beyond else None


async def _reached(context: ProbeContext, asked: Endpoint, size: int) -> dict[int, str]:
    """Who answers Time Exceeded to packets of this size, by TTL."""
    found: dict[int, str] = {}
    with ExitStack() as stack:
        events = []
        for ttl in range(1, WALKED + 1):
            socket = await context.network.open_udp(
                family=context.family, interface=context.interface, dont_fragment=True
            )
            stack.enter_context(closing(socket))
            events.append(_expect_hop(socket, ttl, found))
            data = stun.binding_request(stun.new_transaction_id(), padded_to=size - HEADERS[context.family])
            for _ in range(HOP_COPIES):
                socket.send(data, asked, ttl=ttl)
        await AllEvents(events).wait(context.estimate.last_wait_s)
    return found


def _expect_hop(socket: UdpSocket, ttl: int, found: dict[int, str]) -> TimedEvent:
    came = TimedEvent()

    def exceeded(error: IcmpError) -> None:
        if error.kind == "time-exceeded" and error.offender is not None:
            found[ttl] = error.offender
            came.set()

    socket.on_icmp = exceeded
    return came
