"""Do fragments pass, and packets with an IPv6 extension header? Many firewalls drop them (RFC 7872, RFC
8900), and then what needs them fails: large DNS answers, IKE, some tunnels.

Outwards a Binding request travels in that form, which any server answers that gets it; its answer is whole.
Inwards a nattools server dials back, in that form, to a port that has just written to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from nattools.model.endpoint import Endpoint, Family
from nattools.model.packetform import FormOutcome, FormTrial, PacketForm
from nattools.net.base import Capability
from nattools.net.eventloop import TimedEvent
from nattools.probes.dialbacks import arrival_in, start_order
from nattools.probes.pathmtu import link_mtu
from nattools.probes.probe import LaneProbe, ProbeContext, ProbeOptions
from nattools.probes.question import PADDED_TO, StunClient, open_stun_client
from nattools.probes.sizesearch import LARGEST
from nattools.probes.target import Target
from nattools.protocols import dialback

FORMS: Final[dict[Family, tuple[PacketForm, ...]]] = {
    4: ("fragments",),
    6: ("fragments", "destination-options"),
}
_NEEDS: Final[dict[PacketForm, Capability]] = {
    "fragments": "fragments",
    "destination-options": "extension-headers",
}
_SPACING_MS: Final = 15
_MOST_ORDERS: Final = 8
_BUSY_S: Final = 0.15
_MORE_THAN_A_LINK: Final = 100


class PacketForms(LaneProbe):
    """The most able server, over both families."""

    name = "packet-forms"
    text = "do fragments pass?"
    commands = frozenset({"ipv6"})
    transport = "udp"
    tells_loss = False

    def over(self, options: ProbeOptions, family: Family) -> bool:
        """Over both families."""
        return True

    async def run(self, context: ProbeContext, targets: Sequence[Target]) -> None:
        """All forms at once, each in both directions."""
        async with asyncio.TaskGroup() as group:
            for form in FORMS[context.family]:
                group.create_task(_try(context, targets[0], form))


async def _try(context: ProbeContext, target: Target, form: PacketForm) -> None:
    with await open_stun_client(context) as client:
        control = await client.expect(client.prepare(target.endpoint, "control"))
        client.record(control)
        if control.answer is None:
            return
        outside = control.outside(client.local)
        await context.loss_known.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(OutwardTrial(context, client, target, form).run())
            group.create_task(InwardTrial(context, client, target, form, outside).run())


class OutwardTrial(msgspec.Struct):
    """From here to the server."""

    context: ProbeContext
    client: StunClient
    target: Target
    form: PacketForm

    async def run(self) -> None:
        """Until one copy is answered, or silence counts."""
        began = asyncio.get_running_loop().time()
        size, why = self._size()
        if why is not None:
            self._record(began, "not tried", size, 0, why)
            return
        client, estimate = self.client, self.context.estimate
        question = client.prepare(self.target.endpoint, "control", padded_to=size, form=self.form)
        while len(question.sent_at) < (2 if estimate.lost else 1) * estimate.copies():
            client.send(question)
            if await question.done.wait(estimate.gap_s):
                break
        if not question.done.is_set:
            await question.done.wait(estimate.last_wait_s)
        outcome: FormOutcome = "silent" if question.outcome in ("timeout", "prohibited") else "not tried"
        if question.answer is not None:
            outcome = "passed"
        self._record(began, outcome, size, len(question.sent_at), question.detail or question.failure or "")

    def _size(self) -> tuple[int, str | None]:
        """The size of the message, and why none would do."""
        why = self.context.network.missing(_NEEDS[self.form])
        if self.form != "fragments":
            return PADDED_TO, why
        link = link_mtu(self.context.network, self.target.endpoint.host, self.context.interface)
        size = max(dialback.FRAGMENTED_SIZE, (link or 0) + _MORE_THAN_A_LINK)
        if size > LARGEST:
            why = why or "this machine's interface takes packets that are larger than any on the way"
        return size, why

    def _record(self, began: float, outcome: FormOutcome, size: int, sent: int, detail: str) -> None:
        target, form = self.target, self.form
        seen = _observed(target, form, outcome, outward=True, size=size, sent=sent, detail=detail)
        self.context.recorder.add(seen, at=began)


class InwardTrial(msgspec.Struct):
    """From the server to the client's port, which is `outside` there and open for it."""

    context: ProbeContext
    client: StunClient
    target: Target
    form: PacketForm
    outside: Endpoint | None
    sent: int = 0
    detail: str = ""

    async def run(self) -> None:
        """Until one copy arrives, or silence counts."""
        began = asyncio.get_running_loop().time()
        outcome: FormOutcome = "not tried"
        if self.outside is None or not self.target.dials_back("udp"):
            self.detail = "the server does not send on request"
        else:
            outcome = await self._orders(self.outside.port)
        size = dialback.FRAGMENTED_SIZE if self.form == "fragments" else 0
        target, form, detail = self.target, self.form, "" if outcome == "passed" else self.detail
        seen = _observed(target, form, outcome, outward=False, size=size, sent=self.sent, detail=detail)
        self.context.recorder.add(seen, at=began)

    async def _orders(self, port: int) -> FormOutcome:
        nonce, arrived = dialback.new_nonce(), TimedEvent()

        def on_other(data: bytes, source: Endpoint) -> None:
            arrival = arrival_in(data)
            if arrival is not None and arrival.nonce == nonce:
                arrived.set()

        self.client.on_other = on_other
        estimate = self.context.estimate
        for _ in range(_MOST_ORDERS):
            copies = max(1, min(dialback.MAX_COPIES, estimate.copies() - self.sent))
            ask = dialback.Ask("udp", port, nonce, copies=copies, spacing_ms=_SPACING_MS, form=self.form)
            result = await self._result(ask)
            if result is None or (result.outcome != "denied" and result.form != self.form):
                self.detail = self.detail or "the server does not send such packets"
                return "not tried"
            if result.outcome == "denied":
                self.detail = result.reason
                await asyncio.sleep(_BUSY_S)
                continue
            self.sent += copies
            if await arrived.wait(estimate.last_wait_s):
                return "passed"
            if self.sent >= estimate.copies():
                return "silent"
        return "not tried"

    async def _result(self, ask: dialback.Ask) -> dialback.Result | None:
        order = start_order(self.client, self.target, ask, self.context.estimate.retry_s)
        await self.client.exchanges.run()
        self.detail = "" if order.result is not None else f"the server did not confirm it: {order.failure}"
        return order.result


def _observed(
    target: Target,
    form: PacketForm,
    outcome: FormOutcome,
    *,
    outward: bool,
    size: int,
    sent: int,
    detail: str,
) -> FormTrial:
    return FormTrial(
        probe=PacketForms.name,
        family=target.family,
        form=form,
        outward=outward,
        asked=str(target.endpoint),
        outcome=outcome,
        able=target.nattools,
        size=size,
        sent=sent,
        detail=detail,
    )
