"""Kinds of routers that answer one thing and do another: what a user is told, and what is left there."""

from __future__ import annotations

import asyncio

import pytest
from routerkinds import UDP_5000, OddHome, behind, made

from nattools.engine.measureoptions import MapOptions
from nattools.engine.portmap import commands
from nattools.lab.routers.fakerouter import FakeRouter, start_router
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.model.endpoint import Endpoint
from nattools.model.observation import Gap
from nattools.model.report import Report
from nattools.report.sections.map import headline

UPNP = RouterBehaviour(protocols=("upnp",))


def upnp(**faults: object) -> RouterBehaviour:
    return RouterBehaviour(protocols=("upnp",), **faults)  # type: ignore[arg-type]


def codes(report: Report) -> set[str]:
    return {each.code for each in report.notices}


def gaps(report: Report) -> str:
    return " ".join(each.question for each in report.observations if isinstance(each, Gap))


@pytest.mark.parametrize("names", ["prefixed", "upper", "replaced"])
class TestNamesOfTheRoutersOwn:
    """Some routers put their own words before a description, or in its place."""

    def test_the_same_again_is_the_same_mapping(self, names: str) -> None:
        async def main(home: OddHome) -> None:
            first, second = await home.add(), await home.add()
            assert made(first).external == made(second).external == "11.1.0.2:5000"
            assert home.ports == [5000]
            await home.delete_mine()
            assert home.ports == []

        behind(upnp(names=names), main)

    def test_keeping_it_does_not_go_from_port_to_port(self, names: str) -> None:
        async def main(home: OddHome) -> None:
            _, changes = await home.keep(9000)
            assert [each.happening for each in changes] == ["made"]
            assert home.ports == []

        behind(upnp(names=names), main)

    def test_what_was_asked_for_without_an_answer_is_removed(self, names: str) -> None:
        """The port was free when it was asked for: what leads here from there is ours."""

        async def main(home: OddHome) -> None:
            await home.add()
            home.lose_answer()
            await home.delete_mine()
            assert home.ports == []
            assert home.journal.entries() == []

        behind(upnp(names=names), main)


class TestAnotherPortThanTheOneAskedFor:
    """The router makes another external port; its table has it."""

    @pytest.mark.parametrize("reserved", ["asked", "none", "zero"])
    @pytest.mark.parametrize("igd", [1, 2])
    def test_what_the_table_has_counts(self, reserved: str, igd: int) -> None:
        async def main(home: OddHome) -> None:
            report = await home.add()
            assert made(report).external == "11.1.0.2:5007"
            assert made(report).verified_inbound
            assert "mapping-listed-elsewhere" in codes(report)
            await home.add()
            assert home.ports == [5007]
            await home.delete_mine()
            assert home.ports == []

        services = (f"WANIPConnection:{igd}",)
        behind(upnp(moves=7, reserved=reserved, igd_version=igd, services=services), main)

    @pytest.mark.parametrize("reserved", ["true", "asked"])
    @pytest.mark.parametrize("one_per_inside", [True, False])
    def test_it_is_kept_without_leaving_others_behind(self, reserved: str, one_per_inside: bool) -> None:
        async def main(home: OddHome) -> None:
            _, changes = await home.keep(12_000)
            assert len(changes) <= 3
            assert all(each.verified for each in changes)
            assert home.ports == []

        behind(upnp(moves=7, reserved=reserved, one_per_inside=one_per_inside), main)

    def test_where_one_port_alone_will_do_there_is_no_mapping(self) -> None:
        async def main(home: OddHome) -> None:
            wish = MapOptions(ports=(5000,), transports=("udp",), external_port=6000)
            report = await home.add(wish)
            assert not any(each.created and not each.removed for each in report.mappings)
            await home.delete_mine()
            assert home.ports == []

        behind(upnp(moves=7), main)


class TestAFailureThatMadeOne:
    """AddAnyPortMapping fails and has made a port all the same."""

    @pytest.mark.parametrize("error", [0, 501, 728])
    def test_the_second_one_is_removed(self, error: int) -> None:
        async def main(home: OddHome) -> None:
            report = await home.add()
            assert any(each.external == "11.1.0.2:5000" and each.created for each in report.mappings)
            assert home.ports == [5000]
            await home.delete_mine()
            assert home.ports == []

        behind(upnp(any_port_error=error, any_makes=True), main)

    @pytest.mark.parametrize("hidden", [{"rows": "unlisted"}, {"list_error": 606}])
    def test_where_the_table_is_hidden_it_is_told(self, hidden: dict[str, object]) -> None:
        async def main(home: OddHome) -> Report:
            return await home.add()

        report = behind(upnp(any_port_error=501, any_makes=True, **hidden), main)
        assert "Is there a second UPnP mapping to udp 10.0.1.2:5000?" in gaps(report)

    def test_an_ordinary_router_is_not_suspected(self) -> None:
        assert "second" not in gaps(behind(upnp(any_port_error=401), OddHome.add))
        assert "second" not in gaps(behind(UPNP, OddHome.add))


class TestOtherProgramsOfThisMachine:
    """They make mappings of the same port as well."""

    def test_one_that_has_taken_the_place_of_ours_stays(self) -> None:
        async def main(home: OddHome) -> Report:
            await home.add()
            (row,) = home.rows
            home.router.table.add("udp", 5000, row.inside, 0, 0.0, description="libminiupnpc")
            report = await home.delete_mine()
            assert [row.description for row in home.rows] == ["libminiupnpc"]
            assert home.journal.entries() == []
            return report

        report = behind(UPNP, main)
        assert "another program (libminiupnpc)" in " ".join(report.warnings)

    def test_a_port_that_leads_to_another_machine_now_stays(self) -> None:
        async def main(home: OddHome) -> None:
            await home.add()
            home.router.table.add("udp", 5000, Endpoint("10.0.1.3", 99), 0, 0.0, description="game")
            await home.delete_mine()
            assert [str(row.inside) for row in home.rows] == ["10.0.1.3:99"]

        behind(UPNP, main)


class TestWhereItArrives:
    """VPN providers give a port and do not change its number."""

    @pytest.mark.parametrize("protocol", ["pcp", "nat-pmp"])
    def test_at_the_own_port_of_the_same_number(self, protocol: str) -> None:
        async def main(home: OddHome) -> Report:
            report = await home.add()
            await home.delete_mine()
            assert home.ports == []
            return report

        mapping = made(behind(RouterBehaviour(protocols=(protocol,), to_own_number=True), main))  # type: ignore[arg-type]
        assert (mapping.external, mapping.arrives_at) == ("11.1.0.2:45001", "10.0.1.2:45001")
        assert mapping.verified_inbound is False

    def test_a_trial_says_so(self) -> None:
        async def main(home: OddHome) -> Report:
            return await home.map(commands.probe, UDP_5000)

        report = behind(RouterBehaviour(protocols=("nat-pmp",), to_own_number=True), main)
        (verdict,) = [each for each in report.techniques if each.id == "nat-pmp"]
        assert verdict.verdict == "works"

    def test_a_mapping_that_leads_nowhere_does_not(self) -> None:
        behaviour = RouterBehaviour(protocols=("nat-pmp",), other_port=True, lies=True)
        mapping = made(behind(behaviour, OddHome.add))
        assert (mapping.verified_inbound, mapping.arrives_at) == (False, None)


class TestWhatTheRouterCallsItsAddress:
    """The outside proof decides."""

    def test_an_old_address_is_not_where_others_reach_it(self) -> None:
        report = behind(upnp(external="11.1.0.77"), OddHome.add)
        assert made(report).external == "11.1.0.2:5000"
        assert "router-address-differs" in codes(report)
        assert "mappings-not-reached" not in codes(report)

    def test_the_end_of_a_ds_lite_tunnel(self) -> None:
        report = behind(upnp(external="192.0.0.2", lies=True), OddHome.add)
        assert {"second-nat-of-provider", "mappings-not-reached"} <= codes(report)


class TestStatus:
    @pytest.mark.parametrize("status", ["", "PendingDisconnect", " CONNECTED ", "Verbunden"])
    def test_what_is_not_called_offline_is_not(self, status: str) -> None:
        async def main(home: OddHome) -> None:
            began = asyncio.get_running_loop().time()
            report = await home.add()
            assert made(report).verified_inbound
            assert asyncio.get_running_loop().time() - began < 2.5

        behind(upnp(status=status), main)

    @pytest.mark.parametrize("uptime", ["0 Days, 01:02:03", "-1", ""])
    def test_an_uptime_that_is_none_tells_no_restart(self, uptime: str) -> None:
        async def main(home: OddHome) -> None:
            _, changes = await home.keep(9000)
            assert [each.happening for each in changes] == ["made"]

        behind(upnp(uptime=uptime), main)


class TestWeakWebServers:
    @pytest.mark.parametrize(
        "faults",
        [
            {"one_at_a_time": True, "delay_s": 0.05},
            {"continues": True},
            {"fault_status": 200, "permanent_only": True},
            {"busy": 2},
            {"fails_first": 1},
        ],
    )
    def test_it_is_mapped_and_removed(self, faults: dict[str, object]) -> None:
        async def main(home: OddHome) -> None:
            assert made(await home.add()).verified_inbound
            await home.delete_mine()
            assert home.ports == []

        behind(upnp(**faults), main)


def test_a_row_of_both_transports_counts_for_each() -> None:
    async def main(home: OddHome) -> Report:
        await home.add()
        return await home.map(commands.list_mappings)

    report = behind(upnp(rows="both"), main)
    assert {(each.transport, each.external) for each in report.mappings} == {
        ("udp", "11.1.0.2:5000"),
        ("tcp", "11.1.0.2:5000"),
    }


def test_what_upnp_forbids_is_not_asked_for_by_others_and_that_is_said() -> None:
    async def main(home: OddHome) -> Report:
        return await home.map(commands.probe)

    report = behind(RouterBehaviour(upnp_error=606), main)
    why = {each.id: [reason.code for reason in each.reason] for each in report.techniques}
    assert why["pcp"] == ["router-forbids-port"]


def test_one_row_for_whatever_port_is_asked_for_blocks_and_saves_none() -> None:
    """GetSpecificPortMappingEntry always shows the first row: the list tells whose it is."""

    async def main(home: OddHome) -> None:
        home.router.table.add("udp", 7000, Endpoint("10.0.1.3", 99), 0, 0.0, description="game")
        wish = MapOptions(ports=(5000, 5001), transports=("udp",))
        report = await home.add(wish)
        assert {each.external for each in report.mappings if each.created} == {
            "11.1.0.2:5000",
            "11.1.0.2:5001",
        }
        await home.delete_mine()
        assert home.ports == [7000]

    behind(upnp(rows="first"), main)


class TestAnotherGateway:
    """A machine on the network answers as a gateway and is not the router on the path."""

    @staticmethod
    async def beside(home: OddHome, outside: str = "11.1.0.99") -> FakeRouter:
        return await start_router(home.lab.network("carol"), "10.0.1.3", outside, UPNP)

    def test_the_router_itself_is_asked_in_whatever_way_it_speaks(self) -> None:
        async def main(home: OddHome) -> None:
            other = await self.beside(home)
            report = await home.add()
            assert (made(report).protocol, made(report).verified_inbound) == ("pcp", True)
            assert other.table.rows(0.0) == []
            await home.delete_mine()
            await other.close()

        behind(RouterBehaviour(protocols=("pcp",)), main)

    def test_where_the_router_offers_nothing_that_is_what_is_said(self) -> None:
        async def main(home: OddHome) -> Report:
            other = await self.beside(home)
            await home.router.close()
            report = await home.add()
            assert len(other.table.rows(0.0)) == 1
            await home.delete_mine()
            assert other.table.rows(0.0) == []
            await other.close()
            return report

        report = behind(UPNP, main)
        assert "gateway-off-path" in codes(report)
        assert codes(report).isdisjoint({"router-address-differs", "mappings-not-reached"})

    def test_one_that_has_the_outside_address_may_be_the_router_itself(self) -> None:
        async def main(home: OddHome) -> Report:
            other = await self.beside(home, "11.1.0.2")
            await home.router.close()
            report = await home.add()
            await other.close()
            return report

        assert "gateway-off-path" not in codes(behind(UPNP, main))


def test_a_router_that_does_not_speak_the_protocol_any_more_is_here_all_the_same() -> None:
    async def main(home: OddHome) -> Report:
        await home.add()
        await home.router.close()
        report = await home.delete_mine()
        assert len(home.journal.entries()) == 1
        return report

    report = behind(UPNP, main)
    assert headline(report) == "0 of 1 mapping removed."
    assert "Is the UPnP mapping of udp 10.0.1.2:5000 still there?" in gaps(report)


@pytest.mark.parametrize("error", [402, 600, 605])
def test_a_name_that_is_too_long_is_not_insisted_on(error: int) -> None:
    async def main(home: OddHome) -> None:
        wish = MapOptions(ports=(5000,), transports=("udp",), description="the game of the evening")
        assert made(await home.add(wish)).verified_inbound
        await home.delete_mine()
        assert home.ports == []

    behind(upnp(longest_name=10, name_error=error), main)
