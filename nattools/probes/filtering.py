"""Who may send in, over UDP (RFC 4787 5) and over TCP (RFC 5382 4.3)?"""

from __future__ import annotations

import asyncio
from typing import Literal

from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.observation import DialBack
from nattools.net.base import TcpFailure, TcpStream
from nattools.probes.dialbacks import DialBacks, Outcome
from nattools.probes.probe import ProbeContext
from nattools.probes.question import Question, open_stun_client
from nattools.probes.target import Target
from nattools.probes.tcpquestion import KNOWN_PATIENCE_S, TcpQuestion, ask_over_tcp
from nattools.protocols import dialback, stun

ORDERS = 3


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
        await context.loss_known.wait()
        if silent >= context.estimate.copies():
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
    while asked < context.estimate.copies() and not backs.news.is_set:
        copies = min(dialback.MAX_COPIES, context.estimate.copies() - asked)
        spacing_ms = max(1, round(context.estimate.gap_s * 1000))
        nonce = dialback.new_nonce()
        backs.nonces.add(nonce)
        ask = dialback.Ask("tcp", port, nonce, change_address, True, copies, spacing_ms)
        stream.write(dialback.encode_request(stun.new_transaction_id(), ask))
        backs.receipt_id = stun.new_transaction_id()
        stream.write(stun.binding_request(backs.receipt_id))
        asked += copies
        backs.receipt.clear()
        await backs.receipt.wait(KNOWN_PATIENCE_S)
        await backs.news.wait(copies * spacing_ms / 1000 + context.estimate.last_wait_s)
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


FilterPurpose = Literal["filter-address", "filter-port"]


async def filtering_udp(context: ProbeContext, target: Target, purpose: FilterPurpose) -> Question | None:
    """Ask for an answer from another address and port, or from another port of the same address; None if
    the server answered no plain question before it."""
    client = await open_stun_client(context)
    try:
        control = await client.expect(client.prepare(target.endpoint, "control"))
        client.record(control)
        if control.answer is None:
            return None
        question = client.prepare(
            target.endpoint, purpose, change_address=purpose == "filter-address", change_port=True
        )
        await client.try_out(question)
        if question.answer is None:
            await context.loss_known.wait()
            await client.try_out(question)
        client.record(question)
        return question
    finally:
        client.close()
