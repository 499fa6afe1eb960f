"""The peer's checks: believe them, answer them, learn from them (RFC 8445 7.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from nattools.protocols import stun
from nattools.protocols.ice.checklist import Pair, PairKey
from nattools.protocols.ice.checkmessages import Check, CheckRefusal, build_error, build_success, read_check
from nattools.protocols.ice.icesession import IceSession, Transmit

MAX_EARLY: Final = 64
"""Checks kept that came before the peer's credentials; they were authenticated with our own."""


class Responder:
    """`on_nomination(pair, counter or None)` is called for each check with USE-CANDIDATE."""

    def __init__(self, session: IceSession, on_nomination: Callable[[Pair, int | None], None]) -> None:
        self._session = session
        self._on_nomination = on_nomination
        self._early: deque[tuple[Check, PairKey]] = deque(maxlen=MAX_EARLY)

    def receive(self, message: stun.Message, path: PairKey) -> None:
        """Take a Binding request that came on a path."""
        session = self._session
        try:
            peer = session.remote.ufrag if session.remote is not None else None
            check = read_check(message, session.local, peer)
            self._settle_roles(check)
        except CheckRefusal as refusal:
            if refusal.code != 487:
                session.reject(path[2], str(refusal))
            self._refuse(message, refusal, path)
            return
        self._send(build_success(message.transaction_id, path[2], session.local), path)
        if session.remote is None:
            self._early.append((check, path))
        else:
            self._learn(check, path)

    def remote_known(self) -> None:
        """The peer's credentials have come: learn from its early checks."""
        early, self._early = self._early, deque(maxlen=MAX_EARLY)
        for check, path in early:
            if self._session.remote is not None and check.peer_ufrag == self._session.remote.ufrag:
                self._learn(check, path)

    def _settle_roles(self, check: Check) -> None:
        """Both have the same role: the greater tie-breaker controls (7.3.1.1). 487: the peer yields."""
        session = self._session
        if check.role != session.role:
            return
        ours_is_greater = session.tie_breaker >= check.tie_breaker
        if ours_is_greater == (session.role == "controlling"):
            raise CheckRefusal(487, "both sides have the same role")
        session.switch_role()

    def _learn(self, check: Check, path: PairKey) -> None:
        session = self._session
        pair = session.pair_for_check(path, check.priority)
        if pair is None:
            return
        pair.checks_heard += 1
        if not pair.valid:
            self._trigger(pair)
        if check.use_candidate and session.role == "controlled":
            self._on_nomination(pair, check.nomination)

    def _trigger(self, pair: Pair) -> None:
        """The peer reaches us, so a check of ours now has the best of chances (7.3.1.4).

        A check that is under way is overtaken only once: the peer repeats its own, and each repetition would
        otherwise start ours anew and forget how long it has been waiting."""
        if pair.state == "in-progress" and pair.checks_heard > 1:
            return
        self._session.check_list.trigger(pair, "the peer's check came this way")

    def _refuse(self, message: stun.Message, refusal: CheckRefusal, path: PairKey) -> None:
        """Answer with an error, unless the answer were longer than the question: a forged source address
        must not be worth the effort."""
        data = build_error(message.transaction_id, refusal, self._session.local)
        if len(data) <= len(message.raw):
            self._send(data, path)

    def _send(self, data: bytes, path: PairKey) -> None:
        transport, base, source = path
        self._session.outbox.append(Transmit(data, base, source, None, transport))
