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
from nattools.net.base import IcmpError, UdpSocket
from nattools.net.eventloop import AllEvents, TimedEvent
from nattools.probes.probe import LaneProbe, ProbeContext, ProbeOptions
from nattools.probes.target import Target
from nattools.protocols import stun

LARGEST = 9216
"""Of jumbo frames; what goes to this machine itself may be larger still."""
ORDINARY = 1500
LEAST = 576
AT_ONCE = 8
FARTHEST = 6
HOP_COPIES = 3
HEADERS: dict[Family, int] = {4: 28, 6: 48}
"""IP and UDP."""


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
        """Both."""
        return True

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """What fits the interface first; then ever closer."""
        asked, link = targets[0].endpoint, _link_mtu(context, targets[0].endpoint)
        began = asyncio.get_running_loop().time()
        try:
            socket = await context.network.open_udp(
                family=context.family, interface=context.interface, dont_fragment=True
            )
        except CannotRun:
            return
        with closing(SizeClient(context, socket, asked)) as client:
            await client.narrow(min(link or ORDINARY, LARGEST))
            here = client.failed in client.refused
            hole = None not in (client.passed, client.failed) and client.told is None and not here
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
                copies=client.copies,
                sent=client.sent,
            ),
            at=began,
        )


def _link_mtu(context: ProbeContext, asked: Endpoint) -> int | None:
    route = context.network.route(asked.host)
    name = context.interface or (None if route is None else route[0])
    return next((each.mtu for each in context.network.interfaces() if each.name == name), None)


class SizeClient:
    """A socket whose packets are not fragmented. `passed` is the largest IP packet that was answered,
    `failed` the smallest that was not; `told` the least MTU that an ICMP error told, `refused` the sizes
    that this machine itself does not send."""

    def __init__(self, context: ProbeContext, socket: UdpSocket, asked: Endpoint) -> None:
        self.passed: int | None = None
        self.failed: int | None = None
        self.told: int | None = None
        self.told_by: str | None = None
        self.refused: set[int] = set()
        self.copies = 0
        self.sent = 0
        self.close = socket.close
        self._context = context
        self._socket = socket
        self._asked = asked
        self._sizes: dict[bytes, int] = {}
        self._answered: dict[int, TimedEvent] = {}
        socket.on_datagram, socket.on_icmp = self._datagram, self._icmp

    async def narrow(self, largest: int) -> None:
        """Until `passed` and `failed` are neighbours, or nothing is answered."""
        await self._try((LEAST, largest))
        if self.passed == largest:
            self.failed = None
            return
        if self.told is not None and self.passed is not None and self.passed < self.told <= largest:
            await self._try((_whole(self.told),))
        while self.passed is not None and self.failed is not None and self.failed - self.passed > 4:
            before = self.passed, self.failed
            await self._try(between(self.passed, self.failed))
            if before == (self.passed, self.failed):
                return

    async def _try(self, sizes: Sequence[int]) -> None:
        """All at once, each until it is answered, or as often as makes silence count."""
        estimate = self._context.estimate
        events = {size: self._answered.setdefault(size, TimedEvent()) for size in sizes}
        refused, count = self.refused, 0
        while count < estimate.copies():
            count += 1
            waiting = [size for size in sizes if not events[size].is_set and size not in refused]
            refused |= {size for size in waiting if not self._send(size)}
            if await AllEvents([events[size] for size in waiting if size not in refused]).wait(
                estimate.gap_s
            ):
                break
        left = [events[size] for size in sizes if size not in refused and not events[size].is_set]
        if left:
            await AllEvents(left).wait(estimate.last_wait_s)
        self.copies = max(self.copies, count)
        for size in sizes:
            if events[size].is_set:
                self.passed = max(size, self.passed or 0)
            else:
                self.failed = min(size, self.failed or size)
        if self.passed is not None and self.failed is not None and self.failed <= self.passed:
            self.failed = None

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
                self._answered[size].set()

    def _icmp(self, error: IcmpError) -> None:
        if error.kind == "too-big" and error.destination == self._asked:
            told = error.mtu or self.told
            if self.told is None or (told is not None and told < self.told):
                self.told, self.told_by = told, error.offender or self.told_by


def _whole(size: int) -> int:
    """Without the bytes that no STUN message fills."""
    return size // 4 * 4


def between(passed: int, failed: int) -> tuple[int, ...]:
    """Sizes evenly between the two, so that a few rounds find the limit."""
    room = (failed - passed) // 4
    count = min(AT_ONCE, room - 1)
    step = room / (count + 1)
    return tuple(sorted({passed + 4 * max(1, round(step * number)) for number in range(1, count + 1)}))


async def _last_hop(context: ProbeContext, asked: Endpoint, size: int) -> str | None:
    """The furthest router that answers Time Exceeded to packets of this size: they came to it, and not to the
    next one."""
    if context.network.missing("icmp-errors") is not None or context.network.missing("ttl") is not None:
        return None
    found: dict[int, str] = {}
    with ExitStack() as stack:
        events = []
        for ttl in range(1, FARTHEST + 1):
            socket = await context.network.open_udp(
                family=context.family, interface=context.interface, dont_fragment=True
            )
            stack.enter_context(closing(socket))
            events.append(_expect_hop(socket, ttl, found))
            data = stun.binding_request(stun.new_transaction_id(), padded_to=size - HEADERS[context.family])
            for _ in range(HOP_COPIES):
                socket.send(data, asked, ttl=ttl)
        await AllEvents(events).wait(context.estimate.last_wait_s)
    return found[max(found)] if found else None


def _expect_hop(socket: UdpSocket, ttl: int, found: dict[int, str]) -> TimedEvent:
    came = TimedEvent()

    def exceeded(error: IcmpError) -> None:
        if error.kind == "time-exceeded" and error.offender is not None:
            found[ttl] = error.offender
            came.set()

    socket.on_icmp = exceeded
    return came
