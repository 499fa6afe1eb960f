"""Port mappings and what a router says when it makes none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

MappingProtocol = Literal["upnp-igd", "nat-pmp", "pcp"]
MAPPING_PROTOCOLS: tuple[MappingProtocol, ...] = get_args(MappingProtocol)

NOT_REACHED = "Mappings on this router alone do not reach you from the internet."
"""How a warning ends that tells of a NAT beyond the router."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A router's error code in plain words.

    `name` is the protocol's own, `meaning` says what happened, `advice` what the user can do about it.
    """

    code: int
    name: str
    meaning: str
    advice: str


RefusalRow = tuple[int, str, str, str]


def refusals(rows: Iterable[RefusalRow]) -> dict[int, Refusal]:
    """A protocol's errors by their codes, from rows of code, name, meaning and advice."""
    return {row[0]: Refusal(code=row[0], name=row[1], meaning=row[2], advice=row[3]) for row in rows}
