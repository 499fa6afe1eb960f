"""What routers quoted of datagrams that expired beyond a NAT."""

from __future__ import annotations

from typing import Literal

from nattools.model.endpoint import Family
from nattools.model.observed import Observation

QuotedAs = Literal["as-sent", "as-mapped", "none", "other"]
"""Which checksum a quote has: the one with which the datagram left this machine; the one that it had with the
outside address and port; none (0); or another."""


class QuotedChecksum(Observation, frozen=True, kw_only=True, tag="quoted-checksum"):
    """Datagrams from `local` to the server `asked`, which sees that port as `mapped`, with the TTL `ttl`:
    `contents` different ones, each `sent` times. `source`: the router where they expired (None: none said
    so). `quoted`: which checksum it quoted of each content that it reported."""

    family: Family
    asked: str
    local: str
    mapped: str
    ttl: int
    contents: int
    sent: int
    source: str | None = None
    quoted: tuple[QuotedAs, ...] = ()
