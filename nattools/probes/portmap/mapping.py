"""Making a mapping by whatever protocol does it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nattools.model.portmapping import MappingProtocol
from nattools.probes.portmap.mapper import Granted, Mapper, MappingRequest, Refused
from nattools.protocols.igd import errors

_FORBIDDEN = "the router forbids this port by UPnP, and asking again by another protocol can freeze it"


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it: by whom it was `granted` (both None: nobody did), and who refused before."""

    mapper: Mapper | None
    granted: Granted | None
    refusals: tuple[Refused, ...] = ()


async def make_mapping(
    mappers: Iterable[Mapper], wanted: MappingRequest, protocol: MappingProtocol | None = None
) -> Made:
    """Ask one mapper after the other, of the wanted address's family and the protocol named (None: any),
    until one makes the mapping.

    Where UPnP says that the port is forbidden, the others are not asked unless named: miniupnpd 2.3.1 looks
    for another port among all 65,536 then and answers nobody for more than a minute.
    """
    refusals: list[Refused] = []
    for mapper in mappers:
        offer = mapper.offer
        if offer.family != wanted.family or protocol not in (None, offer.protocol):
            continue
        if any(each.code == errors.NOT_AUTHORIZED and each.protocol == "upnp-igd" for each in refusals):
            refusals.append(Refused(protocol=offer.protocol, failure="not asked", detail=_FORBIDDEN))
            continue
        result = await mapper.make(wanted)
        if isinstance(result, Granted):
            return Made(mapper, result, tuple(refusals))
        refusals.append(result)
    return Made(None, None, tuple(refusals))


async def remove_mapping(
    mappers: Iterable[Mapper],
    wanted: MappingRequest,
    protocol: MappingProtocol,
    granted: Granted | None = None,
) -> Refused | None:
    """Remove a mapping by the protocol that made it; where that is refused, by any other that can find it;
    None: it is gone. `granted` None: the answer was never seen."""
    ordered = sorted(mappers, key=lambda each: each.offer.protocol != protocol)
    refused: Refused | None = None
    for mapper in ordered:
        if mapper.offer.family != wanted.family:
            continue
        own = mapper.offer.protocol == protocol
        result = await mapper.delete(wanted, granted if own else None)
        if result is None and (own or mapper.offer.protocol == "upnp-igd"):
            return None
        if own:
            refused = result
    return refused or Refused(protocol=protocol, failure="unreachable", detail="no router can be asked")
