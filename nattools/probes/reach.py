"""Which servers answer, over UDP and over TCP, and what can they do?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from nattools.model.endpoint import Endpoint, Family, family_of
from nattools.model.observation import Resolution
from nattools.net.base import Network, TcpFailure
from nattools.probes.estimate import RttHint
from nattools.probes.nat64prefix import synthesized
from nattools.probes.probe import ProbeContext, Recorder
from nattools.probes.question import Question, StunClient, open_stun_client
from nattools.probes.target import BindingQuestion, Target, target_of
from nattools.probes.tcpquestion import PATIENCE_S, ROUTE_S, ask_over_tcp

MOST_ADDRESSES = 4
NEXT_ADDRESS_S = 0.2
"""After so long without an answer from one of a server's addresses the next one is asked too."""
LOST_S = 1.2
"""The same where that address is known to be up: what was lost over TCP comes again after a second (RFC 6298
2.1), and a second connection would take a port of the NAT in the midst of those that are looked at."""
COPIES = 10
GAPS_S = (0.1, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.5)
OTHER_PORTS = (3478, 443, 53)
OTHER_PORT_COPIES = 8
OTHER_PORT_TCP_S = 1.5


async def first_address(
    endpoints: Sequence[Endpoint],
    ask: Callable[[Endpoint], Coroutine[None, None, Target | None]],
    is_up: Callable[[Endpoint], bool] = lambda _: False,
) -> Target | None:
    """Ask a server by each of its addresses, the next one once one has failed or kept silent for a moment
    (as RFC 8305 5 connects), longer if `is_up` says so; the first that answers is the one that it is known
    by."""
    loop = asyncio.get_running_loop()
    waiting: set[asyncio.Task[Target | None]] = set()
    found: Target | None = None
    async with asyncio.TaskGroup() as group:
        for endpoint in endpoints:
            waiting.add(group.create_task(ask(endpoint)))
            last, began = endpoint == endpoints[-1], loop.time()
            until = began + NEXT_ADDRESS_S
            while waiting and found is None:
                done, waiting = await asyncio.wait(
                    waiting,
                    timeout=None if last else until - loop.time(),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                found = next((answer for task in done if (answer := task.result()) is not None), None)
                if not last and not done and until < began + LOST_S and is_up(endpoint):
                    until = began + LOST_S
                elif not last and found is None:
                    break
            if found is not None:
                break
        for task in waiting:
            task.cancel()
    return found


async def reach_udp(context: ProbeContext, uri: str, endpoint: Endpoint, rtt_hint: RttHint) -> Target | None:
    """Ask one server over UDP; None if it did not answer with an address."""
    with await open_stun_client(context) as client:
        question = client.prepare(endpoint, "reach")
        await _insist(client, question, rtt_hint)
        client.learn(question)
        client.record(question)
        found = target_of(uri, question, "udp", client.local)
        if found is not None:
            found.lost = client.lost_before(question)
        if found is not None and endpoint in context.estimate.old_servers:
            context.estimate.old_servers |= set(found.corners())
        return found


async def _insist(client: StunClient, question: Question, rtt_hint: RttHint) -> None:
    """Until our address came, or it is clear that it will not. A refusal counts once it was repeated: the
    first may be left over from a server that has just come up. So does a missing route, once it has been
    missing for `ROUTE_S`."""
    refusals = 0
    began = asyncio.get_running_loop().time()
    for copy in range(COPIES):
        # Every fourth copy is as RFC 3489 wrote it: some old servers know nothing later.
        (client.send_legacy if copy % 4 == 3 else client.send)(question)
        wait = rtt_hint.gap_s(GAPS_S[copy]) if copy < len(GAPS_S) else rtt_hint.last_wait_s()
        if not await question.done.wait(wait):
            lasted_s = asyncio.get_running_loop().time() - began
            if question.failure == "unreachable" and question.errors > copy and lasted_s > ROUTE_S:
                return
            continue
        if question.answer is not None and question.answer.kind == "success":
            return
        refusals += 1
        if refusals == 3:
            return
        question.done.clear()
        await asyncio.sleep(wait)


async def reach_tcp(context: ProbeContext, uri: str, endpoint: Endpoint, rtt_hint: RttHint) -> Target | None:
    """Ask one server over TCP; None if it did not answer with an address."""
    question = BindingQuestion(endpoint, "reach")
    stream = await ask_over_tcp(context, question, timeout_s=PATIENCE_S, rtt_hint=rtt_hint)
    if isinstance(stream, TcpFailure):
        return None
    stream.close()
    found = target_of(uri, question, "tcp", stream.local)
    name = context.estimate.tls.get(endpoint)
    if found is not None and name is not None:
        context.estimate.tls |= dict.fromkeys(found.corners(), name)
    return found


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


async def ports_udp(context: ProbeContext, uri: str, endpoint: Endpoint, rtt_hint: RttHint) -> list[Target]:
    """The other usual ports of one server, side by side; those that answer as targets."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_one_udp(context, uri, at, rtt_hint)) for at in _others(endpoint)]
    return [found for task in tasks if (found := task.result()) is not None]


def _others(endpoint: Endpoint) -> list[Endpoint]:
    return [Endpoint(endpoint.host, port) for port in OTHER_PORTS if port != endpoint.port]


async def _one_udp(context: ProbeContext, uri: str, endpoint: Endpoint, rtt_hint: RttHint) -> Target | None:
    with await open_stun_client(context) as client:
        question = client.prepare(endpoint, "ports")
        for _ in range(OTHER_PORT_COPIES):
            client.send(question)
            if await question.done.wait(rtt_hint.gap_s(0.15)):
                break
        if not question.done.is_set:
            await question.done.wait(rtt_hint.last_wait_s())
        client.record(question)
        found = target_of(uri, question, "udp", client.local)
        if found is not None and endpoint in context.estimate.old_servers:
            context.estimate.old_servers |= set(found.corners())
        return found


async def ports_tcp(context: ProbeContext, endpoint: Endpoint) -> None:
    """The other usual ports of one server over TCP."""

    async def one(at: Endpoint) -> None:
        stream = await ask_over_tcp(context, BindingQuestion(at, "ports"), timeout_s=OTHER_PORT_TCP_S)
        if not isinstance(stream, TcpFailure):
            stream.close()

    async with asyncio.TaskGroup() as group:
        for at in _others(endpoint):
            group.create_task(one(at))


async def resolve(
    network: Network, recorder: Recorder, name: str, families: tuple[Family, ...]
) -> dict[Family, tuple[str, ...]]:
    """The addresses of each family, the preferred ones first, not more than `MOST_ADDRESSES`. A lookup goes
    on record, an address needs none."""
    found = await network.resolve(name, families[0] if len(families) == 1 else None)
    error = found if isinstance(found, str) else None
    if error is not None and len(families) == 1:
        # is it the name, or does it have addresses of the other family alone?
        found = await network.resolve(name)
    addresses = () if isinstance(found, str) else found
    made = await synthesized(network, addresses)
    if addresses != (name,) or error is not None:
        recorder.add(Resolution(probe="resolve", name=name, addresses=addresses, error=error))
    asked = [each for each in addresses if each not in made]
    of_family = {family: tuple(a for a in asked if family_of(a) == family) for family in families}
    return {family: these[:MOST_ADDRESSES] for family, these in of_family.items() if these}
