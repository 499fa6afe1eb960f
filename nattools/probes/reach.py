"""Does a server answer at all, over UDP and over TCP, and what can it do?"""

from __future__ import annotations

import asyncio

from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure
from nattools.probes.claims import claims
from nattools.probes.context import ProbeContext
from nattools.probes.hint import Hint
from nattools.probes.question import Asker, Question, open_asker
from nattools.probes.target import Target
from nattools.probes.tcpbinding import PATIENCE_S, TcpQuestion, ask_over_tcp
from nattools.protocols import stun

COPIES = 10
GAPS_S = (0.1, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.5)
SERVICE_DIAL_BACK_TCP = 0x02


async def reach_udp(context: ProbeContext, uri: str, endpoint: Endpoint, hint: Hint) -> Target | None:
    """Ask one server over UDP; None if it did not answer with our address."""
    asker = await open_asker(context)
    try:
        question = asker.prepare(endpoint, "reach")
        await _insist(asker, question, hint)
        asker.learn(question)
        asker.record(question)
        return target_of(context, uri, question, asker)
    finally:
        asker.close()


async def _insist(asker: Asker, question: Question, hint: Hint) -> None:
    """Until our address came, or it is clear that it will not. A refusal counts once it was repeated: the
    first may be left over from a server that has just come up."""
    refusals = 0
    for copy in range(COPIES):
        # Every fourth copy is as RFC 3489 wrote it: some old servers know nothing later.
        (asker.put_legacy if copy % 4 == 3 else asker.put)(question)
        wait = hint.gap_s(GAPS_S[copy]) if copy < len(GAPS_S) else hint.last_wait_s()
        if not await question.done.within(wait):
            continue
        if question.answer is not None and question.answer.kind == "success":
            return
        if question.answer is None and question.failure in ("unreachable", "prohibited"):
            return
        refusals += 1
        if refusals == 3:
            return
        question.done.clear()
        await asyncio.sleep(wait)


def target_of(context: ProbeContext, uri: str, question: Question, asker: Asker) -> Target | None:
    """The server as a target of further questions, if it answered."""
    if question.outcome != "answered" or question.rtt_s is None:
        return None
    return Target(
        uri=uri,
        endpoint=question.asked,
        transport="udp",
        mapped=question.mapped,
        rtt_s=question.rtt_s,
        other=credible_other(question) or second_port(question),
        nattools=services(question.answer) is not None,
        services=services(question.answer) or 0,
        local_host=asker.local.host,
    )


def credible_other(question: Question | TcpQuestion) -> Endpoint | None:
    """OTHER-ADDRESS, unless it is the server's own address or of another family: some servers advertise
    such, and a careless client then takes every NAT for the most permissive."""
    other = claims(question.answer).other_address
    if other is None or other.family != question.asked.family or other == question.asked:
        return None
    if other.port == 0 or other.host in ("0.0.0.0", "::"):
        return None
    return other


def services(answer: stun.Message | None) -> int | None:
    """The service flags of a `nattools serve`; None for every other server."""
    value = answer.get(stun.NATTOOLS_HELLO) if answer is not None else None
    return value[1] if value is not None and len(value) >= 2 and value[0] >= 1 else None


def second_port(question: Question | TcpQuestion) -> Endpoint | None:
    """The other port of a nattools server that has a single address, as its NATTOOLS-HELLO tells."""
    value = question.answer.get(stun.NATTOOLS_HELLO) if question.answer is not None else None
    port = int.from_bytes(value[2:4], "big") if value is not None and len(value) >= 4 else 0
    if services(question.answer) is None or port in (0, question.asked.port):
        return None
    return Endpoint(question.asked.host, port)


async def reach_tcp(context: ProbeContext, uri: str, endpoint: Endpoint, hint: Hint) -> Target | None:
    """Ask one server over TCP; None if it did not answer with our address."""
    question = TcpQuestion(endpoint, "reach")
    stream = await ask_over_tcp(context, question, timeout_s=PATIENCE_S, hint=hint)
    if isinstance(stream, TcpFailure):
        return None
    stream.close()
    if question.outcome != "answered" or question.rtt_s is None:
        return None
    flags = services(question.answer)
    return Target(
        uri=uri,
        endpoint=endpoint,
        transport="tcp",
        mapped=question.mapped,
        rtt_s=question.rtt_s,
        other=credible_other(question) or second_port(question),
        nattools=flags is not None,
        dial_back_tcp=bool(flags is not None and flags & SERVICE_DIAL_BACK_TCP),
        services=flags or 0,
        local_host=stream.local.host,
    )


async def first_of(tasks: list[asyncio.Task[Target | None]], *, enough: int, grace_s: float) -> list[Target]:
    """The servers that answered, in the order in which they were named. Once `enough` did, the others get
    `grace_s` and twice the time until then; a silent server does not hold up the rest."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    pending = set(tasks)
    deadline: float | None = None
    while pending:
        timeout = None if deadline is None else max(0.0, deadline - loop.time())
        done, pending = await asyncio.wait(pending, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        answered = [task for task in tasks if task.done() and not task.cancelled() and task.result()]
        if deadline is None and len(answered) >= enough:
            deadline = loop.time() + grace_s + 2 * (loop.time() - began)
        if not done:
            break
    for task in pending:
        task.cancel()
    found = [task.result() for task in tasks if task.done() and not task.cancelled()]
    return [target for target in found if target is not None]
