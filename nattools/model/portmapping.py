"""Port mappings and what a router says when it makes none."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from nattools.model.droppedat import DroppedAt
from nattools.model.endpoint import Family, Transport

MappingProtocol = Literal["upnp-igd", "nat-pmp", "pcp"]
MAPPING_PROTOCOLS: tuple[MappingProtocol, ...] = get_args(MappingProtocol)
MAPPING_NAME = "nattools"
"""What our mappings are called in routers' tables."""


READ_BACK_WITHIN_S = 10
"""A lifetime that is read back a moment after it was granted is as much shorter."""


def listed_lifetime(granted_s: int | None, listed_s: int | None) -> int | None:
    """A mapping's lifetime by the router's table; what was granted, if only a moment has passed since."""
    near = granted_s is not None and listed_s is not None and 0 <= granted_s - listed_s <= READ_BACK_WITHIN_S
    return granted_s if near else listed_s


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A router's error code in plain words.

    `name` is the protocol's own, `meaning` says what happened, `advice` what the user can do about it.
    `http`: the code is an HTTP status, which says nothing about the mapping; the router gave none of UPnP.
    """

    code: int
    name: str
    meaning: str
    advice: str
    http: bool = False


class PortMappingError(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no mapping. `code` and `name` are the protocol's own; without a code the router did not
    answer, or not in a way that makes sense."""

    code: int | None
    name: str
    meaning: str
    advice: str


class PortMapping(msgspec.Struct, frozen=True, kw_only=True):
    """A port mapping on a router, or a pinhole in its IPv6 firewall.

    `external` is where others reach it. `lifetime_s` None: until it is deleted. `created`: the router has it,
    or had it while it was tried. `verified_inbound`: packets from outside arrived through it; False: they
    did not, though the router said yes, or answers would leave by another way; None: nobody tried.
    `arrives_at`: the own endpoint at which they arrived instead; `dropped_at`: who stops them, where they did
    not. `removed`: it has been taken away again.
    `evidence` are observation ids.
    """

    protocol: MappingProtocol
    transport: Transport
    family: Family = 4
    internal: str
    external: str | None
    lifetime_s: int | None
    created: bool
    verified_inbound: bool | None = None
    dropped_at: DroppedAt | None = None
    error: PortMappingError | None = None
    removed: bool = False
    description: str = ""
    arrives_at: str | None = None
    evidence: tuple[int, ...] = ()
