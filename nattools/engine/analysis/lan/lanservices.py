"""Whose the services are that multicast DNS announces, and who passes on what others announce.

A reflector joins two networks; a sleep proxy answers for machines that sleep. Both announce addresses that
are not their own, so a service belongs to the addresses that stand with it, and to its announcer only if one
of them is the announcer's or there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nattools.model.endpoint import family_of
from nattools.model.lanseen import ServiceSeen


class AnnouncedServices:
    """`near`: is an address on this network?"""

    def __init__(self, services: Iterable[ServiceSeen], near: Callable[[str], bool]) -> None:
        seen = list(services)
        self._near = near
        self._passed_on = {each: places for each in seen if (places := _places_of_another(each))}
        passing = {each.source for each in self._passed_on}
        self._own = [
            each
            for each in seen
            if each not in self._passed_on and (each.addresses or each.source not in passing)
        ]

    @property
    def places(self) -> tuple[str, ...]:
        """The addresses of which others tell, in order."""
        return tuple(dict.fromkeys(place for places in self._passed_on.values() for place in places))

    def elsewhere(self, address: str) -> bool:
        """Is it on another network, so that somebody reflects what is announced there?"""
        return address in self.places and not self._near(address)

    def of(self, address: str) -> list[ServiceSeen]:
        """What that machine offers. What a reflector passes on, and does not say where it is, is nobody's."""
        own = [each for each in self._own if each.source == address]
        told = [each for each, places in self._passed_on.items() if address in places]
        return own + told

    @property
    def repeated(self) -> tuple[str, str] | None:
        """Who repeats here what a machine of this same network announces itself, and that machine."""
        themselves = {(each.source, each.service, each.instance) for each in self._own}
        for each, places in self._passed_on.items():
            for place in places:
                if self._near(place) and (place, each.service, each.instance) in themselves:
                    return each.source, place
        return None


def _places_of_another(service: ServiceSeen) -> tuple[str, ...]:
    """Its IPv4 addresses, if none is the announcer's. Of one who announces over IPv6 that is not known: its
    address there need not be among them."""
    four = tuple(each for each in service.addresses if family_of(each) == 4)
    return four if family_of(service.source) == 4 and service.source not in four else ()
