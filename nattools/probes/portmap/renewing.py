"""What mapping by NAT-PMP and by PCP has in common: an epoch, no list, and no way to read but to renew."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Protocol

from nattools.probes.portmap.place import Place
from nattools.probes.portmap.terms import Entry, Granted, Offer, Refused, Wanted, as_entry, suggesting


class EpochClock(Protocol):
    """Tells from a router's epochs whether it has lost its mappings."""

    def update(self, epoch_s: int, now: float) -> bool:
        """Take an epoch; False: the router has restarted."""


class RenewingMapper(ABC):
    """The shared part of a `terms.Mapper`. `now` of its epoch clock is the loop's."""

    def __init__(self, place: Place, offer: Offer, clock: EpochClock) -> None:
        self.offer = offer
        self.place = place
        self._clock = clock
        if offer.epoch_s is not None:
            self._learn(offer.epoch_s)

    @abstractmethod
    async def make(self, wanted: Wanted) -> Granted | Refused:
        """As `terms.Mapper.make`."""

    async def entries(self) -> list[Entry] | Refused | None:
        """These protocols have no list."""
        return None

    async def read_back(self, wanted: Wanted, granted: Granted) -> Entry | Refused | None:
        """Renew it, and see what it is now."""
        again = await self.make(suggesting(wanted, granted))
        return again if isinstance(again, Refused) else as_entry(again)

    def _learn(self, epoch_s: int) -> bool:
        return self._clock.update(epoch_s, asyncio.get_running_loop().time())
