"""`nattools map probe`, `add`, `list` and `delete`, simulated; held against a look from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from mapped import ALICE, OUTSIDE, at_home, call, gets_in, home, made, options
from simulated import pass_time

from nattools.engine.measureoptions import Event, MapOptions
from nattools.engine.portmap import commands
from nattools.engine.portmap.journal import Journal, MemoryJournal
from nattools.errors import CannotRun, UsageError
from nattools.lab.scenario import HostSpec, MapperSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint, Transport
from nattools.model.mappingseen import MapAttempt, MapCheck
from nattools.model.portmapping import MAPPING_PROTOCOLS, MappingProtocol, PortMapping
from nattools.model.report import Report
from nattools.probes.portmap import MappingRequest, gateway_contexts
from nattools.probes.portmap.discover import discover
from nattools.report.sections.map import headline

each_protocol = pytest.mark.parametrize("protocol", MAPPING_PROTOCOLS)
BOTH: tuple[Transport, ...] = ("udp", "tcp")


def one(report: Report) -> PortMapping:
    (mapping,) = report.mappings
    return mapping


def inside(port: int = 5000) -> Endpoint:
    return Endpoint(ALICE, port)


PINHOLE = Endpoint("2a10:1:0:1::2", 5000)


def outside(port: int = 5000) -> Endpoint:
    return Endpoint(OUTSIDE, port)


# --- probe


def test_a_probe_tries_everything_and_leaves_nothing() -> None:
    async def main(lab: SimLab) -> Report:
        journal = MemoryJournal()
        report = await call(lab, commands.probe, journal=journal)
        assert journal.entries() == []
        for mapping in report.mappings:
            here, there = mapping.internal, mapping.external
            assert there is not None
            at, beyond = (Endpoint(*_split(each)) for each in (here, there))
            assert not await gets_in(lab, mapping.transport, at, beyond)
        return report

    report = at_home(main)
    expected = {(protocol, transport, 4) for protocol in MAPPING_PROTOCOLS for transport in BOTH}
    assert set(made(report)) == expected
    assert all(mapping.verified_inbound and mapping.removed for mapping in report.mappings)
    assert {each.verdict for each in report.techniques} == {"works"}


def _split(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def test_a_probe_of_one_protocol_and_transport() -> None:
    wish = MapOptions(protocol="pcp", transports=("tcp",))
    report = at_home(lambda lab: call(lab, commands.probe, wish))
    assert set(made(report)) == {("pcp", "tcp", 4)}


def test_pinholes_are_tried_too() -> None:
    report = at_home(lambda lab: call(lab, commands.probe), home(ipv6=True))
    assert {(protocol, "udp", 6) for protocol in ("pcp", "upnp-igd")} < set(made(report))
    assert all(mapping.verified_inbound for mapping in report.mappings)


def test_one_family_alone() -> None:
    report = at_home(lambda lab: call(lab, commands.probe, families=(6,)), home(ipv6=True))
    assert {family for _, _, family in made(report)} == {6}


def test_without_a_server_that_dials_nothing_is_claimed() -> None:
    report = at_home(lambda lab: call(lab, commands.probe), home(servers=0))
    assert {mapping.verified_inbound for mapping in report.mappings} == {None}
    assert {each.verdict for each in report.techniques} == {"unknown"}
    assert all("settle" in each.summary for each in report.techniques)
    assert report.servers[0].answered


def test_proof_by_whatever_the_server_can_do() -> None:
    """With one address only, and where UDP does not get out."""
    plain = home()
    one_address = msgspec.structs.replace(plain, server={"stun": ServerSpec(addresses=1)})
    for scenario in (one_address, home(udp="blocked"), home(delay_ms=150)):
        report = at_home(lambda lab: call(lab, commands.probe), scenario)
        assert {mapping.verified_inbound for mapping in report.mappings} == {True}


def test_the_proof_comes_from_another_address_than_was_asked() -> None:
    report = at_home(lambda lab: call(lab, commands.probe))
    checks = [seen for seen in report.observations if isinstance(seen, MapCheck)]
    assert len(checks) == 6
    assert {_split(seen.origin or "")[0] for seen in checks} == {"11.201.0.3"}
    assert report.servers[0].address == "11.201.0.2:3478"


def test_a_router_that_lies_is_found_out() -> None:
    report = at_home(lambda lab: call(lab, commands.probe), home(MapperSpec(faults={"lies": True})))
    assert {mapping.verified_inbound for mapping in report.mappings} == {False}
    assert all(mapping.removed for mapping in report.mappings)
    assert {each.verdict for each in report.techniques} == {"fails"}
    assert all("nothing arrives" in each.summary for each in report.techniques)


@pytest.mark.parametrize("loss", [0.05, 0.1])
def test_loss_turns_no_open_port_into_a_closed_one(loss: float) -> None:
    for seed in range(6):
        with SimLab(home(loss=loss, delay_ms=20), seed=seed) as lab:
            report = lab.run(lambda lab=lab: call(lab, commands.probe))
        assert False not in {mapping.verified_inbound for mapping in report.mappings}
        proven = sum(mapping.verified_inbound is True for mapping in report.mappings)
        assert proven >= len(report.mappings) - 1


def test_a_forbidding_router_is_asked_no_further() -> None:
    """UPnP says 606; PCP would freeze some routers then."""
    mapper = MapperSpec(ports=(1024, 1025))
    report = at_home(lambda lab: call(lab, commands.probe), home(mapper))
    tried = [seen for seen in report.observations if isinstance(seen, MapAttempt)]
    assert {seen.protocol for seen in tried if seen.outcome != "not asked"} == {"upnp-igd"}
    assert {seen.protocol for seen in tried if seen.outcome == "not asked"} == {"nat-pmp", "pcp"}
    why = {each.id: [reason.code for reason in each.reason] for each in report.techniques}
    assert why["pcp"] == ["router-forbids-port"]
    verdicts = {each.id: each.verdict for each in report.techniques}
    assert verdicts["upnp-igd"] == "fails"
    error = report.mappings[0].error
    assert error is not None
    assert error.code == 606


def test_nobody_to_ask() -> None:
    lonely = HostSpec(behind="home", default_route=False)
    scenario = Scenario(title="alone", nat={"home": NatSpec()}, host={"alice": lonely})
    with pytest.raises(CannotRun, match="route"):
        at_home(lambda lab: call(lab, commands.probe), scenario)


def test_a_router_without_mappings_takes_no_longer_than_promised() -> None:
    scenario = msgspec.structs.replace(
        home(), nat={"home": msgspec.structs.replace(home().nat["home"], mapper=None)}
    )
    report = at_home(lambda lab: call(lab, commands.probe), scenario)
    assert report.duration_s <= 2.5
    assert report.mappings == ()
    assert {each.verdict for each in report.techniques} == {"fails"}


# --- add


@each_protocol
def test_a_mapping_stays_until_it_ends(protocol: MappingProtocol) -> None:
    async def main(lab: SimLab) -> list[bool]:
        wish = MapOptions(ports=(5000,), protocol=protocol, lifetime_s=600)
        before = await gets_in(lab, "udp", inside(), outside())
        report = await call(lab, commands.add, wish)
        assert {each.external for each in report.mappings} == {str(outside())}
        assert all(each.verified_inbound and not each.removed for each in report.mappings)
        seen = [before, await gets_in(lab, "udp", inside(), outside())]
        seen.append(await gets_in(lab, "tcp", inside(), outside()))
        await pass_time(900)
        return [*seen, await gets_in(lab, "udp", inside(), outside())]

    assert at_home(main) == [False, True, True, False]


def test_it_is_in_the_journal_and_no_next_start_removes_it(tmp_path: Path) -> None:
    async def main(lab: SimLab) -> bool:
        with Journal(tmp_path) as journal:
            await call(lab, commands.add, MapOptions(ports=(5000,)), journal)
        with Journal(tmp_path) as journal:
            assert len(journal.entries()) == 2
            await call(lab, commands.probe, journal=journal)
            assert len(journal.entries()) == 2
        return await gets_in(lab, "udp", inside(), outside())

    assert at_home(main)


def test_another_port_outside() -> None:
    wish = MapOptions(ports=(5000,), external_port=6000, transports=("udp",))
    report = at_home(lambda lab: call(lab, commands.add, wish))
    assert one(report).external == str(outside(6000))


def test_a_port_that_another_machine_has() -> None:
    """With a port named, another one is no help; without, the router gives another."""
    taken = home(MapperSpec(faults={"taken": [5000]}, protocols=("pcp",)))
    exact = MapOptions(ports=(5000,), external_port=5000, transports=("udp",))
    report = at_home(lambda lab: call(lab, commands.add, exact), taken)
    error = one(report).error
    assert not one(report).created
    assert error is not None
    assert error.name == "CANNOT_PROVIDE_EXTERNAL"
    report = at_home(
        lambda lab: call(lab, commands.add, MapOptions(ports=(5000,), transports=("udp",))), taken
    )
    assert one(report).external == str(outside(5001))


def test_a_port_of_both_families() -> None:
    report = at_home(lambda lab: call(lab, commands.add, MapOptions(ports=(5000,))), home(ipv6=True))
    assert {(family, transport) for _, transport, family in made(report)} == {
        (family, transport) for family in (4, 6) for transport in BOTH
    }


def test_only_for_this_machine() -> None:
    for command in (commands.add, commands.delete):
        with pytest.raises(UsageError, match="not an address of this machine"):
            at_home(
                lambda lab, command=command: call(lab, command, MapOptions(ports=(5000,), host="10.0.1.3"))
            )


def test_the_next_protocol_where_one_refuses() -> None:
    mapper = MapperSpec(faults={"upnp_error": 501})
    report = at_home(
        lambda lab: call(lab, commands.add, MapOptions(ports=(5000,), transports=("udp",))), home(mapper)
    )
    assert [(each.protocol, each.created) for each in report.mappings] == [("upnp-igd", False), ("pcp", True)]


def test_a_port_in_use_is_mapped_and_not_tried() -> None:
    async def main(lab: SimLab) -> Report:
        socket = await lab.network("alice").open_udp(family=4, host=ALICE, port=5000)
        report = await call(lab, commands.add, MapOptions(ports=(5000,), transports=("udp",)))
        socket.close()
        return report

    report = at_home(main)
    assert one(report).created
    assert one(report).verified_inbound is None
    assert any("in use" in getattr(seen, "reason", "") for seen in report.observations)


def test_a_slow_router_is_waited_for_and_that_is_told() -> None:
    events: list[Event] = []

    async def main(lab: SimLab) -> Report:
        chosen = options(lab, families=(4,))
        wish = MapOptions(ports=(5000,), transports=("udp",))
        return await commands.add(lab.network("alice"), chosen, events.append, MemoryJournal(), wish)

    slow = MapperSpec(protocols=("upnp-igd",), faults={"change_s": 7.0})
    assert one(at_home(main, home(slow))).verified_inbound
    assert "asking the router for a udp mapping to port 5000" in {each.text for each in events}


# --- list


def test_the_table_and_what_is_noted() -> None:
    async def main(lab: SimLab) -> tuple[Report, Report]:
        journal = MemoryJournal()
        await _make_as_carol(lab)
        await call(
            lab, commands.add, MapOptions(ports=(5000,), transports=("udp",), description="mine"), journal
        )
        listed = await call(lab, commands.list_mappings, journal=journal)
        return listed, await call(lab, commands.list_mappings, MapOptions(protocol="pcp"), journal)

    listed, by_pcp = at_home(main)
    rows = {(row.internal, row.external, row.description) for row in listed.mappings}
    assert (str(inside()), str(outside()), "mine") in rows
    assert ("10.0.1.3:7000", f"{OUTSIDE}:7000", "game") in rows
    assert len(listed.mappings) == 2
    assert by_pcp.mappings == ()


def test_without_upnp_the_journal_is_the_list() -> None:
    async def main(lab: SimLab) -> Report:
        journal = MemoryJournal()
        await call(lab, commands.add, MapOptions(ports=(5000,)), journal)
        return await call(lab, commands.list_mappings, journal=journal)

    report = at_home(main, home(MapperSpec(protocols=("nat-pmp", "pcp"))))
    assert {(row.protocol, row.transport, row.internal) for row in report.mappings} == {
        ("pcp", transport, str(inside())) for transport in BOTH
    }


async def _make_as_carol(lab: SimLab, port: int = 7000) -> None:
    """Another machine's program has a mapping by UPnP."""
    mapper = (await discover(gateway_contexts(lab.network("carol"), families=(4,)))).mapper("upnp-igd")
    assert mapper is not None
    internal = Endpoint("10.0.1.3", port)
    await mapper.make(MappingRequest(transport="udp", internal=internal, nonce=bytes(12), description="game"))


@pytest.mark.parametrize(
    ("faults", "said", "shown"),
    [
        ({"list_error": 606}, "may not be listed: the router refused row 0 (606", 1),
        ({"row_s": 9.0}, "list is incomplete: row 0 was not answered in time", 1),
        ({"rows": "unreadable"}, "list is incomplete: row 0 cannot be read", 1),
        ({"rows": "unlisted"}, "1 mapping known here.", 1),
        ({"rows": "hidden"}, "1 mapping known here.", 1),
        ({"rows": "hidden", "list_error": 606}, "may not be listed", 1),
        ({"rows": "hidden", "loses": True}, "There is no mapping here.", 0),
    ],
)
def test_a_list_that_ends_early_says_so_and_forgets_nothing(
    faults: dict[str, Any], said: str, shown: int
) -> None:
    """Own mappings are asked for one by one; what was made stays noted until it is removed."""

    async def main(lab: SimLab) -> tuple[Report, int]:
        journal = MemoryJournal()
        await call(lab, commands.add, MapOptions(ports=(5000,), transports=("udp",)), journal)
        if loses:
            await lab.stop_router("home")
            await lab.start_router("home")
        listed = await call(lab, commands.list_mappings, journal=journal)
        noted = len(journal.entries())
        await call(lab, commands.delete, MapOptions(mine=True), journal)
        assert journal.entries() == []
        assert not await gets_in(lab, "udp", inside(), outside())
        return listed, noted

    loses = faults.pop("loses", False)
    listed, noted = at_home(main, home(MapperSpec(protocols=("upnp-igd",), faults=faults)))
    assert said in headline(listed)
    assert (len(listed.mappings), noted) == (shown, 1)


# --- delete


@pytest.mark.parametrize("faults", [{"list_error": 606}, {"rows": "unreadable"}, {"row_s": 9.0}])
def test_a_port_is_closed_without_a_list(faults: dict[str, Any]) -> None:
    """Whatever was made at that port, by any program of this machine."""

    async def main(lab: SimLab) -> Report:
        await call(lab, commands.add, MapOptions(ports=(5000,), transports=("udp",)))
        report = await call(lab, commands.delete, MapOptions(ports=(5000,), transports=("udp",)))
        assert not await gets_in(lab, "udp", inside(), outside())
        return report

    assert one(at_home(main, home(MapperSpec(protocols=("upnp-igd",), faults=faults)))).removed


@each_protocol
def test_delete_closes_what_add_opened(protocol: MappingProtocol, tmp_path: Path) -> None:
    async def main(lab: SimLab) -> list[bool]:
        with Journal(tmp_path) as journal:
            await call(lab, commands.add, MapOptions(ports=(5000,), protocol=protocol), journal)
        seen = [await gets_in(lab, transport, inside(), outside()) for transport in BOTH]
        with Journal(tmp_path) as journal:
            report = await call(lab, commands.delete, MapOptions(ports=(5000,)), journal)
            assert journal.entries() == []
        assert all(each.removed for each in report.mappings)
        assert {each.transport for each in report.mappings} == set(BOTH)
        return seen + [await gets_in(lab, transport, inside(), outside()) for transport in BOTH]

    assert at_home(main) == [True, True, False, False]


def test_all_that_is_mine_and_nothing_else(tmp_path: Path) -> None:
    async def main(lab: SimLab) -> tuple[Report, Report]:
        await _make_as_carol(lab)
        with Journal(tmp_path) as journal:
            for number, protocol in enumerate(MAPPING_PROTOCOLS):
                await call(lab, commands.add, MapOptions(ports=(5000 + number,), protocol=protocol), journal)
        with Journal(tmp_path) as journal:
            deleted = await call(lab, commands.delete, MapOptions(mine=True), journal)
            assert journal.entries() == []
            return deleted, await call(lab, commands.list_mappings, journal=journal)

    deleted, left = at_home(main)
    assert len(deleted.mappings) == 6
    assert all(each.removed for each in deleted.mappings)
    assert [row.description for row in left.mappings] == ["game"]


def test_what_another_program_has_made_for_this_machine() -> None:
    async def main(lab: SimLab) -> tuple[Report, bool]:
        mapper = (await discover(gateway_contexts(lab.network("alice"), families=(4,)))).mapper("upnp-igd")
        assert mapper is not None
        await mapper.make(
            MappingRequest(transport="udp", internal=inside(), nonce=bytes(12), description="other")
        )
        report = await call(lab, commands.delete, MapOptions(ports=(5000,), transports=("udp",)))
        return report, await gets_in(lab, "udp", inside(), outside())

    report, open_still = at_home(main)
    assert one(report).removed
    assert not open_still


def test_another_machines_mapping_is_left_alone() -> None:
    async def main(lab: SimLab) -> tuple[Report, Report]:
        await _make_as_carol(lab)
        deleted = await call(lab, commands.delete, MapOptions(ports=(7000,)))
        return deleted, await call(lab, commands.list_mappings)

    deleted, left = at_home(main)
    assert deleted.mappings == ()
    assert len(left.mappings) == 1


def test_one_family_of_a_port(tmp_path: Path) -> None:
    async def main(lab: SimLab) -> tuple[Report, Report, Report]:
        with Journal(tmp_path) as journal:
            await call(lab, commands.add, MapOptions(ports=(5000,), transports=("udp",)), journal)
            listed = await call(lab, commands.list_mappings, journal=journal)
            deleted = await call(lab, commands.delete, MapOptions(ports=(5000,)), journal, families=(6,))
            return listed, deleted, await call(lab, commands.list_mappings, journal=journal)

    listed, deleted, left = at_home(main, home(ipv6=True))
    assert {each.external for each in listed.mappings} == {str(outside()), str(PINHOLE)}
    assert [(each.external, each.removed) for each in deleted.mappings] == [(str(PINHOLE), True)]
    assert [each.external for each in left.mappings] == [str(outside())]


@each_protocol
def test_a_pinhole_has_one_port(protocol: MappingProtocol) -> None:
    """Another one outside cannot be had; miniupnpd says yes all the same."""
    wish = MapOptions(ports=(5000,), external_port=6000, protocol=protocol, transports=("udp",))
    report = at_home(lambda lab: call(lab, commands.add, wish, families=(6,)), home(ipv6=True))
    assert not any(each.created for each in report.mappings)


def test_made_twice_it_is_noted_once_and_removed_once(tmp_path: Path) -> None:
    async def main(lab: SimLab) -> Report:
        wish = MapOptions(ports=(5000,))
        with Journal(tmp_path) as journal:
            for _ in range(2):
                await call(lab, commands.add, wish, journal)
            assert len(journal.entries()) == 4
            return await call(lab, commands.delete, wish, journal)

    report = at_home(main, home(ipv6=True))
    assert len(report.mappings) == 4
    assert all(each.removed for each in report.mappings)


def test_an_address_of_this_machine_means_that_one(tmp_path: Path) -> None:
    async def main(lab: SimLab) -> list[int]:
        with Journal(tmp_path) as journal:
            await call(lab, commands.add, MapOptions(ports=(5000,)), journal)
            found = []
            for host in (PINHOLE.host, ALICE):
                report = await call(lab, commands.delete, MapOptions(ports=(5000,), host=host), journal)
                assert {each.internal for each in report.mappings} == {str(Endpoint(host, 5000))}
                found.append(len(report.mappings))
            return found

    assert at_home(main, home(ipv6=True)) == [2, 2]


def test_two_outside_ports_of_one_inside_port(tmp_path: Path) -> None:
    async def main(lab: SimLab) -> Report:
        with Journal(tmp_path) as journal:
            for port in (5000, 6000):
                wish = MapOptions(ports=(5000,), external_port=port, transports=("tcp",), protocol="upnp-igd")
                await call(lab, commands.add, wish, journal)
            return await call(lab, commands.delete, MapOptions(mine=True), journal)

    report = at_home(main)
    assert [each.external for each in report.mappings] == [str(outside()), str(outside(6000))]
    assert all(each.removed for each in report.mappings)


# --- what a killed process has left


def _leave_behind(folder: Path, lab: SimLab, protocol: MappingProtocol, *, asked: bool) -> Any:
    """As a process that was killed after it had written down what it asked for, and maybe had asked."""
    wanted = MappingRequest(transport="udp", internal=inside(), nonce=bytes(range(12)), lifetime_s=600)

    async def leave() -> None:
        journal = Journal(folder)
        with journal:
            journal.add(wanted, protocol, interface="eth0", gateway="10.0.1.1", stays=False)
        if asked:
            mapper = (await discover(gateway_contexts(lab.network("alice"), families=(4,)))).mapper(protocol)
            assert mapper is not None
            await mapper.make(wanted)

    return leave()


@each_protocol
@pytest.mark.parametrize("asked", [True, False])
def test_the_next_start_removes_what_was_left(protocol: MappingProtocol, asked: bool, tmp_path: Path) -> None:
    async def main(lab: SimLab) -> list[bool]:
        await _leave_behind(tmp_path, lab, protocol, asked=asked)
        seen = [await gets_in(lab, "udp", inside(), outside())]
        with Journal(tmp_path) as journal:
            await call(lab, commands.list_mappings, journal=journal)
            assert journal.entries() == []
        return [*seen, await gets_in(lab, "udp", inside(), outside())]

    assert at_home(main) == [asked, False]


def test_what_was_left_on_another_router_waits(tmp_path: Path) -> None:
    async def main(lab: SimLab) -> None:
        with Journal(tmp_path) as journal:
            wanted = MappingRequest(transport="udp", internal=inside(), nonce=bytes(12))
            journal.add(wanted, "pcp", interface="wlan0", gateway="192.168.1.1", stays=False)
        with Journal(tmp_path) as journal:
            report = await call(lab, commands.delete, MapOptions(mine=True), journal)
            assert len(journal.entries()) == 1
            assert any("192.168.1.1" in getattr(seen, "reason", "") for seen in report.observations)

    at_home(main)
