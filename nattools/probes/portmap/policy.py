"""In which order a router is asked for a mapping, and what forbids asking on. Pure.

UPnP comes first: its table can be read, and it alone says without harm that a port is forbidden (606). After
that answer neither PCP nor NAT-PMP is asked for the port: miniupnpd 2.3.1 then searches all 65,536 ports for
another one and answers nobody for more than a minute (`docs/design/0009`). PCP comes before NAT-PMP, which it
replaces. Any other refusal leaves the next protocol to be asked.
"""

from __future__ import annotations

from collections.abc import Iterable

from nattools.model.portmapping import MappingProtocol
from nattools.probes.portmap.mapper import Mapper, Refused

ORDER: tuple[MappingProtocol, ...] = ("upnp-igd", "pcp", "nat-pmp")
FIRST = ORDER[0]
NOT_AUTHORIZED = 606
"""UPnP's, as `igd.ErrorCode` has it: with that a reader of XML would be imported."""


def preference(mapper: Mapper) -> tuple[int, bool, int]:
    """A sort key: IPv4 before IPv6, the router on the path before others, then by protocol."""
    return mapper.offer.family, mapper.offer.other, ORDER.index(mapper.offer.protocol)


def to_be_asked(mappers: Iterable[Mapper]) -> list[Mapper]:
    """Those to make mappings by. A mapping on a machine that is not on the path has no effect: it is asked
    only where the router itself offers nothing, in case that it is the same under another address."""
    known = list(mappers)
    served = {each.offer.family for each in known if not each.offer.other}
    return [each for each in known if not each.offer.other or each.offer.family not in served]


_FORBIDDEN = {("upnp-igd", NOT_AUTHORIZED), ("pcp", 2), ("nat-pmp", 2)}
"""What routers say that will not do it: 606, and NOT_AUTHORIZED of both others."""


def may_make_anew(refused: Refused) -> bool:
    """May a mapping be deleted and made anew whose renewal was refused in this way? Not if a new one would be
    refused as well: then the old one had better live to its end."""
    return refused.failure == "refused" and (refused.protocol, refused.code) not in _FORBIDDEN


def may_ask(protocol: MappingProtocol, refusals: Iterable[Refused]) -> bool:
    """May a mapping be asked for by this protocol, after the router refused it in these ways?"""
    forbidden = any(each.protocol == FIRST and each.code == NOT_AUTHORIZED for each in refusals)
    return protocol == FIRST or not forbidden
