"""Which addresses are served on when nobody says."""

from __future__ import annotations

from typing import cast

import pytest

from nattools.errors import CannotRun
from nattools.model.host import Interface
from nattools.net.addresses import is_public
from nattools.net.base import Network
from nattools.server.endpoints import default_addresses


class Machine:
    """A network of which only the questions that matter here can be asked."""

    def __init__(self, *interfaces: Interface, four: str | None = None, six: str | None = None) -> None:
        self._interfaces = interfaces
        self._sources = {4: four, 6: six}

    def interfaces(self) -> tuple[Interface, ...]:
        return self._interfaces

    def route(self, destination: str) -> tuple[str | None, str] | None:
        source = self._sources[6 if ":" in destination else 4]
        if source is None:
            return None
        return next((each.name for each in self._interfaces if source in each.addresses), None), source

    def is_public(self, address: str) -> bool:
        return is_public(address)


def chosen(*interfaces: Interface, four: str | None = None, six: str | None = None) -> tuple[str, ...]:
    return default_addresses(cast(Network, Machine(*interfaces, four=four, six=six)))


def test_the_default_route_s_interface_gives_up_to_two_of_each_family() -> None:
    eth0 = Interface(
        name="eth0",
        addresses=("11.0.0.3", "10.0.0.9", "11.0.0.2", "11.0.0.4", "fe80::1%eth0", "2a10::2", "2a10::3"),
    )
    other = Interface(name="eth1", addresses=("11.9.0.2",))
    assert chosen(other, eth0, four="11.0.0.2", six="2a10::2") == (
        "11.0.0.2",
        "11.0.0.3",
        "2a10::2",
        "2a10::3",
    )


def test_a_private_address_is_no_second_one_for_a_public() -> None:
    eth0 = Interface(name="eth0", addresses=("11.0.0.2", "10.0.0.2", "fe80::1%eth0"))
    assert chosen(eth0, four="11.0.0.2") == ("11.0.0.2",)
    assert chosen(eth0, four="10.0.0.2") == ("10.0.0.2",)


def test_without_a_default_route_somebody_must_say() -> None:
    with pytest.raises(CannotRun) as refusal:
        chosen(Interface(name="lo", addresses=("127.0.0.1",)))
    assert "--listen" in refusal.value.remedy
