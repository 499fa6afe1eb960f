"""STUN Binding questions over UDP (RFC 8489 6.2): asked, asked again, answered or not, and put
on record.

Over UDP each copy of a question is a transaction of its own (RFC 8489 6.2.1 would repeat the same one), so
that an answer tells which copy it answers: round trips and losses are exact.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.model.observation import FORBIDDEN_HERE, Outcome, Purpose
from nattools.model.packetform import PacketForm
from nattools.net.base import DatagramHandler, IcmpError, MachineSocket
from nattools.net.eventloop import AllEvents, TimedEvent
from nattools.net.exchange import Exchanges
from nattools.probes.probe import ProbeContext
from nattools.probes.target import BindingQuestion, text_of
from nattools.protocols import stun

PADDED_TO = 108
"""Long enough that a server which answers no unproven source with much more than it got tells us all."""


@lru_cache(maxsize=64)
def _request(
    change_address: bool, change_port: bool, response_port: int | None, padded_to: int
) -> tuple[bytes, bytes]:
    """What comes before and behind the transaction id, which is all that differs between such requests."""
    data = stun.binding_request(
        bytes(12),
        change_address=change_address,
        change_port=change_port,
        response_port=response_port,
        padded_to=padded_to,
    )
    return data[:8], data[20:]


class Question(BindingQuestion, eq=False):
    """One question over UDP in any number of copies."""

    change_address: bool = False
    change_port: bool = False
    base: bytes = b""
    head: bytes = b""
    tail: bytes = b""
    sent_at: list[float] = msgspec.field(default_factory=list)
    received: int = 0
    source: Endpoint | None = None
    ttl: int | None = None
    done: TimedEvent = msgspec.field(default_factory=TimedEvent)
    errors: int = 0
    answered_copies: set[int] = msgspec.field(default_factory=set)
    answered_copy: int | None = None
    expected: bool = False
    form: PacketForm = "whole"
    server_gone: bool = False
    """Did the server answer nothing at all after this? Then its silence proves nothing."""

    def answered_by(self, data: bytes) -> bool:
        """Is this a success response to one of its copies, wherever it arrived?"""
        try:
            message = stun.decode(data)
        except ProtocolError:
            return False
        identity = message.transaction_id[-12:]
        return message.kind == "success" and identity[:11] == self.base and identity[11] < len(self.sent_at)


class StunClient:
    """A UDP socket with the questions under way on it. Close it; closing keeps nothing waiting. `exchanges`
    are the other transactions on this socket; `on_other` is called with what belongs to none of either."""

    def __init__(self, context: ProbeContext, socket: MachineSocket) -> None:
        self.context = context
        self.socket = socket
        self._exchanges: Exchanges | None = None
        self.on_other: DatagramHandler | None = None
        self._questions: dict[bytes, Question] = {}
        self._loop = asyncio.get_running_loop()
        self._local: Endpoint | None = None
        socket.on_datagram = self._datagram
        socket.on_icmp = self._icmp

    @property
    def local(self) -> Endpoint:
        """The socket's own address, as packets to the servers have it."""
        if self._local is None:
            host, port = self.socket.local
            self._local = Endpoint(self.context.source_host or host, port)
        return self._local

    @property
    def exchanges(self) -> Exchanges:
        """Made when first needed: most clients have none, and there are many."""
        if self._exchanges is None:
            self._exchanges = Exchanges()
        return self._exchanges

    def __enter__(self) -> StunClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Idempotent."""
        self.socket.close()
        self.on_other = None

    def prepare(
        self,
        asked: Endpoint,
        purpose: Purpose,
        *,
        change_address: bool = False,
        change_port: bool = False,
        response_port: int | None = None,
        padded_to: int = PADDED_TO,
        form: PacketForm = "whole",
    ) -> Question:
        """A question ready to be sent with `send`."""
        base = stun.new_transaction_id()[:11]
        head, tail = _request(change_address, change_port, response_port, padded_to)
        question = Question(
            asked,
            purpose,
            change_address=change_address,
            change_port=change_port,
            base=base,
            head=head,
            tail=tail,
            form=form,
        )
        self._questions[question.base] = question
        return question

    def send(self, question: Question) -> None:
        """Send one more copy now."""
        if question.asked in self.context.estimate.old_servers and question.form == "whole":
            self.send_legacy(question)
            return
        copy = len(question.sent_at)
        question.sent_at.append(self._loop.time())
        data = question.head + question.base + bytes((copy & 0xFF,)) + question.tail
        if question.form == "whole":
            failure = self.socket.send(data, question.asked, ttl=question.ttl)
        else:
            failure = self.socket.send_formed(data, question.asked, question.form)
        if failure is not None:
            question.detail = FORBIDDEN_HERE if failure == "prohibited" else question.detail
            self._fail(question, "error" if failure == "too-big" else failure)

    def send_legacy(self, question: Question) -> None:
        """Send a copy as RFC 3489 wrote it: no magic cookie, no attributes but CHANGE-REQUEST. Some servers
        know only that."""
        copy = len(question.sent_at)
        question.sent_at.append(self._loop.time())
        identity = b"nat\x00" + question.base + bytes((copy & 0xFF,))
        change_address, change_port = question.change_address, question.change_port
        changes = stun.binding_request(bytes(12), change_address=change_address, change_port=change_port)[20:]
        head = b"\x00\x01" + len(changes).to_bytes(2, "big")
        self.socket.send(head + identity + changes, question.asked, ttl=question.ttl)

    def send_opener(self, towards: Endpoint, ttl: int | None = None) -> None:
        """A packet that nobody answers, to open the own NATs and firewalls for answers from there."""
        self.socket.send(stun.binding_indication(), towards, ttl=ttl)

    def _fail(self, question: Question, outcome: Outcome) -> None:
        """Note what came instead of an answer. What may pass ends nothing: an invalid answer, and errors
        about a route, which come and go (RFC 1122 4.2.3.9 has TCP bear them)."""
        question.failure = question.failure or outcome
        question.errors += 1
        if outcome not in ("malformed", "unreachable"):
            question.done.set()

    def _datagram(self, data: bytes, source: Endpoint) -> None:
        try:
            message = stun.decode(data)
        except ProtocolError as error:
            self._garbage(str(error), source)
            return
        identity = message.transaction_id[-12:]
        question = self._questions.get(identity[:11])
        if question is None or message.kind not in ("success", "error"):
            now, waiting = self._loop.time(), self._exchanges
            taken = waiting is not None and waiting.receive_datagram(data, source, now)
            if not taken and self.on_other is not None:
                self.on_other(data, source)
            return
        copy = identity[11]
        if copy >= len(question.sent_at) or copy in question.answered_copies:
            return
        question.answered_copies.add(copy)
        self._accept(question, message, source, copy)

    def _accept(self, question: Question, message: stun.Message, source: Endpoint, copy: int) -> None:
        rtt_s = self._loop.time() - question.sent_at[copy]
        try:
            mapped = message.mapped
        except ProtocolError as error:
            question.detail = str(error)
            self._fail(question, "malformed")
            return
        if message.kind == "success" and mapped is None:
            question.detail = "an answer without any mapped address"
            self._fail(question, "malformed")
            return
        question.received += 1
        question.server_gone = False
        earlier = question.answer
        if earlier is None or (earlier.kind == "error" and message.kind == "success"):
            question.answer, question.source, question.rtt_s = message, source, rtt_s
            question.mapped, question.answered_copy = mapped, copy
        if message.legacy:
            self.context.estimate.old_servers.add(question.asked)
        if earlier is None and question.expected:
            self.learn(question)
        question.done.set()

    def _garbage(self, why: str, source: Endpoint) -> None:
        for question in self._questions.values():
            if question.asked == source and question.answer is None:
                question.failure, question.detail = "malformed", why

    def _icmp(self, error: IcmpError) -> None:
        if error.kind in ("time-exceeded", "too-big"):
            return
        if self._exchanges is not None:
            self._exchanges.handle_icmp(error)
        outcome: Outcome = "refused" if error.kind == "port-unreachable" else "unreachable"
        if error.kind == "prohibited":
            outcome = "prohibited"
        for question in self._questions.values():
            if question.asked == error.destination and question.answer is None:
                question.offender = error.offender
                question.detail = (
                    f"ICMP {error.icmp_type}/{error.icmp_code} from {error.offender or 'somewhere'}"
                )
                self._fail(question, outcome)

    async def expect(self, question: Question, *, copies: int = 8) -> Question:
        """Ask until it is answered: a question that a working path answers."""
        await expect_all([(self, question)], copies=copies)
        return question

    async def try_out(self, question: Question) -> Question:
        """Ask until it is answered or silence counts: a question that a filter may stop. Called again, it
        sends what the loss seen since then asks for."""
        estimate, before = self.context.estimate, len(question.sent_at)
        while len(question.sent_at) < estimate.copies():
            while len(question.sent_at) < estimate.copies():
                self.send(question)
                if await question.done.wait(estimate.gap_s):
                    return question
            if await question.done.wait(estimate.last_wait_s):
                break
        if question.outcome == "timeout" and len(question.sent_at) > before:
            await self._hear_server(question)
        return question

    async def _hear_server(self, question: Question) -> None:
        """Is the server there at all, behind a question that nothing came of? One that stood still for a
        moment answers in the order in which it was asked, so that what it owed has been sent by then; the
        silence of one that is gone is no filter's."""
        control = await self.expect(self.prepare(question.asked, "control"))
        if control.answer is None:
            self.record(control)
            question.server_gone = question.answer is None
        elif not question.done.is_set:
            await question.done.wait(self.context.estimate.gap_s)

    def learn(self, question: Question) -> None:
        """An answered question tells the path's round trip, and which earlier copies were lost."""
        if question.answer is None or question.rtt_s is None:
            return
        self.context.estimate.answered(question.rtt_s)
        self.context.estimate.missed(self.lost_before(question))

    def lost_before(self, question: Question) -> int:
        """How many copies of an answered question were lost before the one that was answered."""
        if question.answer is None or question.rtt_s is None:
            return 0
        first = min(question.answered_copies)
        if not first or (question.answer.legacy and question.purpose == "reach"):
            return 0  # an old server did not understand the copies before
        overdue = self._overdue(question.rtt_s)
        return sum(1 for sent_at in question.sent_at[:first] if sent_at < overdue)

    def _overdue(self, rtt_s: float) -> float:
        """When a copy was sent that ought to have been answered by now."""
        return self._loop.time() - 2 * rtt_s - 0.05

    def _pending(self, question: Question) -> int:
        """Its copies that may still be answered: a machine that is busy for a moment asks everything again,
        and then has all answers at once."""
        if question.rtt_s is None or not 0 < len(question.answered_copies) < len(question.sent_at):
            return 0
        overdue, first = self._overdue(question.rtt_s), min(question.answered_copies)
        behind = enumerate(question.sent_at[first:], start=first)
        return sum(at >= overdue and copy not in question.answered_copies for copy, at in behind)

    def record(self, question: Question) -> None:
        """Put the question with all that came of it on record."""
        first = question.sent_at[0] if question.sent_at else self._loop.time()
        observed = question.observed(
            "udp",
            self.local,
            self._loop.time() - first,
            change_address=question.change_address,
            change_port=question.change_port,
            sent=len(question.sent_at),
            received=question.received,
            pending=self._pending(question),
            copy_s=_after_first(question),
            source=text_of(question.source),
        )
        self.context.recorder.add(observed, at=first)


def _after_first(question: Question) -> float:
    """How long after its first copy a question's answered one was sent."""
    if question.answered_copy is None:
        return 0.0
    return round(question.sent_at[question.answered_copy] - question.sent_at[0], 6)


async def expect_all(asked: list[tuple[StunClient, Question]], *, copies: int = 8) -> None:
    """Ask several questions at once, each until it is answered: questions that a working path answers."""
    waiting, estimate = asked, asked[0][0].context.estimate
    for copy in range(copies):
        for client, question in waiting:
            question.expected = True
            client.send(question)
        wait = estimate.retry_s * min(1.5**copy, 4.0) if copy < copies - 1 else estimate.last_wait_s
        if await AllEvents([question.done for _, question in waiting]).wait(wait):
            return
        waiting = [(client, question) for client, question in waiting if not question.done.is_set]


async def open_stun_client(context: ProbeContext) -> StunClient:
    """A fresh port of the measured family."""
    socket = await context.network.open_udp(family=context.family, interface=context.interface)
    return StunClient(context, socket)
