"""Do two machines behind this NAT reach each other by their outside addresses (RFC 4787 6)?

Two own ports learn their outside addresses and then send to each other's, both of them, so that each has
opened its filter for the other. Repeated: a single try has given flaky answers elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import msgspec

from nattools.model.endpoint import Endpoint
from nattools.model.observation import Hairpin
from nattools.probes.estimate import BURST_S
from nattools.probes.probe import LaneProbe, ProbeContext
from nattools.probes.question import Question, StunClient, expect_all, open_stun_client
from nattools.probes.target import Target
from nattools.protocols import stun

ROUNDS = 3
COPIES = 3
LOSSY_COPIES = 7
GAP_S = 0.02


class _Pair(msgspec.Struct, eq=False):
    """Two own ports that know their outside addresses. `sent`: the packets, which nobody else can know;
    `sources`: where those came from that each port received."""

    clients: tuple[StunClient, StunClient]
    outside: tuple[Endpoint, Endpoint]
    sent: set[bytes] = msgspec.field(default_factory=set)
    sources: tuple[list[Endpoint], list[Endpoint]] = msgspec.field(default_factory=lambda: ([], []))

    @property
    def met(self) -> bool:
        """Has a packet of ours arrived at both?"""
        return bool(self.sources[0] and self.sources[1])

    def listen(self) -> None:
        """Note the packets of ours that arrive."""
        for client, sources in zip(self.clients, self.sources, strict=True):
            client.on_other = partial(self._arrived, sources)

    def _arrived(self, sources: list[Endpoint], data: bytes, source: Endpoint) -> None:
        if data in self.sent:
            sources.append(source)

    def send_across(self) -> None:
        """One packet each way."""
        for sender, target in ((0, 1), (1, 0)):
            packet = stun.binding_indication()
            self.sent.add(packet)
            self.clients[sender].socket.send(packet, self.outside[target])

    def record(self, context: ProbeContext, sender: int, receiver: int) -> None:
        """Put one of the two ways on record."""
        came = self.sources[receiver]
        target = self.outside[receiver]
        context.recorder.add(
            Hairpin(
                probe="hairpin",
                transport="udp",
                family=target.family,
                local=str(self.clients[sender].local),
                target=str(target),
                sent=len(self.sent) // 2,
                received=len(came),
                source=str(came[0]) if came else None,
            )
        )


class Hairpinning(LaneProbe):
    """`ROUNDS` pairs of fresh ports, side by side."""

    name = "hairpin"
    text = "does the NAT's outside address work from inside too?"
    transport = "udp"

    def servers(self, ranked: Sequence[Target]) -> Sequence[Target]:
        """The best one, if it sees another address than ours: else there is no NAT."""
        return [each for each in ranked[:1] if each.mapped and each.mapped.host != each.local_host]

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Learn the outside addresses, then send across."""
        await _try_pairs(context, targets[0])


class HairpinningAgain(Hairpinning):
    """Once more from other ports, where nothing came back and the path turned out to lose packets: all copies
    go out within an instant, and one burst of losses takes them all. Who connects does not wait for it."""

    name = "hairpin-again"
    text = "does it work from inside at another moment, if in doubt?"
    commands = frozenset({"diagnose", "nat"})
    after = ("hairpin",)
    tells_loss = False

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """Only if it is needed, and `BURST_S` after the first time."""
        await context.loss_known.wait()
        tried = [
            seen
            for seen in context.recorder.observations
            if isinstance(seen, Hairpin) and seen.family == context.family
        ]
        if not context.estimate.lost or any(seen.received for seen in tried):
            return
        if tried:
            since_s = asyncio.get_running_loop().time() - context.recorder.started - tried[-1].at_s
            await asyncio.sleep(max(0.0, BURST_S - since_s))
        await _try_pairs(context, targets[0])


async def _try_pairs(context: ProbeContext, target: Target) -> None:
    with ExitStack() as opened:
        clients = [opened.enter_context(await open_stun_client(context)) for _ in range(2 * ROUNDS)]
        asked = [(client, client.prepare(target.endpoint, "control")) for client in clients]
        await expect_all(asked)
        for client, question in asked:
            client.record(question)
        outside = [question.outside(client.local) for client, question in asked]
        pairs = [
            _Pair((clients[one], clients[one + 1]), (first, second))
            for one in range(0, len(clients), 2)
            if (first := outside[one]) is not None and (second := outside[one + 1]) is not None
            if first != clients[one].local
        ]
        for pair in pairs:
            pair.listen()
        # the NAT is nearer than the server
        copies = LOSSY_COPIES if context.estimate.lost else COPIES
        heard = await _send_beside(clients[0], target, pairs, copies)
        # a burst of losses may have taken the copies too
        if not (heard or await _send_beside(clients[0], target, pairs, LOSSY_COPIES)):
            return
        for pair in pairs:
            pair.record(context, 0, 1)
            pair.record(context, 1, 0)


async def _send_beside(client: StunClient, target: Target, pairs: list[_Pair], copies: int) -> bool:
    """Send across beside a question that the server answers, each copy beside one of it; False: neither did
    anything arrive nor was any of these answered at once, so that silence proves nothing. What was lost then
    is learnt."""
    control = client.prepare(target.endpoint, "control")
    await _send_across(pairs, copies, client, control)
    if control.done.is_set or any(pair.met for pair in pairs):
        return True
    client.record(await client.expect(control))
    return False


async def _send_across(pairs: list[_Pair], copies: int, client: StunClient, control: Question) -> None:
    """Until both ports of every pair got something, or silence counts. The control goes along until it is
    answered."""
    for _ in range(copies):
        if not control.done.is_set:
            client.send(control)
        for pair in pairs:
            pair.send_across()
        await asyncio.sleep(GAP_S)
        pairs = [pair for pair in pairs if not pair.met]
        if not pairs:
            return
    await asyncio.sleep(client.context.estimate.last_wait_s)
