"""Does the NAT restore the checksum of a datagram that an ICMP error quotes (RFC 5508 REQ-4 a)?"""

from __future__ import annotations

from typing import Final

from nattools.engine.analysis.evidence import Finding, PathEvidence, gap_reason
from nattools.model.nat import QuotedChecksumKind
from nattools.model.quotedchecksumseen import QuotedAs
from nattools.model.statement import statement

_PROBE: Final = "quoted-checksum"
_KINDS: Final[dict[QuotedAs, QuotedChecksumKind]] = {
    "as-sent": "restored",
    "as-mapped": "translated",
    "none": "removed",
    "other": "unclear",
}


def quoted_checksum(
    path: PathEvidence, nat: bool | None, distance_hops: int | None
) -> Finding[QuotedChecksumKind | None]:
    """By what expired farthest away, beyond all NATs; the outermost is so many hops away, or before all
    routers with public addresses. One quote may look so by chance: it takes two, of datagrams with other
    contents. None: it is no question here."""
    gap = next((each for each in path.gaps if each.probe == _PROBE), None)
    if path.transport != "udp" or path.family != 4 or nat is False or not (path.quotes or gap):
        return Finding(None)
    if not path.quotes:
        return Finding("unknown", (), () if gap is None else (gap_reason(gap),))
    nats = 32 if distance_hops is None else distance_hops
    quoted = [
        each
        for each in path.quotes
        if len(each.quoted) > 1
        if "as-mapped" in each.quoted or each.ttl > nats or (each.source and path.is_public(each.source))
    ]
    if not quoted:
        ids = tuple(each.id for each in path.quotes)
        return Finding("unknown", ids, (statement("quoted-checksum-silent"),))
    farthest = max(quoted, key=lambda each: each.ttl)
    kinds = {_KINDS[each] for each in farthest.quoted}
    return Finding(kinds.pop() if len(kinds) == 1 else "unclear", (farthest.id,))
