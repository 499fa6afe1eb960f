"""What became of the ICMP Time Exceeded trick, on either side, and what a test of it has shown."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.punch import Punch

PortMoves = Literal["not", "predictably", "at random"]
PwnatRole = Literal["listener", "caller", "test"]
ListenerVerdict = Literal[
    "passes", "id-rewritten", "quote-not-matched", "invalid-dropped", "icmp-blocked", "unknown"
]
CallerVerdict = Literal["passes", "untranslated", "invalid-dropped", "icmp-blocked", "unknown"]


class RefusedErrors(msgspec.Struct, frozen=True, kw_only=True):
    """ICMP errors that were no call. `forged`: knocks by somebody without the secret, cut short, seen before
    (`replayed`) or too old (`stale`: of these, how many); `foreign`: errors that are no knocks, of which some
    are true."""

    forged: int = 0
    foreign: int = 0
    replayed: int = 0
    stale: int = 0


class Pwnat(Punch, frozen=True, kw_only=True):
    """The connection and its use are told as of `punch`. `peer`: where the other side is, once that is known.
    `elapsed_s`: from the first knock, sent or believed, to the first authenticated answer. `beacons_sent` by
    the listener, `knocks_sent` by the caller; `errors_seen`: ICMP errors that reached the listener's socket,
    of which so many were `refused`. `port_read`: the listener's outside port was read from the checksums that
    routers quote, and so it changes from one destination to the next (None: it was not read).
    `listener` and `caller`: of a test, whether this network lets the trick
    through in that role."""

    role: PwnatRole
    peer: str | None = None
    beacons_sent: int = 0
    knocks_sent: int = 0
    errors_seen: int = 0
    refused: RefusedErrors = RefusedErrors()
    port_read: PortMoves | None = None
    listener: ListenerVerdict | None = None
    caller: CallerVerdict | None = None
