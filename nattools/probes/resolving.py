"""Server names to addresses."""

from __future__ import annotations

from nattools.model.endpoint import Family
from nattools.model.observation import Resolution
from nattools.net.base import Network
from nattools.probes.context import Recorder


async def resolve(
    network: Network, recorder: Recorder, name: str, families: tuple[Family, ...]
) -> dict[Family, str]:
    """The preferred address of each family; a lookup goes on record, an address needs none."""
    found = await network.resolve(name, families[0] if len(families) == 1 else None)
    addresses = () if isinstance(found, str) else found
    if addresses != (name,):
        number, at_s = recorder.stamp()
        recorder.add(
            Resolution(
                id=number,
                probe="resolve",
                at_s=at_s,
                name=name,
                addresses=addresses,
                error=found if isinstance(found, str) else None,
            )
        )
    chosen: dict[Family, str] = {}
    for address in addresses:
        family: Family = 6 if ":" in address else 4
        if family in families:
            chosen.setdefault(family, address)
    return chosen
