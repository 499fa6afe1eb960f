"""Whose network it was measured in."""

from __future__ import annotations

import msgspec


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """The network of the outside address: its autonomous system's number and name, and the country that it
    is registered in (ISO 3166-1 alpha-2), as a table told of them."""

    asn: int | None = None
    name: str | None = None
    country: str | None = None
