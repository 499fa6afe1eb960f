"""The ICE agent: what its owner calls (RFC 8445, with trickle RFC 8838 and consent RFC 7675)."""

from __future__ import annotations

from random import Random
from typing import Final, Literal

from nattools.chance import chance
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, Transport
from nattools.protocols import stun
from nattools.protocols.ice.candidate import Candidate, bare, why_not_a_target
from nattools.protocols.ice.checker import Checker, Purpose
from nattools.protocols.ice.checklist import Pair, PairKey
from nattools.protocols.ice.checkmessages import Credentials, Role, check_credentials
from nattools.protocols.ice.consent import Consent
from nattools.protocols.ice.icesession import (
    MAX_CANDIDATES,
    AgentState,
    IceEvent,
    IceSession,
    StateChanged,
    Transmit,
)
from nattools.protocols.ice.pacing import OpeningChecks
from nattools.protocols.ice.responder import Responder
from nattools.protocols.ice.selection import Selection, rank

PATIENCE_S: Final = 39.5
"""Failure is declared no sooner (RFC 8863 4)."""
RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 15.0
"""Pairs that got no answer are checked again after a pause that doubles, as long as patience lasts. At its
longest it keeps the own NAT open for a peer that comes late: some forget a flow after 20 s."""

_ICE_CHARACTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

AgentEvent = Literal["begin", "select", "lose", "give up", "close"]
NEXT: Final[dict[tuple[AgentState, AgentEvent], AgentState]] = {
    ("new", "begin"): "checking",
    ("new", "select"): "connected",
    ("checking", "select"): "connected",
    ("checking", "give up"): "failed",
    ("connected", "lose"): "disconnected",
    ("disconnected", "select"): "connected",
    ("disconnected", "give up"): "failed",
    ("failed", "select"): "connected",  # the peer was later than our patience
    ("new", "close"): "closed",
    ("checking", "close"): "closed",
    ("connected", "close"): "closed",
    ("disconnected", "close"): "closed",
    ("failed", "close"): "closed",
}
"""Where an event leads; what is not here leaves the state as it is."""


class Agent:
    """One side of one connection, with one component. Pure: the owner has the sockets and the clock.

    How to drive it, with one `now` in seconds from any clock that does not run backwards:

    1. After each of the calls below send what `datagrams_to_send(now)` returns.
    2. Pass what arrives on its sockets to `receive_datagram`. False means that it is not for ICE: hand it to
       other protocols, and take it for data if `is_authorised`.
    3. Call `handle_timeout(now)` when `next_timeout()` is reached; ask for it anew after each call.
    4. Read `events()`; `selected` is the pair to send data over.

    Candidates and the peer's credentials may come at any time (trickle). `role` is settled with the peer if
    both have the same. `renomination`: the peer is nattools, too, or another that takes the last nomination.
    `expected_rtt_s`: a first guess of the round trip. There is no ICE restart: make a new agent for that.
    """

    def __init__(
        self,
        role: Role,
        *,
        ufrag: str | None = None,
        password: str | None = None,
        rng: Random | None = None,
        renomination: bool = True,
        expected_rtt_s: float | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`rng` is for tests: the default cannot be guessed. ProtocolError: credentials that cannot be."""
        rng = rng or chance()
        local = check_credentials(ufrag or _text(rng, 8), password or _text(rng, 24))
        self._session = IceSession(role, local, rng, expected_rtt_s)
        self._checker = Checker(self._session, self)
        self._selection = Selection(self._session, self._nominate, renomination=renomination)
        self._consent = Consent(self._session, self._checker, self.lost)
        self._responder = Responder(self._session, self._selection.nominated_by_peer)
        self._patience_s = patience_s
        self._give_up_at: float | None = None
        self._retry_at: float | None = None
        self._retry_s = RETRY_S
        self.state: AgentState = "new"

    # --- what there is to see

    @property
    def credentials(self) -> Credentials:
        """This agent's credentials, which the peer has to be told."""
        return self._session.local

    @property
    def remote_credentials(self) -> Credentials | None:
        """The peer's; None as long as they are not known."""
        return self._session.remote

    @property
    def checks_sent(self) -> int:
        """All transmissions of checks so far, but those of `probe`."""
        return self._checker.sent

    @property
    def role(self) -> Role:
        """As it is now; a conflict may have switched it."""
        return self._session.role

    @property
    def selected(self) -> Pair | None:
        """The pair to send data over; None when there is none."""
        return self._selection.selected

    @property
    def usable(self) -> Pair | None:
        """The selected pair, or until there is one the best that works: data need not wait for the nomination
        (RFC 8445 12.1)."""
        working = (pair for pair in self._session.check_list if pair.valid)
        return self.selected or min(working, key=rank, default=None)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs, in the order of their priority."""
        return tuple(self._session.check_list)

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """Added ones and those that checks found."""
        return tuple(self._session.local_candidates)

    @property
    def remote_candidates(self) -> tuple[Candidate, ...]:
        """Added ones and those that checks found."""
        return tuple(self._session.remote_candidates)

    @property
    def rejected(self) -> dict[str, int]:
        """How many messages were not believed, by reason."""
        return dict(self._session.rejected)

    def works(self, path: PairKey) -> bool:
        """Has the peer answered a check on it, and not been silent since?"""
        pair = self._session.check_list.find(path)
        return pair is not None and pair.valid

    def is_authorised(self, local: Endpoint, source: Endpoint, transport: Transport = "udp") -> bool:
        """May data that came on this path be the peer's? Only where it has proved that it knows the
        credentials; count what is not with `reject_data`."""
        pair = self._session.check_list.find((transport, local, source))
        return pair is not None and (pair.valid or pair.checks_heard > 0)

    def reject_data(self, source: Endpoint) -> None:
        """Count data from somebody else."""
        self._session.reject(source, "data from somebody who has not proved to be the peer")

    def events(self) -> list[IceEvent]:
        """What happened since the last call, in order."""
        events = list(self._session.events)
        self._session.events.clear()
        return events

    # --- what the owner learns

    def set_remote_credentials(self, ufrag: str, password: str, now: float) -> None:
        """The peer's. ProtocolError: they cannot be any, or others are set already."""
        remote = check_credentials(ufrag, password)
        self._session.now = now
        if self._session.remote not in (None, remote):
            raise ProtocolError("the peer's credentials do not change within a session")
        self._session.remote = remote
        self._responder.remote_known()
        self._begin(now)

    def add_local_candidate(self, candidate: Candidate, now: float) -> bool:
        """At any time. False if it is known already, or one too many."""
        self._session.now = now
        added = self._session.add_local(candidate)
        self._begin(now)
        return added

    def add_remote_candidate(self, candidate: Candidate, now: float) -> bool:
        """At any time. False, and counted, if no check may go there or there are too many."""
        self._session.now = now
        reason = why_not_a_target(candidate.endpoint)
        if len(self._session.remote_candidates) >= MAX_CANDIDATES:
            reason = f"more than {MAX_CANDIDATES} candidates"
        if reason is not None:
            self._session.reject(candidate.endpoint, f"a candidate: {reason}")
            return False
        added = self._session.add_remote(candidate)
        self._begin(now)
        return added

    def set_opener(self, opener: OpeningChecks | None, remote: Endpoint | None = None) -> None:
        """Begin ordinary checks with low-TTL packets: all, or those to one destination."""
        if remote is None:
            self._session.opener = opener
        else:
            self._session.openers[bare(remote)] = opener

    def probe(self, local: Endpoint, destination: Endpoint) -> bytes:
        """An authenticated check to send from `local` to `destination`, with any TTL. Strategies that try
        hundreds of ports need no pair for each: only the one that arrives, or is answered, makes a pair.
        ValueError: before the peer's credentials."""
        return self._checker.probe(local, destination)

    def forget_local(self, base: Endpoint, now: float) -> None:
        """The socket at `base` is closed: its candidates, pairs and probes are gone, too."""
        self._session.now = now
        self._checker.forget_probes(base)
        self._session.local_candidates = [
            each for each in self._session.local_candidates if each.sends_from != base
        ]
        for pair in self.pairs:
            if pair.path[1] == base:
                self._session.check_list.remove(pair, "its socket is closed")
                self._selection.lost(pair)

    def hold_nomination(self) -> bool:
        """Nominate no pair for now, since a path beside ICE may be chosen. False: one is nominated
        already."""
        return self._selection.hold()

    def resume_nomination(self, now: float) -> None:
        """The path beside ICE came to nothing."""
        self._session.now = now
        self._selection.held = False
        self._update(now)

    def path_hint(self, path: PairKey, hint: str) -> None:
        """Something that may explain a failure later, as an ICMP error or a refusal to send. It does not
        fail the pair: the peer's NAT may send errors until its own side has opened it."""
        pair = self._session.check_list.find(path)
        if pair is not None:
            pair.hint = hint

    def doubt(self, now: float) -> None:
        """The data's own protocol hears nothing: ask for consent at once, and move to a spare if there is no
        answer."""
        if self.selected is not None:
            self._consent.ask(self.selected, now)

    def close(self, now: float) -> None:
        """Stop for good. Idempotent."""
        self._session.now = now
        self._checker.forget()
        self._session.outbox.clear()
        self._happen("close", "closed by its owner")

    # --- the driving contract

    def receive_datagram(
        self, data: bytes, local: Endpoint, source: Endpoint, now: float, transport: Transport = "udp"
    ) -> bool:
        """Take what arrived at the base `local`; False if it is not for ICE. Never raises, for any bytes."""
        if self.state == "closed" or not data or data[0] > 3:
            return False
        self._session.now = now
        try:
            message = stun.decode(data)
        except ProtocolError:
            return False
        if message.method != stun.BINDING or message.legacy:
            return False
        taken = self._dispatch(message, (transport, local, source))
        if taken:
            self._update(now)
        return taken

    def _dispatch(self, message: stun.Message, path: PairKey) -> bool:
        if message.kind == "request":
            self._responder.receive(message, path)
            return True
        if message.kind == "indication":
            return self._session.check_list.find(path) is not None  # a keepalive (RFC 8445 11)
        if self._checker.concerns(message):
            self._checker.receive(message, path)
            return True
        return False

    def datagrams_to_send(self, now: float) -> list[Transmit]:
        """What is to be sent now; starts the checks whose time has come."""
        self.handle_timeout(now)
        if self.state != "closed":
            self._checker.start_due(now)
        sending = list(self._session.outbox)
        self._session.outbox.clear()
        return sending

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None when nothing is to come."""
        if self.state == "closed":
            return None
        times = (
            self._session.now if self._session.outbox else None,
            self._checker.next_deadline(),
            self._checker.next_start(),
            self._consent.next_due(),
            self._selection.wake,
            self._give_up_at,
            self._retry_at,
        )
        return min((time for time in times if time is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Do what is due. Too early is harmless."""
        if self.state == "closed":
            return
        self._session.now = now
        self._checker.expire(now)
        self._consent.run(now)
        self._retry(now)
        self._update(now)
        if self._give_up_at is not None and now >= self._give_up_at:
            self._give_up_at = self._retry_at = None
            self._happen("give up", self._why_failed())

    # --- how checks end (checker.Outcome)

    def answered(self, pair: Pair, purpose: Purpose) -> None:
        """The peer confirmed a check."""
        self._consent.watch(pair, self._session.now)
        if purpose == "nomination":
            self._selection.confirmed(pair)
        self._selection.works(pair)

    def lost(self, pair: Pair) -> None:
        """A pair that worked, or whose nomination was under way, does not."""
        self._selection.lost(pair)

    def _nominate(self, pair: Pair, counter: int) -> None:
        self._checker.start(pair, "nomination", self._session.now, counter)

    # --- the agent as a whole

    def _begin(self, now: float) -> None:
        if self._session.remote is not None and len(self._session.check_list) and self.state == "new":
            self._give_up_at = now + self._patience_s
            self._happen("begin", "candidates and credentials of both sides are there")

    def _update(self, now: float) -> None:
        self._selection.consider(now)
        if self.selected is not None:
            self._give_up_at = self._retry_at = None
            self._retry_s = RETRY_S
            self._happen("select", f"{self.selected.name} works")
        elif self.state == "connected":
            self._give_up_at = now + self._patience_s
            self._happen("lose", "no pair works any more")
        if self.state in ("checking", "disconnected"):
            self._plan_retry(now)

    def _plan_retry(self, now: float) -> None:
        """When all is checked in vain, check again: the peer may begin later than this side."""
        if any(pair.state != "failed" for pair in self._session.check_list):
            self._retry_at = None
        elif self._retry_at is None and any(pair.hopeful for pair in self._session.check_list):
            self._retry_at = now + self._retry_s
            self._retry_s = min(MAX_RETRY_S, 2 * self._retry_s)

    def _retry(self, now: float) -> None:
        if self._retry_at is None or now < self._retry_at:
            return
        self._retry_at = None
        for pair in self.pairs:
            if pair.state == "failed" and pair.hopeful:
                self._session.check_list.change(pair, "trigger", "tried again")

    def _happen(self, event: AgentEvent, reason: str) -> None:
        before = self.state
        after = NEXT.get((before, event), before)
        if after != before:
            self.state = after
            self._session.tell(
                StateChanged(time_s=self._session.now, before=before, after=after, reason=reason)
            )

    def _why_failed(self) -> str:
        """In one sentence: what the checks came to."""
        if not self.pairs:
            return "no candidate of the peer goes with one of ours"
        heard = sum(1 for pair in self.pairs if pair.checks_heard)
        if heard:
            return f"the peer's checks came on {heard} of {len(self.pairs)} pairs, none of ours was answered"
        return f"{len(self.pairs)} pairs were checked; nothing came from the peer on any of them"


def _text(rng: Random, length: int) -> str:
    return "".join(rng.choice(_ICE_CHARACTERS) for _ in range(length))
