"""Two routers with one address: at home and at the office. What one has made the other cannot remove, however
readily it says that there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from mapped import ALICE, at_home, call, gets_in

from nattools.engine.measureoptions import MapOptions
from nattools.engine.portmap.commands import add, delete
from nattools.engine.portmap.journal import Journal
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.host import LinkNeighbour
from nattools.model.observation import Gap
from nattools.model.portmapping import MAPPING_PROTOCOLS, MappingProtocol
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.net.wrappednetwork import WrappedNetwork

HOME, OFFICE = "02:00:00:00:00:01", "02:00:00:00:00:02"
MINE = MapOptions(mine=True)
each_protocol = pytest.mark.parametrize("protocol", MAPPING_PROTOCOLS)


class Place:
    """Whose hardware the router is that alice sees; "": her system does not tell."""

    hardware = HOME


class Linked(WrappedNetwork):
    def __init__(self, inner: Network, place: Place) -> None:
        super().__init__(inner)
        self.place = place

    def link_neighbours(self) -> tuple[LinkNeighbour, ...]:
        other = LinkNeighbour(interface="eth1", address="10.0.1.1", hardware="02:00:00:00:00:99")
        router = LinkNeighbour(interface="eth0", address="10.0.1.1", hardware=self.place.hardware)
        return (other, router)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Place:
    really, place = SimLab.network, Place()

    def network(lab: SimLab, host: str) -> Network:
        return Linked(really(lab, host), place) if host == "alice" else really(lab, host)

    monkeypatch.setattr(SimLab, "network", network)
    return place


def wish(protocol: MappingProtocol) -> MapOptions:
    return MapOptions(ports=(5000,), transports=("udp",), protocol=protocol)


async def run(lab: SimLab, folder: Path, command: object, wanted: MapOptions) -> Report:
    with Journal(folder) as journal:
        return await call(lab, command, wanted, journal, families=(4,))  # type: ignore[arg-type]


def noted(folder: Path) -> list[str]:
    """Whose routers' mappings are in the journal."""
    with Journal(folder) as journal:
        return sorted(entry.router for entry in journal.entries())


@each_protocol
def test_another_router_is_not_asked_and_nothing_forgotten(
    protocol: MappingProtocol, place: Place, tmp_path: Path
) -> None:
    async def main(lab: SimLab) -> None:
        await run(lab, tmp_path, add, wish(protocol))
        place.hardware = OFFICE
        report = await run(lab, tmp_path, delete, MINE)
        assert not any(each.removed for each in report.mappings)
        reasons = [seen.reason for seen in report.observations if isinstance(seen, Gap)]
        assert any("another one than the one here" in each for each in reasons)
        assert noted(tmp_path) == [HOME]
        assert await gets_in(lab, "udp", Endpoint(ALICE, 5000), Endpoint("11.1.0.2", 5000))
        place.hardware = HOME
        report = await run(lab, tmp_path, delete, MINE)
        assert [each.removed for each in report.mappings] == [True]
        assert noted(tmp_path) == []

    at_home(main)


@each_protocol
def test_what_is_made_there_takes_no_note_of_the_others(
    protocol: MappingProtocol, place: Place, tmp_path: Path
) -> None:
    async def main(lab: SimLab) -> None:
        await run(lab, tmp_path, add, wish(protocol))
        place.hardware = OFFICE
        await run(lab, tmp_path, add, wish(protocol))
        assert noted(tmp_path) == [HOME, OFFICE]

    at_home(main)


@each_protocol
@pytest.mark.parametrize("before", [HOME, ""])
def test_where_the_system_does_not_tell_it_is_taken_for_the_same(
    protocol: MappingProtocol, before: str, place: Place, tmp_path: Path
) -> None:
    async def main(lab: SimLab) -> None:
        place.hardware = before
        await run(lab, tmp_path, add, wish(protocol))
        place.hardware = OFFICE if not before else ""
        report = await run(lab, tmp_path, delete, MINE)
        assert [each.removed for each in report.mappings] == [True]
        assert noted(tmp_path) == []

    at_home(main)
