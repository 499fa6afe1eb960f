"""One connectivity check under way: its transmissions, their TTL, and its patience (RFC 8445 7.2.4).

`stun.Transaction` is not used because a check's times depend on the path, its first packets may have a low
TTL, and it may be overtaken by a triggered check and still be answered.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from nattools.protocols.ice.messages import Role
from nattools.protocols.ice.pacing import MAX_RTO_S
from nattools.protocols.ice.pair import Pair

Purpose = Literal["ordinary", "triggered", "nomination", "consent"]

TRANSMISSIONS: Final = 7
"""Rc of RFC 8489; with the growth of the pauses bounded, a check ends within about 8 seconds."""
RELIABLE_PATIENCE_S: Final = 10.0
CONSENT_PATIENCE_S: Final = 30.0


class Opener(msgspec.Struct, frozen=True, kw_only=True):
    """Low-TTL packets that open the own NAT and die before the peer's, whose reaction to an early packet may
    be to refuse all later ones. Where it only drops what comes too early, `ttl` is None: all of them go the
    whole way, and the first one in time counts.

    The first `count` transmissions of each ordinary check have this `ttl`, `gap_s` seconds apart; the next
    one, `gap_s` after the last of them, is a full one. Triggered checks have no openers: the peer's packet
    came through, so its NAT is open.
    """

    ttl: int | None
    count: int = 1
    gap_s: float = 0.2


class Transaction:
    """Pure: the agent asks `due` and sends `data`.

    A check for consent is sent once (RFC 7675 5.1), and so are checks over TCP."""

    __slots__ = (
        "abandoned",
        "data",
        "deadline",
        "first_sent_at",
        "nomination",
        "opener",
        "pair",
        "purpose",
        "role",
        "rto_s",
        "sent",
        "transaction_id",
    )

    def __init__(
        self,
        pair: Pair,
        purpose: Purpose,
        transaction_id: bytes,
        data: bytes,
        *,
        role: Role,
        rto_s: float,
        opener: Opener | None = None,
        nomination: int | None = None,
    ) -> None:
        self.pair = pair
        self.purpose = purpose
        self.transaction_id = transaction_id
        self.data = data
        self.role = role
        self.rto_s = rto_s
        self.opener = opener if purpose == "ordinary" and pair.local.transport == "udp" else None
        self.nomination = nomination
        self.sent = 0
        self.first_sent_at = 0.0
        self.deadline: float | None = None
        self.abandoned = False

    @property
    def once(self) -> bool:
        """Is it sent a single time?"""
        return self.purpose == "consent" or self.pair.local.transport == "tcp"

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
            return CONSENT_PATIENCE_S if self.purpose == "consent" else RELIABLE_PATIENCE_S
        openers = 0 if self.opener is None else self.opener.count
        if self.opener is not None and self.sent <= openers:
            return self.opener.gap_s
        return min(MAX_RTO_S, self.rto_s * 2.0 ** (self.sent - openers - 1))

    def may_repeat(self) -> bool:
        """At its deadline: is it sent again, rather than given up?"""
        openers = 0 if self.opener is None else self.opener.count
        return not self.once and not self.abandoned and self.sent < TRANSMISSIONS + openers

    @property
    def unanswered(self) -> bool:
        """Has it been repeated at its full TTL, so that an answer is overdue?"""
        return self.sent > 1 + (0 if self.opener is None else self.opener.count)

    def round_trip_s(self, now: float) -> float | None:
        """None when it was sent several times: nobody knows which one was answered."""
        return now - self.first_sent_at if self.sent == 1 else None
