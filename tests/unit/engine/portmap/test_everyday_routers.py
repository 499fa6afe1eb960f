"""What routers do that nobody calls a fault: several connections with tables of their own, changes that come
into force later, many devices beside the gateway, numbers with words; and what happens to those that keep."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from routerkinds import MINE, UDP_5000, OddHome, behind, made

from nattools.engine.measureoptions import MapOptions
from nattools.engine.portmap import commands
from nattools.engine.portmap.journal import Journal
from nattools.engine.portmap.journalentry import Timestamp
from nattools.engine.portmap.keep import LOOK_S
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report
from nattools.protocols import ssdp

TWO = ("WANIPConnection:1", "WANPPPConnection:1")
BOTH_5000 = MapOptions(ports=(5000,), transports=("udp", "tcp"))


def upnp(**faults: object) -> RouterBehaviour:
    return RouterBehaviour(protocols=("upnp",), **faults)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "faults",
    [
        {"services": TWO, "own_tables": True, "first_refuses": 501},
        {"services": TWO, "own_tables": True, "first_refuses": 706},
        {"services": TWO, "own_tables": True, "flips": 2},
        {"rows": "from one"},
        {"rows": "either"},
        {"type_case": "lower"},
        {"type_case": "upper"},
        {"done_status": 202},
        {"done_status": 204},
        {"told_leases": "left out"},
        {"told_leases": "words"},
        {"applies_after_s": 0.3},
        {"applies_after_s": 1.2},
        {"devices_first": 8, "only_target": ssdp.ALL},
        {"crashes_at": "AddAnyPortMapping"},
        {"crashes_at": "GetSpecificPortMappingEntry"},
        {"crashes_at": "DeletePortMapping"},
    ],
    ids=str,
)
def test_it_is_mapped_listed_and_removed(faults: dict[str, object]) -> None:
    async def main(home: OddHome) -> None:
        mapping = made(await home.add())
        assert (mapping.external, mapping.lifetime_s) == ("11.1.0.2:5000", 7200)
        assert mapping.verified_inbound
        assert home.ports == [5000]
        listed = await home.map(commands.list_mappings)
        assert [each.external for each in listed.mappings] == ["11.1.0.2:5000"]
        report = await home.delete_mine()
        assert [each.removed for each in report.mappings] == [True]
        assert home.ports == []
        assert home.journal.entries() == []

    behind(upnp(**faults), main)


def test_a_list_whose_first_row_has_the_number_1_is_read() -> None:
    async def main(home: OddHome) -> None:
        home.router.table.add("udp", 7000, Endpoint("10.0.1.3", 99), 0, 0.0, description="game")
        report = await home.map(commands.list_mappings)
        assert [each.external for each in report.mappings] == ["11.1.0.2:7000"]

    behind(upnp(rows="from one"), main)


def test_a_mapping_that_a_connection_has_which_is_offline_now_is_removed_unseen() -> None:
    """The process was killed before it saw the answer, and the router's other line is in use."""

    async def main(home: OddHome) -> None:
        await home.add()
        home.lose_answer()
        await home.delete_mine()
        assert home.ports == []

    behind(upnp(services=TWO, own_tables=True, flips=2), main)


def test_where_its_upnp_ends_at_the_end_of_each_list_what_was_never_seen_is_removed() -> None:
    async def main(home: OddHome) -> None:
        await home.add()
        home.lose_answer()
        await home.delete_mine()
        assert home.ports == []
        assert home.journal.entries() == []

    behind(upnp(crashes_at="end"), main)


def test_what_is_at_another_port_than_granted_is_found_where_no_table_was_read_when_it_was_made() -> None:
    async def main(home: OddHome) -> None:
        await home.add()
        (entry,) = home.journal.entries()
        assert entry.granted is not None
        said = msgspec.structs.replace(entry.granted, external_port=5000, listed=None, named=None)
        home.journal.granted(entry, said)
        assert home.ports == [5007]
        await home.delete_mine()
        assert home.ports == []

    behind(upnp(moves=7), main)


def test_a_code_is_known_that_has_words_behind_it() -> None:
    (mapping,) = behind(upnp(upnp_error=606, code_words=True), OddHome.add).mappings
    assert mapping.error is not None
    assert mapping.error.code == 606


@pytest.mark.parametrize("protocol", ["pcp", "nat-pmp"])
def test_what_the_router_lets_live_on_is_not_called_removed(protocol: str) -> None:
    async def main(home: OddHome) -> None:
        await home.add()
        report = await home.delete_mine()
        assert [each.removed for each in report.mappings] == [False]
        assert home.ports == [5000]
        assert len(home.journal.entries()) == 1
        (mapping,) = report.mappings
        assert mapping.error is not None
        assert "it lives on for 3600 s" in mapping.error.meaning

    behind(RouterBehaviour(protocols=(protocol,), ends_last_s=3600), main)  # type: ignore[arg-type]


def test_one_that_has_taken_the_others_place_is_the_only_one_made() -> None:
    async def main(home: OddHome) -> None:
        report = await home.add(BOTH_5000)
        assert len(home.rows) == 1
        assert made(report).transport == home.rows[0].transport
        await home.map(commands.delete, MINE)
        assert home.ports == []

    behind(upnp(one_per_port=True), main)


class TestKeeping:
    """What happens to a mapping meanwhile."""

    def test_one_that_another_program_removes_is_made_anew(self) -> None:
        async def main(home: OddHome) -> None:
            loop = asyncio.get_running_loop()
            loop.call_later(200.0, home.router.table.clear)
            seen: list[list[int]] = []
            loop.call_later(200.0 + LOOK_S + 10.0, lambda: seen.append(home.ports))
            _, changes = await home.keep(600)
            assert seen == [[5000]]
            assert [(each.happening, each.why) for each in changes] == [
                ("made", None),
                ("restored", "removed"),
            ]

        behind(upnp(), main)

    def test_two_that_take_each_others_place_end_at_two_ports(self) -> None:
        async def main(home: OddHome) -> None:
            seen: list[list[int]] = []
            asyncio.get_running_loop().call_later(900.0, lambda: seen.append(home.ports))
            await home.keep(1000, BOTH_5000)
            assert len(set(seen[0])) == 2
            assert home.ports == []

        behind(upnp(one_per_port=True), main)

    @pytest.mark.parametrize("protocol", ["upnp", "pcp", "nat-pmp"])
    def test_announcements_without_a_restart_are_none(self, protocol: str) -> None:
        async def main(home: OddHome) -> None:
            _, changes = await home.keep(2000)
            assert [each.happening for each in changes] == ["made"]

        behind(RouterBehaviour(protocols=(protocol,), announces_every_s=60.0), main)  # type: ignore[arg-type]

    def test_another_outside_address_is_told(self) -> None:
        """The provider has changed it, and the router's uptime tells nothing."""

        async def main(home: OddHome) -> None:
            later = msgspec.structs.replace(home.router.behaviour, external="11.1.0.77")

            def change() -> None:
                home.router._upnp._behaviour = later

            asyncio.get_running_loop().call_later(1000.0, change)
            _, changes = await home.keep(6000)
            told = [each.external.host for each in changes if each.external is not None]
            assert told == ["11.1.0.2", "11.1.0.77"]

        behind(upnp(uptime=""), main)

    @pytest.mark.parametrize("slow", [0.3, 1.2])
    def test_a_renewal_that_comes_into_force_later_is_one(self, slow: float) -> None:
        async def main(home: OddHome) -> None:
            _, changes = await home.keep(9000)
            assert [each.happening for each in changes] == ["made"]
            assert home.ports == []

        behind(upnp(applies_after_s=slow), main)

    @pytest.mark.parametrize("protocol", ["upnp", "pcp", "nat-pmp"])
    def test_after_a_night_asleep_it_is_there_again(self, protocol: str, tmp_path: Path) -> None:
        """The loop's clock stands still while the machine sleeps, the router's does not."""

        async def main(home: OddHome) -> None:
            loop = asyncio.get_running_loop()
            asleep_s = 0.0
            seen: list[list[int]] = []

            def sleep() -> None:
                nonlocal asleep_s
                asleep_s = 30_000.0
                home.router.table.clear()

            def clock() -> Timestamp:
                up_s = loop.time() + asleep_s
                return Timestamp(2e9 + up_s, up_s, "boot")

            loop.call_later(100.0, sleep)
            loop.call_later(110.0, lambda: seen.append(home.ports))
            with Journal(tmp_path, clock=clock) as journal:
                home.journal = journal  # type: ignore[assignment]
                report, changes = await home.keep(200)
            assert isinstance(report, Report)
            assert seen == [[5000]]
            assert {each.why for each in changes} == {None}

        behind(RouterBehaviour(protocols=(protocol,)), main)  # type: ignore[arg-type]


def test_what_the_table_does_not_show_at_once_is_not_made_for_ever() -> None:
    async def main(home: OddHome) -> None:
        report = await home.add(UDP_5000)
        assert {each.code for each in report.notices}.isdisjoint({"mapping-not-listed"})
        (row,) = home.rows
        assert row.expires - asyncio.get_running_loop().time() < 7300

    behind(upnp(applies_after_s=1.2), main)
