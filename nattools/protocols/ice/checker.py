"""Connectivity checks of our own: start them, repeat them, judge their answers (RFC 8445 7.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.ice.candidate import priority
from nattools.protocols.ice.checklist import Pair, PairKey
from nattools.protocols.ice.checkmessages import Check, Role, build_check, why_not_believed
from nattools.protocols.ice.icesession import IceSession, Transmit, prflx_priority
from nattools.protocols.ice.pacing import MAX_RTO_S, OpeningChecks

Purpose = Literal["ordinary", "triggered", "nomination", "consent"]

TRANSMISSIONS: Final = 7
"""Rc of RFC 8489; with the growth of the pauses bounded, a check ends within about 8 seconds."""
AGAIN: Final = 2
"""The same for a pair on which nothing came from the peer the first time."""
CONSENT_PATIENCE_S: Final = 30.0


@dataclass(eq=False, slots=True)
class CheckTransaction:
    """Pure: the agent asks `due` and sends `data`.

    A check for consent is sent once (RFC 7675 5.1)."""

    pair: Pair
    purpose: Purpose
    transaction_id: bytes
    data: bytes
    role: Role
    rto_s: float
    opener: OpeningChecks | None
    most: int = TRANSMISSIONS
    sent: int = 0
    first_sent_at: float = 0.0
    deadline: float | None = None
    abandoned: bool = False

    @property
    def _openers(self) -> int:
        return 0 if self.opener is None else self.opener.count

    @property
    def once(self) -> bool:
        """Is it sent a single time?"""
        return self.purpose == "consent"

    def transmit(self, now: float) -> int | None:
        """Count a transmission; returns its TTL, None for the ordinary one."""
        if self.sent == 0:
            self.first_sent_at = now
        self.sent += 1
        self.deadline = now + self._pause()
        opener = self.opener
        return opener.ttl if opener is not None and self.sent <= opener.count else None

    def _pause(self) -> float:
        if self.once:
            return CONSENT_PATIENCE_S
        if self.opener is not None and self.sent <= self.opener.count:
            return self.opener.gap_s
        return min(MAX_RTO_S, self.rto_s * 2.0 ** (self.sent - self._openers - 1))

    def may_repeat(self) -> bool:
        """At its deadline: is it sent again, rather than given up?"""
        return not self.once and not self.abandoned and self.sent < self.most + self._openers

    @property
    def unanswered(self) -> bool:
        """Has it been repeated at its full TTL, so that an answer is overdue?"""
        return self.sent > 1 + self._openers

    def round_trip_s(self, now: float) -> float | None:
        """None when it was sent several times: nobody knows which one was answered."""
        return now - self.first_sent_at if self.sent == 1 else None


class Outcome(Protocol):
    """Who wants to know how checks end."""

    def answered(self, pair: Pair, purpose: Purpose) -> None:
        """The peer confirmed a check."""

    def lost(self, pair: Pair) -> None:
        """A pair that worked, or whose nomination was under way, does not."""


class Checker:
    """Bounded: a pair has at most one check of its own and a few for consent."""

    def __init__(self, session: IceSession, outcome: Outcome) -> None:
        self._session = session
        self._outcome = outcome
        self._under_way: dict[bytes, CheckTransaction] = {}
        self._current: dict[Pair, CheckTransaction] = {}
        self._earliest: float | None = None
        self.sent = 0
        self._probe_id = session.rng.randbytes(12)
        self._probe: tuple[Check, bytes] | None = None
        self._probed: dict[Endpoint, set[Endpoint]] = {}

    # --- sending

    def next_deadline(self) -> float | None:
        """When a check may have to be repeated or given up; never later than that."""
        return self._earliest

    def next_start(self) -> float | None:
        """When the next pair may be checked; None when there is none to check."""
        session = self._session
        if session.remote is None or not session.check_list.has_work(self._is_unanswered):
            return None
        return session.pacer.next_start(session.now, session.check_list.hurried)

    def start_due(self, now: float) -> None:
        """Start the checks whose time has come."""
        while (when := self.next_start()) is not None and when <= now:
            chosen = self._session.check_list.next_pair(self._is_unanswered)
            if chosen is None:
                return
            pair, triggered = chosen
            self._session.pacer.started(now)
            self.start(pair, "triggered" if triggered else "ordinary", now)

    def start(self, pair: Pair, purpose: Purpose, now: float, nomination: int | None = None) -> None:
        """Send a check on a pair. Nominations and consent are not paced: they are few."""
        session = self._session
        assert session.remote is not None, "no checks before the peer's credentials"
        if purpose != "consent" and pair in self._current:
            self._current[pair].abandoned = True  # its answer still counts (RFC 8445 7.3.1.4)
        if purpose in ("ordinary", "triggered"):
            session.check_list.change(pair, "start", f"{purpose} check")
        transaction_id = session.rng.randbytes(12)
        use = purpose == "nomination"
        said = Check(session.role, session.tie_breaker, prflx_priority(pair.local), use, nomination, "")
        data = build_check(transaction_id, said, session.local.ufrag, session.remote)
        check = CheckTransaction(
            pair,
            purpose,
            transaction_id,
            data,
            role=session.role,
            rto_s=session.pacer.rto_s(pair.round_trip),
            opener=session.opener_for(pair.remote_endpoint) if purpose == "ordinary" else None,
            most=AGAIN if pair.checks_sent >= TRANSMISSIONS and not pair.checks_heard else TRANSMISSIONS,
        )
        self._under_way[transaction_id] = check
        if purpose != "consent":
            self._current[pair] = check
        self._transmit(check, now)

    def probe(self, local: Endpoint, destination: Endpoint) -> bytes:
        """A check that belongs to no pair, the same for all destinations, which are remembered."""
        session = self._session
        if session.remote is None:
            raise ValueError("no probes before the peer's credentials")
        said = Check(session.role, session.tie_breaker, priority("prflx"), False, None, "")
        if self._probe is None or self._probe[0] != said:
            self._probe = said, build_check(self._probe_id, said, session.local.ufrag, session.remote)
        self._probed.setdefault(local, set()).add(destination)
        return self._probe[1]

    def forget_probes(self, local: Endpoint) -> None:
        """No more answers to probes from this socket are expected."""
        self._probed.pop(local, None)

    def expire(self, now: float) -> None:
        """Repeat or give up the checks whose deadline has come."""
        if self._earliest is None or self._earliest > now:
            return
        due = [t for t in self._under_way.values() if t.deadline is not None and t.deadline <= now]
        for check in due:
            if check.may_repeat() and self._still_matters(check):
                self._transmit(check, now)
            else:
                self._give_up(check, now)
        deadlines = (t.deadline for t in self._under_way.values() if t.deadline is not None)
        self._earliest = min(deadlines, default=None)

    def forget(self) -> None:
        """Drop all that is under way."""
        self._under_way.clear()
        self._current.clear()

    def _transmit(self, check: CheckTransaction, now: float) -> None:
        transport, base, remote = check.pair.path
        ttl = check.transmit(now)
        check.pair.checks_sent += 1
        self.sent += 1
        if check.deadline is not None and (self._earliest is None or check.deadline < self._earliest):
            self._earliest = check.deadline
        self._session.outbox.append(Transmit(check.data, base, remote, ttl, transport))

    def _still_matters(self, check: CheckTransaction) -> bool:
        return check.purpose == "nomination" or check.pair.state == "in-progress"

    def _give_up(self, check: CheckTransaction, now: float) -> None:
        self._end(check)
        if check.abandoned or check.purpose == "consent" or not self._still_matters(check):
            return
        waited = now - check.first_sent_at
        times = "1 check" if check.sent == 1 else f"{check.sent} checks"
        what = "the nomination" if check.purpose == "nomination" else times
        heard = "" if check.pair.checks_heard else ", nor a check from the peer this way"
        self._fail(check.pair, f"no answer to {what} in {waited:.1f} s{heard}")

    def _fail(self, pair: Pair, reason: str) -> None:
        self._session.check_list.change(pair, "failure", reason + (f" ({pair.hint})" if pair.hint else ""))
        self._outcome.lost(pair)

    def _is_unanswered(self, pair: Pair) -> bool:
        check = self._current.get(pair)
        return check is not None and check.unanswered

    def _end(self, check: CheckTransaction) -> None:
        del self._under_way[check.transaction_id]
        if self._current.get(check.pair) is check:
            del self._current[check.pair]

    # --- answers

    def concerns(self, message: stun.Message) -> bool:
        """Is it the answer to a check of ours?"""
        return message.transaction_id in self._under_way or message.transaction_id == self._probe_id

    def receive(self, message: stun.Message, path: PairKey) -> None:
        """Take the answer to a check."""
        session, check = self._session, self._under_way.get(message.transaction_id)
        if session.remote is None:
            return
        doubt = why_not_believed(message, session.remote)
        if check is None:
            self._take_probe(message, doubt, path)
            return
        if doubt is not None:
            self._note_refusal(check, message, doubt, path[2])
        elif path != check.pair.path:
            self._note_elsewhere(check, path)
        else:
            self._end(check)
            if message.kind == "error":
                self._take_error(check, message)
            else:
                self._take_success(check, message)

    def _note_elsewhere(self, check: CheckTransaction, path: PairKey) -> None:
        """It says nothing about the pair. RFC 8445 7.2.5.2.1 has the pair fail at once; but anybody who sees
        the answer can send a copy that is there first, and the true one still counts."""
        check.pair.hint = f"the answer came from {path[2]} at {path[1]} instead"
        self._session.reject(path[2], "an answer from another place than the check went to")

    def _take_probe(self, message: stun.Message, doubt: str | None, path: PairKey) -> None:
        """The answer to a probe is as good as that to a check if it comes from where the probe went. From
        elsewhere, as where the peer's NAT gave the answer another port, it is worth a check of its own."""
        if doubt is not None:
            self._session.reject(path[2], doubt)
            return
        pair = self._session.pair_for_check(path, priority("prflx")) if message.kind == "success" else None
        if pair is None or pair.valid:
            return
        if path[2] in self._probed.get(path[1], ()):
            self._succeed(pair, "triggered", message, None)
        elif pair.state != "in-progress":
            self._session.check_list.trigger(pair, "the peer answered a probe")

    def _note_refusal(
        self, check: CheckTransaction, message: stun.Message, doubt: str, source: Endpoint
    ) -> None:
        """An unsigned 400 or 401 may be anybody's, but it is worth a word if nothing better comes."""
        self._session.reject(source, doubt)
        try:
            error = message.error if message.kind == "error" else None
        except ProtocolError:
            return
        if error is not None and error[0] in (400, 401):
            check.pair.hint = f"somebody at {source} refused it with error {error[0]}"

    def _take_error(self, check: CheckTransaction, message: stun.Message) -> None:
        try:
            error = message.error
        except ProtocolError:
            error = None
        if error is None:
            self._fail_if_current(check, "the peer's error response has no error code")
        elif error[0] == 487:
            self._take_conflict(check)
        else:
            self._fail_if_current(check, f"the peer refused the check with error {error[0]}")

    def _take_conflict(self, check: CheckTransaction) -> None:
        """487: take the other role and check again (7.2.5.1), unless that happened meanwhile."""
        if check.role == self._session.role:
            self._session.switch_role()
        if not check.pair.valid:
            self._session.check_list.trigger(check.pair, "again in the other role")
        self._outcome.lost(check.pair)

    def _take_success(self, check: CheckTransaction, message: stun.Message) -> None:
        if self._session.check_list.find(check.pair.path) is not check.pair:
            return  # it was left out of a full list meanwhile
        if _mapped(message) is None:
            self._fail_if_current(check, "the peer's answer shows no address, or cannot be understood")
        else:
            self._succeed(check.pair, check.purpose, message, check.round_trip_s(self._session.now))

    def _succeed(self, pair: Pair, purpose: Purpose, message: stun.Message, sample: float | None) -> None:
        session, mapped = self._session, _mapped(message)
        if mapped is None:
            return
        if sample is not None:
            pair.round_trip.add(sample)
            session.pacer.round_trip.add(sample)
        pair.answered_at, pair.unanswered = session.now, 0
        if not pair.valid and purpose == "consent":
            return  # its consent was lost meanwhile; a check of its own has to bring it back
        pair.local_seen = session.local_seen_as(pair, mapped)
        measured = "" if sample is None else f" after {sample * 1000:.1f} ms"
        session.check_list.change(pair, "success", f"the peer answered{measured}")
        session.check_list.succeeded(pair)
        self._outcome.answered(pair, purpose)

    def _fail_if_current(self, check: CheckTransaction, reason: str) -> None:
        """A check that was overtaken does not speak for its pair any more."""
        if not check.abandoned and check.purpose != "consent":
            self._fail(check.pair, reason)


def _mapped(message: stun.Message) -> Endpoint | None:
    """Where the peer saw us; None if its answer cannot be understood."""
    try:
        return None if message.unknown_required() else message.mapped
    except ProtocolError:
        return None
