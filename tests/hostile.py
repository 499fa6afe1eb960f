"""A machine that punches in earnest, and one that has the right code and means ill; all in one simulator."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
from punching import MATRIX_KINDS, measured, punching

from nattools.engine.punch import signals as m
from nattools.engine.punch.options import PunchOptions, Use, Watcher
from nattools.engine.punch.punch import punch
from nattools.errors import CannotRun, ProtocolError
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.lab.sim.topology import NextHop
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report
from nattools.protocols import stun
from nattools.protocols.packet import ACK, SYN, Packet
from nattools.protocols.stun.constants import USERNAME
from nattools.traversal.codes import parse_code
from nattools.traversal.mailboxconnection import MailboxAddress
from nattools.traversal.rendezvous import Rendezvous, rendezvous

SERVER = "11.201.0.2"
SERVERS = "11.201."
VICTIM, NEIGHBOUR = "victim", "neighbour"


@dataclass
class Seen:
    """What came of it: alice's report, the packets that she sent, by destination, and what the two others
    got, who have nothing to do with it."""

    report: Report | None = None
    sent: Counter[Endpoint] = field(default_factory=Counter)
    arrived: Counter[str] = field(default_factory=Counter)
    took_s: float = 0.0

    @property
    def why(self) -> str:
        assert self.report is not None
        assert self.report.punch is not None
        return self.report.punch.why

    @property
    def connected(self) -> bool:
        return self.report is not None and self.report.punch is not None and self.report.punch.connected

    @property
    def packets(self) -> int:
        """Checks over UDP, ICE's and the strategies', and SYNs."""
        return sum(self.sent.values())

    @property
    def limit(self) -> tuple[int, int]:
        """What alice said that she would spend at most: packets, and addresses."""
        assert self.report is not None
        assert self.report.punch is not None
        said = [
            each.values
            for stage in self.report.punch.stages
            for each in stage.statements
            if each.code == "plan-limit" and stage.side == "here"
        ]
        return (0, 0) if not said else (int(str(said[-1]["packets"])), int(str(said[-1]["addresses"])))

    def kept_to_it(self) -> None:
        """Not one packet more, nor an address."""
        packets, addresses = self.limit if self.report is not None else (0, 0)
        assert self.packets <= packets
        assert len({place.host for place in self.sent}) <= addresses

    @property
    def announced(self) -> int:
        """The most that the plan says that alice sends."""
        assert self.report is not None
        assert self.report.punch is not None
        return sum(step.packets[0] for step in self.report.punch.plan if step.packets is not None)


class Foe:
    """Bob, who says what he likes."""

    def __init__(self, lab: SimLab, meeting: Rendezvous) -> None:
        self.lab, self.meeting = lab, meeting

    def say(self, message: m.Message | bytes) -> bool:
        return self.meeting.send(message if isinstance(message, bytes) else m.encode(message))

    async def heard(self) -> m.Message | None:
        """What alice says next; None: she has no more to say."""
        data = await self.meeting.receive()
        try:
            return m.decode(data) if isinstance(data, bytes) else None
        except ProtocolError:
            return None

    async def until(self, kind: type[m.Message]) -> m.Message | None:
        while (message := await self.heard()) is not None and not isinstance(message, kind):
            pass
        return message


def introduction(kind: str = "port-restricted", **said: object) -> m.Introduction:
    """A plausible one, and in it whatever else is `said`."""
    plain = m.Introduction(
        nonce=0,
        nat=m.without_evidence(measured(kind)),
        ufrag="abcdefgh",
        password="abcdefghijklmnopqrstuvwx",
    )
    return msgspec.structs.replace(plain, **said)


def home(kind: str) -> Scenario:
    """Alice and her neighbour behind one router; bob, and a third machine, on the internet."""
    router = MATRIX_KINDS[kind]
    assert isinstance(router, NatSpec)
    hosts = {"alice": HostSpec(behind="a", delay_ms=5), NEIGHBOUR: HostSpec(behind="a")}
    hosts |= {"bob": HostSpec(delay_ms=5), VICTIM: HostSpec()}
    return Scenario(title="home", nat={"a": router}, host=hosts, server={"stun": ServerSpec()})


def against(
    foe: Callable[[Foe], Awaitable[None]],
    *,
    kind: str = "port-restricted",
    use: Use | None = None,
    limit_s: float = 300.0,
) -> Seen:
    """Alice opens a room, and bob joins with her code and does what `foe` does."""
    seen = Seen()
    for each in (kind, "port-restricted", "symmetric-random"):
        measured(each)  # in a simulator of its own, before this one runs
    with SimLab(home(kind), seed=3) as lab:
        for name in (VICTIM, NEIGHBOUR):
            _count(lab, name, seen.arrived)
        seen.sent = named(lab, "alice")

        async def main() -> None:
            loop = asyncio.get_running_loop()
            measuring = punching(lab)
            code: asyncio.Future[str] = loop.create_future()

            async def join() -> None:
                address = MailboxAddress(SERVER)
                async with rendezvous(lab.network("bob"), address, parse_code(await code)) as meeting:
                    if await meeting.confirmed() is None:  # unless the mailbox is in the way
                        await foe(Foe(lab, meeting))

            async with asyncio.timeout(limit_s), asyncio.TaskGroup() as group:
                joining = group.create_task(join())
                options = PunchOptions(measuring=measuring, low_ports=False)
                began = loop.time()
                with contextlib.suppress(CannotRun):  # a mailbox that is none
                    seen.report = await punch(
                        lab.network("alice"), options, Watcher(code=code.set_result), None, use
                    )
                seen.took_s = loop.time() - began
                joining.cancel()

        lab.run(main)
    return seen


def named(lab: SimLab, name: str) -> Counter[Endpoint]:
    """Counts, from now on, what leaves this machine for others than servers because a peer has named them:
    checks over UDP, and SYNs, repeated ones too."""
    stack = lab.net.node(name).stack
    sent: Counter[Endpoint] = Counter()
    before = stack.depart

    def departed(hop: NextHop, packet: Packet) -> None:
        syn = packet.protocol == "tcp" and packet.flags & (SYN | ACK) == SYN
        if not packet.destination.startswith(SERVERS) and (syn or _is_check(packet.payload)):
            sent[Endpoint(packet.destination, packet.destination_port)] += 1
        before(hop, packet)

    stack.depart = departed
    return sent


def _is_check(data: bytes) -> bool:
    """Only those name somebody; what the measurement sends names nobody."""
    try:
        return stun.decode(data).get(USERNAME) is not None
    except ProtocolError:
        return False


def _count(lab: SimLab, name: str, arrived: Counter[str]) -> None:
    node = lab.net.node(name)
    before = node.stack.input

    def counted(packet: Packet) -> None:
        arrived[name] += 1
        before(packet)

    node.input = counted
