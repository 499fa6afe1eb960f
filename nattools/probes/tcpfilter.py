"""Who may connect to a port behind this NAT or firewall, over TCP (RFC 5382 4.3)?

STUN over TCP cannot ask that (an answer comes on the connection of its question), so a nattools server
dials back: to the outside address of a port that listens here and whose connection to the server made the
mapping.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.observation import DialBack
from nattools.net.base import TcpFailure, TcpStream
from nattools.probes.arrival import Arrival
from nattools.probes.context import ProbeContext
from nattools.probes.target import Target
from nattools.probes.tcpbinding import KNOWN_PATIENCE_S, TcpQuestion, ask_over_tcp
from nattools.protocols import dialback, stun

ORDERS = 3
Outcome = Literal["arrived", "refused", "timeout", "unreachable", "error", "denied"]


class DialBacks(msgspec.Struct):
    """The dial-backs asked for on one connection: who of them arrived, and what the server says of them."""

    context: ProbeContext
    nonces: set[bytes] = msgspec.field(default_factory=set)
    arrived: bool = False
    results: list[dialback.Result] = msgspec.field(default_factory=list)
    news: Arrival = msgspec.field(default_factory=Arrival)
    receipt: Arrival = msgspec.field(default_factory=Arrival)
    receipt_id: bytes = b""

    def accept(self, group: asyncio.TaskGroup, stream: TcpStream) -> None:
        """A connection came in: is it one of ours?"""
        group.create_task(self.greet(stream))

    async def greet(self, stream: TcpStream) -> None:
        """Read what this connection brings, until it is a nonce of ours; close it."""
        framer = stun.Framer()
        try:
            while data := await stream.read():
                for frame in framer.feed(data):
                    arrival = dialback.decode_indication(stun.decode(frame))
                    if arrival is not None and arrival.nonce in self.nonces:
                        self.arrived = True
                        self.news.set()
                        return
        except ProtocolError:
            return
        finally:
            stream.abort()

    async def listen_to(self, stream: TcpStream) -> None:
        """Take the server's results, and the receipt: the answer to a Binding request sent behind the order,
        so that it is known to have been read."""
        framer = stun.Framer()
        try:
            while data := await stream.read():
                for frame in framer.feed(data):
                    message = stun.decode(frame)
                    if message.transaction_id == self.receipt_id:
                        self.receipt.set()
                    elif message.method == dialback.METHOD and message.kind == "success":
                        self.results.append(dialback.decode_result(message))
                        if self.results[-1].outcome in ("refused", "denied", "error"):
                            self.news.set()
        except ProtocolError:
            return

    def outcome(self) -> Outcome:
        """In one word. "timeout" only if the server is known to have tried."""
        if self.arrived:
            return "arrived"
        said = {result.outcome for result in self.results}
        for word in ("refused", "unreachable", "denied", "error"):
            if word in said:
                return word
        return "timeout" if self.receipt.came else "error"


async def filtering_tcp(context: ProbeContext, target: Target, *, change_address: bool) -> None:
    """Have the server connect from another port, and from its other address if `change_address`. Once UDP has
    shown what the path loses, an order that got lost is given again, and attempts that are too few for
    their silence to count are added to."""
    silent = 0
    for _ in range(ORDERS):
        outcome, attempts = await _try(context, target, change_address)
        if outcome not in ("timeout", "error"):
            return
        silent += attempts if outcome == "timeout" else 0
        await context.settled.wait()
        if silent >= context.pace.copies():
            return


async def _try(context: ProbeContext, target: Target, change_address: bool) -> tuple[Outcome, int]:
    """What came of an order, and how many attempts it was for. "error": the order itself failed."""
    question = TcpQuestion(target.endpoint, "control")
    stream = await ask_over_tcp(context, question, timeout_s=KNOWN_PATIENCE_S)
    if isinstance(stream, TcpFailure):
        return "error", 0
    try:
        if question.mapped is None:
            return "error", 0
        return await _dialled(context, target, stream, question.mapped, change_address)
    finally:
        stream.abort()


async def _dialled(
    context: ProbeContext, target: Target, stream: TcpStream, mapped: Endpoint, change_address: bool
) -> tuple[Outcome, int]:
    backs = DialBacks(context)
    try:
        async with asyncio.TaskGroup() as group:
            listener = await context.network.listen_tcp(
                family=context.family,
                host=stream.local.host,
                port=stream.local.port,
                interface=context.interface,
                on_stream=lambda incoming: backs.accept(group, incoming),
            )
            reader = group.create_task(backs.listen_to(stream))
            try:
                asked = await _ask(context, stream, mapped.port, backs, change_address)
            finally:
                listener.close()
                stream.abort()
                reader.cancel()
    except* CannotRun:
        asked = 0
    if not asked:
        return "denied", 0  # the port cannot be listened on here: then there is nothing to observe
    _record(context, target, stream.local, mapped, backs, asked, change_address)
    return backs.outcome(), asked


async def _ask(
    context: ProbeContext, stream: TcpStream, port: int, backs: DialBacks, change_address: bool
) -> int:
    """Ask for as many attempts as make silence count; returns how many."""
    asked = 0
    while asked < context.pace.copies() and not backs.news.came:
        copies = min(dialback.MAX_COPIES, context.pace.copies() - asked)
        spacing_ms = max(1, round(context.pace.gap_s * 1000))
        nonce = dialback.new_nonce()
        backs.nonces.add(nonce)
        ask = dialback.Ask("tcp", port, nonce, change_address, True, copies, spacing_ms)
        stream.write(dialback.encode_request(stun.new_transaction_id(), ask))
        backs.receipt_id = stun.new_transaction_id()
        stream.write(stun.binding_request(backs.receipt_id))
        asked += copies
        backs.receipt.clear()
        await backs.receipt.within(KNOWN_PATIENCE_S)
        await backs.news.within(copies * spacing_ms / 1000 + context.pace.last_wait_s)
    return asked


def _record(
    context: ProbeContext,
    target: Target,
    local: Endpoint,
    mapped: Endpoint,
    backs: DialBacks,
    asked: int,
    change_address: bool,
) -> None:
    origin = next((result.origin for result in backs.results if result.origin is not None), None)
    if origin is None:
        host = target.other.host if change_address and target.other is not None else target.endpoint.host
        origin = Endpoint(host, 0)
    number, at_s = context.recorder.stamp()
    context.recorder.add(
        DialBack(
            id=number,
            probe="filtering-tcp",
            at_s=at_s,
            transport="tcp",
            family=context.family,
            target=str(mapped),
            origin=str(origin),
            change_address=change_address,
            change_port=True,
            fresh=True,
            outcome=backs.outcome(),
            sent=asked,
            local=str(local),
            detail=next((result.reason for result in backs.results if result.reason), ""),
        )
    )
