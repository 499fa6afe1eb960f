"""Routers that are busy, hang up, restart or fill up in the middle, and wrap their answers oddly: what is
made there is known, and all of it is removed."""

from __future__ import annotations

import asyncio

import pytest
from routerkinds import MINE, OddHome, behind, made

from nattools.engine.measureoptions import MapOptions
from nattools.engine.portmap import commands
from nattools.lab.routers.igddevice import PORT
from nattools.lab.routers.routerbehaviour import RouterBehaviour

TWO = ("WANIPConnection:2", "WANIPConnection:1")
NATPMP_5000 = MapOptions(ports=(5000,), transports=("udp",), protocol="nat-pmp")


def upnp(**faults: object) -> RouterBehaviour:
    return RouterBehaviour(protocols=("upnp",), **faults)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "faults",
    [
        {"framing": "keep-alive"},
        {"framing": "bytes"},
        {"framing": "chunked"},
        {"framing": "gzip"},
        {"web_port": PORT + 1},
        {"control": f"http://192.168.100.1:{PORT}/ctl"},
        {"padded": True},
        {"told_leases": "minutes"},
        {"told_leases": "none"},
        {"names": "cut"},
        {"rows": "doubled"},
        {"rows": "turned"},
        {"delete_error": 0},
        {"again_fails": True},
        {"rate": 2},
        {"busy": 4, "change_s": 4.0},
        {"services": TWO, "dead_services": 1},
        {"services": TWO, "dead_services": 1, "external": "127.0.0.1"},
        {"services": TWO, "down_services": 1, "known_type": "WANIPConnection:1"},
        {"one_at_a_time": True, "delay_s": 0.3, "services": TWO},
    ],
    ids=str,
)
def test_it_is_mapped_twice_and_removed(faults: dict[str, object]) -> None:
    async def main(home: OddHome) -> None:
        for _ in range(2):
            assert made(await home.add()).verified_inbound
            assert home.ports == [5000]
        await home.delete_mine()
        assert home.ports == []
        assert home.journal.entries() == []

    behind(upnp(**faults), main)


@pytest.mark.parametrize("row_s", [3.5, 6.0])
def test_one_that_still_works_on_an_earlier_question_is_asked_until_it_listens(row_s: float) -> None:
    """It takes seconds for a row of its list, serves one connection at a time and hangs up on others, and the
    answer that said that a mapping was made was never seen."""

    async def main(home: OddHome) -> None:
        await home.add()
        (entry,) = home.journal.entries()
        home.journal.gone(entry)
        home.journal.add(
            entry.wanted, "upnp-igd", interface=entry.interface, gateway=entry.gateway, stays=True
        )
        listing = asyncio.get_running_loop().create_task(home.map(commands.list_mappings))
        await asyncio.sleep(1.0)
        listing.cancel()
        await asyncio.gather(listing, return_exceptions=True)
        await home.delete_mine()
        assert home.ports == []
        assert home.journal.entries() == []

    behind(upnp(row_s=row_s, one_at_a_time=True), main)


def test_a_protocol_that_has_not_answered_yet_is_tried_for_a_mapping_that_it_has_made() -> None:
    """Too many questions at once, of which it answers none."""

    async def main(home: OddHome) -> None:
        assert made(await home.add(NATPMP_5000)).external == "11.1.0.2:5000"
        await home.delete_mine()
        assert home.ports == []
        assert home.journal.entries() == []

    behind(RouterBehaviour(protocols=("nat-pmp",), rate=2), main)


def test_a_protocol_that_is_switched_off_leaves_its_mapping_noted() -> None:
    async def main(home: OddHome) -> None:
        await home.add(NATPMP_5000)
        await home.router.close()
        report = await home.delete_mine()
        assert len(home.journal.entries()) == 1
        assert not report.mappings[-1].removed

    behind(RouterBehaviour(protocols=("nat-pmp",)), main)


def test_where_a_renewal_moves_it_the_mapping_that_stays_is_known_by_its_new_port() -> None:
    """By NAT-PMP one inside has one mapping: `keep` holds the one that `add` has made."""

    async def main(home: OddHome) -> None:
        await home.add(NATPMP_5000)
        await home.keep(500, NATPMP_5000)
        report = await home.map(commands.list_mappings)
        assert [each.external for each in report.mappings] == [f"11.1.0.2:{port}" for port in home.ports]
        assert len(home.ports) == 1
        await home.delete_mine()
        assert home.ports == []

    behind(RouterBehaviour(protocols=("nat-pmp",), renewal_moves=True), main)


def test_another_port_than_the_only_one_wanted_is_found_in_a_list_with_an_unreadable_row() -> None:
    async def main(home: OddHome) -> None:
        wish = MapOptions(ports=(5000,), transports=("udp",), external_port=6000)
        report = await home.add(wish)
        assert not any(each.created and not each.removed for each in report.mappings)
        await home.delete_mine()
        assert home.ports == []

    behind(upnp(rows="unreadable", moves=7), main)


def test_what_may_be_ours_by_neither_its_port_nor_its_name_is_told_and_not_forgotten() -> None:
    """The process was killed before it saw which port the router had made, under a name of its own."""

    async def main(home: OddHome) -> None:
        await home.add()
        home.lose_answer()
        report = await home.map(commands.delete, MINE)
        assert home.ports == [5007]
        assert len(home.journal.entries()) == 1
        (told,) = [each for each in report.notices if each.code == "mapping-left-not-asked"]
        assert "port 5007 leads there (IGD mapping)" in str(told.values["detail"])

    behind(upnp(names="replaced", moves=7), main)


def test_what_a_renewal_moved_whose_answer_was_never_seen_is_removed() -> None:
    """The router makes each mapping at another port than the one asked for."""

    async def main(home: OddHome) -> None:
        await home.add()
        (entry,) = home.journal.entries()
        assert entry.granted is not None
        home.journal.asking(entry, 5007)
        home.router.table.clear()
        inside = entry.wanted.internal
        home.router.table.add(
            "udp", 5014, inside, 600, asyncio.get_running_loop().time(), description="nattools"
        )
        await home.delete_mine()
        assert home.ports == []
        assert home.journal.entries() == []

    behind(upnp(moves=7), main)


@pytest.mark.parametrize("protocol", ["upnp-igd", "pcp", "nat-pmp"])
def test_a_table_that_is_full_is_told_and_what_was_made_is_removed(protocol: str) -> None:
    wish = MapOptions(ports=(5000, 5001), transports=("udp",), protocol=protocol)  # type: ignore[arg-type]

    async def main(home: OddHome) -> None:
        report = await home.add(wish)
        assert [each.created for each in report.mappings].count(True) == 1
        assert len(home.rows) == 1
        await home.delete_mine()
        assert home.ports == []

    behind(RouterBehaviour(room=1), main)


def test_a_restart_in_the_middle_leaves_nothing_behind() -> None:
    for request in range(2, 14):

        async def main(home: OddHome) -> None:
            await home.add()
            await home.delete_mine()
            assert home.ports == []
            assert home.journal.entries() == []

        behind(upnp(restarts_after=request), main)


def test_answers_from_another_address_than_the_routers_do_not_count() -> None:
    async def main(home: OddHome) -> None:
        report = await home.add()
        assert made(report).protocol == "upnp-igd"
        await home.delete_mine()
        assert home.ports == []

    behind(RouterBehaviour(pmp_outside=True), main)
