"""Making a mapping by whatever protocol does it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from nattools.model.portmapping import MappingProtocol
from nattools.probes.portmap.terms import Granted, Mapper, Refused, Wanted


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it: by whom it was `granted` (both None: nobody did), and who refused before."""

    mapper: Mapper | None
    granted: Granted | None
    refusals: tuple[Refused, ...] = ()


async def make_mapping(
    mappers: Iterable[Mapper], wanted: Wanted, protocol: MappingProtocol | None = None
) -> Made:
    """Ask one mapper after the other, of the wanted address's family and the protocol named (None: any),
    until one makes the mapping."""
    refusals: list[Refused] = []
    for mapper in mappers:
        offer = mapper.offer
        if offer.family != wanted.family or protocol not in (None, offer.protocol):
            continue
        result = await mapper.make(wanted)
        if isinstance(result, Granted):
            return Made(mapper, result, tuple(refusals))
        refusals.append(result)
    return Made(None, None, tuple(refusals))
