"""Which relays are to be tried."""

from __future__ import annotations

import re
import time
from pathlib import Path

import msgspec

from nattools.model.serveruri import ServerUri
from nattools.protocols.derp import DerpNode
from nattools.protocols.turn.credentials import LongTermCredentials, time_limited

CREDENTIALS_S = 12 * 3600
_TIME_LIMITED = re.compile(r"([0-9]{9,12}:[^:]*):(.*)\Z", re.DOTALL)


def read_user(text: str) -> LongTermCredentials:
    """`NAME:PASSWORD`, where the name may be a time-limited one, `EXPIRY:NAME`."""
    limited = _TIME_LIMITED.match(text)
    name, _, password = text.partition(":")
    return LongTermCredentials(limited[1], limited[2]) if limited else LongTermCredentials(name, password)


def time_limited_user(secret: str) -> LongTermCredentials:
    """Made with the secret of a relay; they hold for `CREDENTIALS_S` seconds from now."""
    return time_limited(secret, "nattools", int(time.time()) + CREDENTIALS_S)


class RelaySearch(msgspec.Struct, frozen=True, kw_only=True):
    """Which relays to try, and how.

    `turn`: TURN servers, those without `turn:` or `turns:` over UDP and TCP. `user`: a name and password for
    them; `secret`: what makes time-limited ones. `derp`: DERP servers named by themselves; `maps`: files and
    URLs of maps of them; `public_map`: Tailscale's, of which only the nearest are tried further, or none if
    `far_only`: then it is only told how far away one of each region is. `regions`:
    only these regions of the maps, by number or code (none: all). `keep`: the folder where maps that were
    fetched are kept. `count` datagrams measure a round trip.
    `pinned`: the SHA-256 of a server's certificate, by its name, where no authority vouches for it.
    """

    turn: tuple[ServerUri, ...] = ()
    user: LongTermCredentials | None = None
    secret: str | None = None
    derp: tuple[DerpNode, ...] = ()
    maps: tuple[str, ...] = ()
    public_map: bool = False
    far_only: bool = False
    regions: tuple[str, ...] = ()
    keep: Path | None = None
    count: int = 10
    throughput: bool = False
    pinned: dict[str, str] = {}
