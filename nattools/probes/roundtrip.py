"""How long is a round trip, while nothing else is under way? Within a measurement answers wait for this
machine's own work, some milliseconds, which is more than a short way takes."""

from __future__ import annotations

from collections.abc import Sequence

from nattools.net.base import TcpFailure
from nattools.net.eventloop import AllEvents
from nattools.probes.probe import LaneProbe, ProbeContext
from nattools.probes.question import open_stun_client
from nattools.probes.target import BindingQuestion, Target
from nattools.probes.tcpquestion import PATIENCE_S, ask_over_tcp

MOST_SERVERS = 4
ROUNDS = 3
SHORT_S = 0.02
"""Of longer round trips some milliseconds make no difference."""
APART_S = 0.005
"""So long an answer is waited for before the next server is asked too."""


class _Quiet(LaneProbe):
    text = "how long is a round trip?"
    commands = frozenset({"diagnose", "nat"})
    tells_loss = False
    last = True

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Unless it is known well enough."""
        lowest_s = context.estimate.lowest_s
        if lowest_s is not None and self.doubted(context, lowest_s):
            await self.ask(context, targets)

    def doubted(self, context: ProbeContext, lowest_s: float) -> bool:
        """May what was found be this machine's own time?"""
        return lowest_s < SHORT_S

    async def ask(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """What is lost is not asked again."""


class RoundTrip(_Quiet):
    """Each server in turn, a few times. For `ipv6`, over IPv4 however long it takes: little else is asked
    there, and what IPv6 takes is compared with it."""

    name = "round-trip"
    transport = "udp"
    commands = frozenset({"diagnose", "nat", "ipv6"})

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """The best few."""
        return ranked[:MOST_SERVERS]

    def doubted(self, context: ProbeContext, lowest_s: float) -> bool:
        """Over IPv4, for `ipv6`, in any case; over IPv6 more was asked."""
        if context.options.command == "ipv6":
            return context.family == 4
        return super().doubted(context, lowest_s)

    async def ask(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        with await open_stun_client(context) as client:
            for _ in range(ROUNDS):
                asked = [client.prepare(target.endpoint, "round-trip") for target in targets]
                for question in asked:
                    client.send(question)
                    await question.done.wait(APART_S)
                await AllEvents([question.done for question in asked]).wait(context.estimate.retry_s)
                for question in asked:
                    client.record(question)


class RoundTripTcp(_Quiet):
    """The best server, once."""

    name = "round-trip-tcp"
    transport = "tcp"

    async def ask(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        question = BindingQuestion(targets[0].endpoint, "round-trip")
        stream = await ask_over_tcp(context, question, timeout_s=PATIENCE_S)
        if not isinstance(stream, TcpFailure):
            stream.close()
