"""How large the packets may be that a punched path carries."""

from __future__ import annotations

import msgspec


class OneWayMtu(msgspec.Struct, frozen=True, kw_only=True):
    """The largest IP packet in bytes that gets to the other end whole. `black_hole`: larger ones vanish and
    nobody says so (RFC 2923 2.1); None: nobody could have told. `too_big_from`: who says Packet Too Big; only
    known of the direction in which this side sends."""

    bytes: int
    black_hole: bool | None = None
    too_big_from: str | None = None


class PunchMtu(msgspec.Struct, frozen=True, kw_only=True):
    """`up`: from this side to the peer, as it was tried here; `down`: the other way, as the peer has tried
    and told it. None: not known, as where the peer's version does not try."""

    up: OneWayMtu | None = None
    down: OneWayMtu | None = None
