"""The same questions over TCP: connecting and asking, both on record."""

from __future__ import annotations

import asyncio

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.observation import Connection
from nattools.net.base import TcpFailure, TcpStream
from nattools.probes.estimate import RttHint
from nattools.probes.probe import ProbeContext
from nattools.probes.question import PADDED_TO
from nattools.probes.target import BindingQuestion, readable, text_of
from nattools.protocols import stun

PATIENCE_S = 3.8
"""For a port that may be closed to us in silence: SYNs at 0, 1 and 3 s."""
ROUTE_S = 1.5
"""For a router that says that it has no route: it may be about to get one."""
KNOWN_PATIENCE_S = 7.5
"""For a port that has answered before: SYNs, or segments, at 0, 1, 3 and 7 s."""
CONNECTED_S = 1.5
"""For a connection on a path that loses nothing, as far as is known: a segment may go twice."""


def connected_patience_s(context: ProbeContext) -> float:
    """For an answer on a connection that answered before: where the path loses, a segment may go three
    times."""
    return KNOWN_PATIENCE_S if context.estimate.lost else CONNECTED_S + 2 * context.estimate.rtt_s


async def ask_over_tcp(
    context: ProbeContext,
    question: BindingQuestion,
    *,
    timeout_s: float,
    local: Endpoint | None = None,
    rtt_hint: RttHint | None = None,
) -> TcpStream | TcpFailure:
    """Connect (from `local`) and ask; both go on record. The stream is the caller's to close, answered
    or not. Where UDP has shown meanwhile that the path loses packets, silence is given further chances."""
    with context.estimate.tcp_questions:
        return await _ask(context, question, timeout_s, local, rtt_hint)


async def _ask(
    context: ProbeContext,
    question: BindingQuestion,
    timeout_s: float,
    local: Endpoint | None,
    rtt_hint: RttHint | None,
) -> TcpStream | TcpFailure:
    loop = asyncio.get_running_loop()
    for patience_s in (timeout_s, KNOWN_PATIENCE_S, KNOWN_PATIENCE_S):
        began = loop.time()
        stream = await _connect(context, question.asked, local, patience_s)
        connected_s = loop.time() - began
        if isinstance(stream, TcpFailure):
            question.failure, question.detail = stream.outcome, stream.detail
            _record_connection(context, question, None, began, None)
        else:
            _record_connection(context, question, stream.local, began, round(connected_s, 6))
            stream = await _ask_on(context, stream, question, patience_s)
        if question.answer is not None or question.failure != "timeout" or not context.estimate.lost:
            break
        if not isinstance(stream, TcpFailure):
            stream.abort()
    if rtt_hint is not None and not (isinstance(stream, TcpFailure) and stream.outcome != "refused"):
        rtt_hint.rtt_s = connected_s
    return stream


async def _connect(
    context: ProbeContext, asked: Endpoint, local: Endpoint | None, patience_s: float
) -> TcpStream | TcpFailure:
    """Connect; where there seems to be no route, again for a while."""
    loop = asyncio.get_running_loop()
    host, port = local or (None, 0)
    lost_until = loop.time() + min(ROUTE_S, patience_s)
    while True:
        stream = await context.network.connect_tcp(
            asked, host=host, port=port, interface=context.interface, timeout_s=patience_s
        )
        lost = isinstance(stream, TcpFailure) and stream.outcome == "unreachable"
        if not lost or loop.time() >= lost_until:
            return stream
        await asyncio.sleep(ROUTE_S / 5)


async def _ask_on(
    context: ProbeContext, connected: TcpStream, question: BindingQuestion, patience_s: float
) -> TcpStream:
    """Ask on a connection, within TLS where the server is asked so; the question and what came of it go on
    record. What is returned is the stream to go on with."""
    loop = asyncio.get_running_loop()
    question.failure = None
    asked_at = loop.time()
    limit = loop.call_later(patience_s, connected.abort)
    stream = connected
    try:
        stream = await _secured(context, connected, question, patience_s)
        asked_at = loop.time()
        if question.failure is None:
            await _converse(stream, question)
    except asyncio.CancelledError:
        stream.abort()
        raise
    finally:
        limit.cancel()
    if question.answer is None and loop.time() >= limit.when():
        question.failure, question.detail = "timeout", ""
    if question.answer is not None:
        question.rtt_s = loop.time() - asked_at
        context.estimate.add_tcp_rtt(question.rtt_s)
    answered = question.answer is not None
    observed = question.observed(
        "tcp",
        stream.local,
        loop.time() - asked_at,
        received=int(answered),
        source=str(question.asked) if answered else None,
    )
    context.recorder.add(observed, at=asked_at)
    return stream


async def ask_again(context: ProbeContext, stream: TcpStream, before: BindingQuestion) -> bool:
    """Ask once more on a connection, and put it on record: is it there, with the outside port that it had?"""
    loop = asyncio.get_running_loop()
    again, asked_at = BindingQuestion(before.asked, before.purpose), loop.time()
    limit = loop.call_later(connected_patience_s(context), stream.abort)
    try:
        await _converse(stream, again)
    finally:
        limit.cancel()
    if again.answer is None and loop.time() >= limit.when():
        again.failure, again.detail = "timeout", ""
    received = int(again.answer is not None)
    observed = again.observed("tcp", stream.local, loop.time() - asked_at, received=received)
    context.recorder.add(observed, at=asked_at)
    return again.mapped == before.mapped


async def _secured(
    context: ProbeContext, stream: TcpStream, question: BindingQuestion, patience_s: float
) -> TcpStream:
    """The same, or TLS within it (RFC 8489 6.2.3); the question says why there is none."""
    name = context.estimate.tls.get(question.asked)
    if name is None:
        return stream
    from nattools.net.web.tls import client_context, start_tls

    secured = await start_tls(stream, client_context(), timeout_s=patience_s + 1, server_name=name)
    if not isinstance(secured, str):
        return secured
    question.failure, question.detail = "tls", secured
    return stream


async def _converse(stream: TcpStream, question: BindingQuestion) -> None:
    """Send the request, and read until its answer comes or the stream makes no sense."""
    transaction = stun.new_transaction_id()
    stream.write(stun.binding_request(transaction, padded_to=PADDED_TO))
    framer = stun.Framer()
    while question.answer is None:
        data = await stream.read()
        if not data:
            question.failure, question.detail = "reset", "the server closed the connection without an answer"
            return
        try:
            for frame in framer.feed(data):
                message = stun.decode(frame)
                if message.transaction_id == transaction and message.kind in ("success", "error"):
                    question.answer = message
        except ProtocolError as error:
            http = data.startswith(b"HTTP/")
            question.failure = "malformed"
            question.detail = "it is HTTP, as from a web server or a proxy" if http else str(error)
            return
    answer = question.answer
    question.mapped = readable(lambda: answer.mapped)
    if answer.kind == "success" and question.mapped is None:
        question.answer, question.failure = None, "malformed"
        question.detail = "an answer without any mapped address"


def _record_connection(
    context: ProbeContext,
    question: BindingQuestion,
    local: Endpoint | None,
    began: float,
    rtt_s: float | None,
) -> None:
    connection = Connection(
        probe="tcp",
        family=question.asked.family,
        local=text_of(local),
        remote=str(question.asked),
        outcome="answered" if local is not None else question.failure or "error",
        rtt_s=rtt_s,
        detail="" if local is not None else question.detail,
    )
    context.recorder.add(connection, at=began)
