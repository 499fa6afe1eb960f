"""Routers that make another port than they are asked for: it is found, or said that it cannot be."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from routerkinds import OddHome, behind

from nattools.engine.measureoptions import MapOptions
from nattools.engine.portmap import commands
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.model.endpoint import Endpoint

UDP_INSIDE = Endpoint("10.0.1.2", 5000)
KEPT = MapOptions(ports=(5000,), transports=("udp",), lifetime_s=600)
OLD = {"igd_version": 1, "services": ("WANIPConnection:1",)}
"""It knows nothing of AddAnyPortMapping, whose answer names the port."""


def upnp(**faults: object) -> RouterBehaviour:
    return RouterBehaviour(protocols=("upnp",), **{**OLD, **faults})  # type: ignore[arg-type]


class TestByAnotherName:
    """Neither the port nor the name is what was asked for."""

    @pytest.mark.parametrize("more", [{}, {"one_per_inside": True}, {"told_leases": "none"}])
    def test_it_is_known_by_how_far_it_is_from_what_was_asked_for(self, more: dict[str, object]) -> None:
        async def main(home: OddHome) -> None:
            report = await home.add()
            (mapping,) = [each for each in report.mappings if each.created and not each.removed]
            assert [f"11.1.0.2:{port}" for port in home.ports] == [mapping.external]
            assert mapping.verified_inbound
            await home.delete_mine()
            assert home.ports == []

        behind(upnp(names="replaced", moves=7, **more), main)

    def test_the_second_question_is_answered_by_another_action(self) -> None:
        """AddAnyPortMapping fails at first, and then tells the port."""

        async def main(home: OddHome) -> None:
            await home.add()
            assert home.ports == [5007]
            await home.delete_mine()
            assert home.ports == []

        behind(RouterBehaviour(protocols=("upnp",), names="replaced", moves=7, fails_first=3), main)

    def test_a_trial_leaves_nothing_behind(self) -> None:
        async def main(home: OddHome) -> None:
            report = await home.map(commands.probe, MapOptions())
            assert {each.transport for each in report.mappings if each.created and each.removed} == {
                "udp",
                "tcp",
            }
            assert home.ports == []

        behind(upnp(names="replaced", moves=7), main)

    def test_the_only_port_wanted_is_another(self) -> None:
        async def main(home: OddHome) -> None:
            report = await home.add(MapOptions(ports=(5000,), transports=("udp",), external_port=6000))
            assert not any(each.created and not each.removed for each in report.mappings)
            assert home.ports == []

        behind(upnp(names="replaced", moves=7), main)

    def test_one_of_another_program_to_the_same_inside_stays(self) -> None:
        """A router that is full says yes and makes nothing: what leads here was there before."""

        async def main(home: OddHome) -> None:
            home.router.table.add("udp", 8080, UDP_INSIDE, 0, 0.0, description="a game")
            home.router.table._behaviour = upnp(full=True)
            report = await home.add()
            assert not any(each.created and not each.removed for each in report.mappings)
            await home.delete_mine()
            assert home.ports == [8080]

        behind(upnp(), main)


class TestShownNowhere:
    """It says yes, makes another port, and its table denies everything."""

    @pytest.mark.parametrize("delete_error", [714, 402, 501])
    def test_it_is_not_called_removed(self, delete_error: int) -> None:
        async def main(home: OddHome) -> None:
            report = await home.add()
            assert home.ports == [5007]
            assert not any(each.created or each.removed for each in report.mappings)
            assert "mapping-never-shown" in {each.code for each in report.notices}

        behind(upnp(moves=7, rows="unlisted", delete_error=delete_error), main)

    def test_what_it_removes_all_the_same_is(self) -> None:
        async def main(home: OddHome) -> None:
            await home.add()
            assert home.ports == [5000]
            report = await home.delete_mine()
            assert [each.removed for each in report.mappings] == [True]
            assert home.ports == []

        behind(upnp(rows="hidden", list_error=713), main)


def test_one_row_for_all_ports_and_an_empty_list_say_nothing_of_a_deletion() -> None:
    """The first row is another port's, and the list denies that one too."""

    async def main(home: OddHome) -> None:
        report = await home.add(MapOptions(ports=(5000, 5001), transports=("udp",)))
        assert sorted(home.ports) == [5000, 5001]
        assert [each.created for each in report.mappings] == [True, True]
        report = await home.delete_mine()
        assert [each.removed for each in report.mappings] == [True, True]
        assert home.ports == []

    behind(upnp(rows="first", list_error=714, names="replaced"), main)


def test_a_removal_that_takes_too_long_is_not_called_one() -> None:
    """Nobody waits longer for a slow router at the end: whether it has removed the mapping is not known."""

    async def main(home: OddHome) -> None:
        report = await home.map(commands.probe, MapOptions(transports=("udp",)))
        assert [(each.created, each.removed) for each in report.mappings] == [(True, False)]
        assert "mapping-left-until" in {each.code for each in report.notices}
        assert [each.wanted.description for each in home.journal.entries()] == ["nattools trial"]
        await home.delete_mine()
        assert home.ports == []

    behind(upnp(change_s=8.0, delay_s=1.2, web_port=5001), main)


def test_one_row_for_all_ports_does_not_show_what_was_refused() -> None:
    """The first of two mappings is refused, and the router shows the second one's row at its port."""

    async def main(home: OddHome) -> None:
        report = await home.add(MapOptions(ports=(5000,), transports=("udp", "tcp")))
        there = {(row.transport, row.outside.port) for row in home.rows}
        told = {(each.transport, 5000) for each in report.mappings if each.created and not each.removed}
        assert ("tcp", 5000) in there
        assert told == there
        await home.delete_mine()
        assert home.ports == []

    behind(upnp(rows="first", fails_first=3), main)


def test_another_protocols_mapping_is_not_deleted_where_upnp_cannot_make_it_again() -> None:
    async def main(home: OddHome) -> None:
        wish = MapOptions(ports=(5000,), transports=("udp",), external_port=5000)
        await home.add(msgspec.structs.replace(wish, protocol="pcp"))
        await home.add(msgspec.structs.replace(wish, protocol="upnp-igd"))
        assert home.ports == [5000]
        report = await home.map(commands.list_mappings)
        assert {each.external for each in report.mappings} == {"11.1.0.2:5000"}
        await home.delete_mine()
        assert home.ports == []

    behind(RouterBehaviour(upnp_error=718), main)


def test_of_what_a_renewal_may_have_moved_no_port_is_told() -> None:
    """Killed while it was renewed; the router has restarted, and its list takes too long to be read."""

    async def main(home: OddHome) -> None:
        await home.add()
        (entry,) = home.journal.entries()
        home.journal.asking(entry, 5000)
        home.router.restart()
        report = await home.delete_mine()
        (told,) = report.mappings
        assert (told.external, told.created, told.removed) == (None, False, False)
        assert "mapping-may-exist" in {each.code for each in report.notices}
        assert len(home.journal.entries()) == 1

    behind(RouterBehaviour(protocols=("upnp",), row_s=6.0), main)


def test_what_the_renewal_of_one_without_end_has_made_beside_it_is_removed() -> None:
    """AddAnyPortMapping has told the port; AddPortMapping, which renews, makes a further one, and the row
    that was there does not change."""

    async def main(home: OddHome) -> None:
        report, _ = await home.keep(5000.0)
        told = {each.external: each.removed for each in report.mappings if each.created}
        assert told == {"11.1.0.2:5007": True, "11.1.0.2:5014": True}
        assert home.ports == []

    behind(RouterBehaviour(protocols=("upnp",), permanent_only=True, moves=7), main)


def test_what_nobody_has_seen_made_elsewhere_is_known_by_our_name_behind_the_routers_words() -> None:
    """The process was killed before it saw an answer."""

    async def main(home: OddHome) -> None:
        await home.add()
        home.lose_answer()
        assert home.ports == [5007]
        await home.delete_mine()
        assert home.ports == []
        assert home.journal.entries() == []

    behind(upnp(names="prefixed", moves=7), main)


def test_another_protocols_row_is_not_what_nobody_has_seen_made() -> None:
    """It is removed, for it is ours; what UPnP has made besides is in a list that takes too long."""

    async def main(home: OddHome) -> None:
        await home.add()
        home.lose_answer()
        home.router.table.add("udp", 5000, UDP_INSIDE, 7200, 0.0, nonce=b"nat-pmp")
        report = await home.delete_mine()
        assert home.ports == [5007]
        assert not any(each.removed for each in report.mappings)
        assert "mapping-may-exist" in {each.code for each in report.notices}
        assert len(home.journal.entries()) == 1

    behind(RouterBehaviour(protocols=("upnp",), moves=7, row_s=6.0), main)


class TestRenewalsMove:
    """AddAnyPortMapping tells which port it has made; AddPortMapping of that makes the next one, and the row
    that was meant looks the same afterwards, for the table tells minutes or nothing."""

    @pytest.mark.parametrize("told", ["minutes", "none"])
    @pytest.mark.parametrize("seconds", [6.0, 20.0, 500.0])
    def test_keep_leaves_nothing(self, told: str, seconds: float) -> None:
        async def main(home: OddHome) -> None:
            report, changes = await home.keep(seconds, KEPT)
            assert [each.happening for each in changes] == ["made"]
            assert all(each.removed for each in report.mappings if each.created)
            assert home.ports == []

        behind(RouterBehaviour(protocols=("upnp",), told_leases=told, moves=7), main)  # type: ignore[arg-type]

    def test_it_is_open_all_the_time(self) -> None:
        """What is renewed is the mapping that is told, not the one beside it."""

        async def main(home: OddHome) -> None:
            seen: list[list[int]] = []
            loop = asyncio.get_running_loop()
            for at in range(100, 1900, 100):
                loop.call_later(at, lambda: seen.append(home.ports))
            await home.keep(1950.0, KEPT)
            assert seen == [[5007]] * 18
            assert home.ports == []

        behind(RouterBehaviour(protocols=("upnp",), told_leases="minutes", moves=7), main)
