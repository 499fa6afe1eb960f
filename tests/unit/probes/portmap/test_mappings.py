"""Mappings made, read back, listed and removed, through routers with every known fault."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import pytest
from portmapped import ALICE, ALICE6, OUTSIDE, Home, at_home, granted, refused, wanted
from simulated import pass_time

from nattools.lab.routers.routerbehaviour import RouterBehaviour, Rows
from nattools.model.endpoint import Endpoint, Transport
from nattools.model.portmapping import MappingProtocol
from nattools.probes.portmap import (
    Granted,
    Listing,
    Mapper,
    MappingRequest,
    Refused,
    TableEntry,
    gateway_contexts,
    remove_mapping,
)
from nattools.probes.portmap.announcements import listen
from nattools.probes.portmap.igdtable import STILL_THERE, UNLISTED
from nattools.protocols.pcp import ResultCode

PROTOCOLS: tuple[MappingProtocol, ...] = ("pcp", "nat-pmp", "upnp-igd")
each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


async def mapper(home: Home, protocol: MappingProtocol, behaviour: RouterBehaviour | None = None) -> Mapper:
    """The home's router, asked by one protocol."""
    await home.router(behaviour)
    found = (await home.discover()).mapper(protocol)
    assert found is not None
    return found


def make(protocol: MappingProtocol, behaviour: RouterBehaviour, ask: MappingRequest) -> Granted | Refused:
    """What comes of asking."""

    async def main(home: Home) -> Granted | Refused:
        return await (await mapper(home, protocol, behaviour)).make(ask)

    return at_home(main)


@each_protocol
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_mapping_from_beginning_to_end(protocol: MappingProtocol, transport: Transport) -> None:
    async def main(home: Home) -> None:
        asked = await mapper(home, protocol)
        ask = wanted(transport=transport, external_port=5000)
        before = granted(await asked.make(ask))
        assert before.external == Endpoint(OUTSIDE, 5000)
        assert (before.lifetime_s, before.internal, before.quirks) == (600, ask.internal, ())
        again = await asked.read_back(ask, before)
        assert isinstance(again, TableEntry)
        assert (again.external_port, again.internal) == (5000, ask.internal)
        assert len(home.routers[0].table.rows(0.0)) == 1
        assert await asked.delete(ask, before) is None
        assert home.routers[0].table.rows(0.0) == []
        assert await asked.delete(ask, before) is None, "gone is gone"

    at_home(main)


@each_protocol
def test_the_mapping_is_open_from_outside_and_closed_again(protocol: MappingProtocol) -> None:
    async def main(home: Home) -> list[bool]:
        asked = await mapper(home, protocol)
        ask = wanted(external_port=5000)
        fake = Granted(
            protocol=protocol,
            transport="udp",
            internal=ask.internal,
            external_host=OUTSIDE,
            external_port=5000,
            lifetime_s=1,
        )
        seen = [await home.reaches(fake)]
        made = granted(await asked.make(ask))
        seen.append(await home.reaches(made))
        await asked.delete(ask, made)
        seen.append(await home.reaches(made))
        return seen

    assert at_home(main) == [False, True, False]


@each_protocol
def test_it_ends_by_itself(protocol: MappingProtocol) -> None:
    async def main(home: Home) -> list[bool]:
        asked = await mapper(home, protocol)
        made = granted(await asked.make(wanted(lifetime_s=100)))
        await pass_time(98.0)
        seen = [await home.reaches(made)]
        await pass_time(60.0)
        return [*seen, await home.reaches(made)]

    assert at_home(main) == [True, False]


@each_protocol
def test_what_was_never_answered_can_be_removed(protocol: MappingProtocol) -> None:
    """As after the program was killed between question and answer: only the question is known."""

    async def main(home: Home) -> None:
        asked = await mapper(home, protocol)
        await asked.make(wanted(5555))
        await asked.make(wanted())
        later = (await home.discover()).mapper(protocol)
        assert later is not None
        assert await later.delete(wanted()) is None
        (left,) = home.routers[0].table.rows(0.0)
        assert left.inside.port == 5555

    at_home(main)


@each_protocol
def test_success_that_is_not_reachable(protocol: MappingProtocol) -> None:
    async def main(home: Home) -> bool:
        made = granted(await (await mapper(home, protocol, RouterBehaviour(lies=True))).make(wanted()))
        return await home.reaches(made)

    assert not at_home(main)


@pytest.mark.parametrize("protocol", ["pcp", "nat-pmp"])
def test_the_assigned_port_differs(protocol: MappingProtocol) -> None:
    made = granted(make(protocol, RouterBehaviour(other_port=True), wanted(external_port=5000)))
    assert made.external_port == 5001
    assert made.quirks == ("asked for port 5000, got 5001",)


@pytest.mark.parametrize("protocol", ["pcp", "nat-pmp"])
def test_another_port_is_refused_if_it_must_be_that_one(protocol: MappingProtocol) -> None:
    """And left to be deleted by who knows whether this inside had it before."""
    faulty = RouterBehaviour(other_port=True, ignores_prefer_failure=True)
    result = refused(make(protocol, faulty, wanted(external_port=5000, exact=True)))
    assert result.detail == "the router offered port 5001"
    assert result.unsettled


def test_prefer_failure() -> None:
    result = refused(make("pcp", RouterBehaviour(taken=(5000,)), wanted(external_port=5000, exact=True)))
    assert result.refusal is not None
    assert result.refusal.name == "CANNOT_PROVIDE_EXTERNAL"


def test_a_wrong_nonce_is_not_believed() -> None:
    result = refused(make("pcp", RouterBehaviour(wrong_nonce=True), wanted()))
    assert (result.failure, result.detail) == ("timeout", "an answer with a wrong nonce")
    made = granted(make("pcp", RouterBehaviour(wrong_nonce=True, then_right=True), wanted()))
    assert made.quirks == ("ignored an answer with a wrong nonce",)


@pytest.mark.parametrize(
    ("protocol", "behaviour", "name"),
    [
        ("pcp", RouterBehaviour(pcp_result=8), "NO_RESOURCES"),
        ("pcp", RouterBehaviour(pcp_result=2), "NOT_AUTHORIZED"),
        ("nat-pmp", RouterBehaviour(natpmp_result=3), "NETWORK_FAILURE"),
        ("upnp-igd", RouterBehaviour(upnp_error=501), "Action Failed"),
        ("upnp-igd", RouterBehaviour(upnp_error=606), "Action Not Authorized"),
        ("upnp-igd", RouterBehaviour(upnp_error=728), "NoPortMapsAvailable"),
        ("upnp-igd", RouterBehaviour(upnp_status=401), "HTTP 401"),
    ],
)
def test_refusals_are_named(protocol: MappingProtocol, behaviour: RouterBehaviour, name: str) -> None:
    result = refused(make(protocol, behaviour, wanted()))
    assert result.failure == "refused"
    assert result.refusal is not None
    assert result.refusal.name == name
    assert result.refusal.advice


@pytest.mark.parametrize("protocol", ["pcp", "nat-pmp"])
def test_an_epoch_that_goes_back_is_a_restart(protocol: MappingProtocol) -> None:
    made = granted(make(protocol, RouterBehaviour(epoch="back"), wanted()))
    assert made.quirks == ("the router has restarted since the last answer",)


@each_protocol
def test_a_restart_is_noticed(protocol: MappingProtocol) -> None:
    async def main(home: Home) -> list[str]:
        asked = await mapper(home, protocol)
        seen = []
        for happens in (None, None, home.routers[0].restart, None, "silence"):
            await pass_time(30.0)
            if happens == "silence":
                await home.routers[0].close()
            elif callable(happens):
                happens()
            seen.append(await asked.check())
        return seen

    assert at_home(main) == ["same", "same", "restarted", "same", "silent"]


@pytest.mark.parametrize("protocol", ["pcp", "nat-pmp"])
def test_no_external_address(protocol: MappingProtocol) -> None:
    made = granted(make(protocol, RouterBehaviour(external="0.0.0.0"), wanted()))
    assert made.external is None
    assert made.external_port == 4000


# --- UPnP


@pytest.mark.parametrize(
    ("behaviour", "lifetime_s", "granted_s", "quirk"),
    [
        (RouterBehaviour(permanent_only=True), 600, None, "the router makes permanent mappings only"),
        (RouterBehaviour(lease_fault=True), 600, None, "the router refused a mapping with a lifetime (402)"),
        (RouterBehaviour(permanent_fault=True), 0, 3600, "the router refused a permanent mapping (402)"),
    ],
)
def test_lifetimes_that_a_router_does_not_do(
    behaviour: RouterBehaviour, lifetime_s: int, granted_s: int | None, quirk: str
) -> None:
    made = granted(make("upnp-igd", behaviour, wanted(lifetime_s=lifetime_s)))
    assert (made.lifetime_s, made.quirks) == (granted_s, (quirk,))


@pytest.mark.parametrize("code", [402, 501, 600, 601, -911])
@pytest.mark.parametrize("services", [("WANIPConnection:1",), ("WANIPConnection:2",)])
def test_codes_that_may_mean_the_lifetime(code: int, services: tuple[str, ...]) -> None:
    """Asked again for a permanent mapping, and for the same port."""
    behaviour = RouterBehaviour(lease_error=code, services=services)
    made = granted(make("upnp-igd", behaviour, wanted(external_port=5000, exact=True)))
    assert (made.external_port, made.lifetime_s) == (5000, None)
    assert str(code) in made.quirks[0]


def test_a_name_that_is_too_long_is_shortened() -> None:
    ask = msgspec.structs.replace(wanted(), description="a name of some length")

    async def main(home: Home) -> list[int]:
        asked = await mapper(home, "upnp-igd", RouterBehaviour(longest_name=10))
        return [granted(await asked.make(ask)).external_port for _ in range(2)]

    assert at_home(main) == [4000, 4000], "a renewal is one"


@pytest.mark.parametrize("code", [402, 501, 714, 730])
def test_what_is_gone_is_gone_whatever_the_router_calls_it(code: int) -> None:
    async def main(home: Home) -> None:
        asked = await mapper(home, "upnp-igd", RouterBehaviour(delete_error=code))
        made = granted(await asked.make(wanted()))
        home.routers[0].table.clear()
        assert await asked.delete(wanted(), made) is None

    at_home(main)


def test_what_is_still_in_the_table_is_not_gone() -> None:
    async def main(home: Home) -> None:
        asked = await mapper(home, "upnp-igd", RouterBehaviour(keeps=True))
        made = granted(await asked.make(wanted()))
        assert refused(await asked.delete(wanted(), made)).detail == STILL_THERE

    at_home(main)


@pytest.mark.parametrize(
    "behaviour",
    [
        RouterBehaviour(garbled=("AddPortMapping", "AddAnyPortMapping")),
        RouterBehaviour(change_s=11.0),
        RouterBehaviour(services=("WANIPConnection:1",), garbled=("AddPortMapping",)),
    ],
)
def test_an_answer_that_is_none_is_looked_up(behaviour: RouterBehaviour) -> None:
    made = granted(make("upnp-igd", behaviour, wanted(external_port=5000)))
    assert (made.external_port, made.lifetime_s) == (5000, 600)
    assert "it is in the table" in made.quirks[0]


def test_a_service_that_is_broken_leads_to_the_next() -> None:
    services = ("WANIPConnection:2", "WANPPPConnection:1")
    behaviour = RouterBehaviour(services=services, known_type="WANPPPConnection:1")

    async def main(home: Home) -> None:
        asked = await mapper(home, "upnp-igd", behaviour)
        made = granted(await asked.make(wanted()))
        assert await home.reaches(made)
        assert await asked.delete(wanted(), made) is None
        assert home.routers[0].table.rows(0.0) == []

    at_home(main)


def test_a_router_that_does_neither() -> None:
    result = refused(make("upnp-igd", RouterBehaviour(lease_fault=True, permanent_fault=True), wanted()))
    assert result.code == 402


@pytest.mark.parametrize("services", [("WANIPConnection:1",), ("WANIPConnection:2",)])
def test_a_taken_port_leads_to_another_one(services: tuple[str, ...]) -> None:
    made = granted(
        make("upnp-igd", RouterBehaviour(taken=(5000,), services=services), wanted(external_port=5000))
    )
    assert made.external_port not in (0, 5000)
    assert made.external_port >= 1024
    exact = refused(
        make(
            "upnp-igd",
            RouterBehaviour(taken=(5000,), services=services),
            wanted(external_port=5000, exact=True),
        )
    )
    assert exact.code == 718
    assert "10.0.1.77" in exact.detail


def test_ports_that_must_be_the_same() -> None:
    made = granted(make("upnp-igd", RouterBehaviour(same_ports=True), wanted(external_port=5000)))
    assert made.external_port == 4000
    assert "the router wants the external port to equal the internal one" in made.quirks


def test_ports_below_1024_are_not_asked_for_unasked() -> None:
    made = granted(make("upnp-igd", RouterBehaviour(), wanted(80, transport="tcp")))
    assert made.external_port >= 1024
    assert granted(make("upnp-igd", RouterBehaviour(), wanted(80, external_port=80))).external_port == 80


def test_another_program_of_this_machine_keeps_its_mapping() -> None:
    """Routers overwrite a mapping of the same machine without a word."""

    async def main(home: Home) -> None:
        asked = await mapper(home, "upnp-igd")
        theirs = msgspec.structs.replace(wanted(7000, external_port=5000), description="torrent")
        granted(await asked.make(theirs))
        ours = granted(await asked.make(wanted(external_port=5000)))
        assert ours.external_port != 5000
        await asked.delete(wanted(external_port=5000), msgspec.structs.replace(ours, external_port=5000))
        assert home.routers[0].table.find("udp", 5000, 0.0) is not None

    at_home(main)


@pytest.mark.parametrize("rows", ["good", "gaps", "foreign", "blank", "hidden"])
def test_tables_that_are_not_as_they_should_be(rows: Rows) -> None:
    """The whole table is read, and a mapping is removed whatever the router shows of it."""

    async def main(home: Home) -> None:
        asked = await mapper(home, "upnp-igd", RouterBehaviour(rows=rows))
        made = [(wanted(4000 + n, external_port=5000 + n), 5000 + n) for n in range(3)]
        for each, _ in made:
            granted(await asked.make(each))
        entries = await asked.listing()
        assert entries is not None
        assert [each.external_port for each in entries.entries] == [5000, 5001, 5002]
        assert entries.incomplete == ""
        for each, port in made:
            there = granted(await asked.make(each))
            assert there.external_port == port
            assert await asked.delete(each, there) is None
            assert await asked.delete(each, there) is None, "it is gone"
        assert home.routers[0].table.rows(0.0) == []

    at_home(main)


def test_the_table() -> None:
    async def main(home: Home) -> Listing | None:
        asked = await mapper(home, "upnp-igd")
        await asked.make(wanted(external_port=5000))
        await asked.make(wanted(4001, external_port=5001, transport="tcp", lifetime_s=0))
        return await asked.listing()

    found = at_home(main)
    assert found is not None
    assert found.entries == (
        TableEntry(
            transport="udp",
            internal=Endpoint(ALICE, 4000),
            external_port=5000,
            lifetime_s=600,
            description="nattools",
        ),
        TableEntry(
            transport="tcp",
            internal=Endpoint(ALICE, 4001),
            external_port=5001,
            lifetime_s=None,
            description="nattools",
        ),
    )


@pytest.mark.parametrize(
    ("behaviour", "found", "why"),
    [
        (RouterBehaviour(list_error=606), 0, "the router refused row 0 (606 Action Not Authorized)"),
        (RouterBehaviour(row_s=0.5), 20, "the router took 10 s for 20 rows"),
        (RouterBehaviour(row_s=9.0), 0, "row 0 was not answered in time"),
        (RouterBehaviour(rows="repeated"), 1, "row 1 is one that was there before"),
        (RouterBehaviour(rows="unreadable"), 30, "row 0 cannot be read"),
    ],
)
def test_a_list_that_is_not_complete_says_so(behaviour: RouterBehaviour, found: int, why: str) -> None:
    async def main(home: Home) -> Listing | None:
        asked = await mapper(home, "upnp-igd", behaviour)
        for number in range(30):
            granted(await asked.make(wanted(4000 + number)))
        return await asked.listing()

    table = at_home(main)
    assert table is not None
    assert (len(table.entries), table.incomplete) == (found, why)


@pytest.mark.parametrize(
    ("behaviour", "there", "quirks", "after"),
    [
        (RouterBehaviour(), True, (), "absent"),
        (RouterBehaviour(rows="blank"), True, (), "absent"),
        (RouterBehaviour(rows="hidden"), True, (UNLISTED,), "absent"),
        (RouterBehaviour(rows="unlisted"), True, (), "absent"),
        (RouterBehaviour(list_error=606), True, (), "not known"),
        (RouterBehaviour(rows="unreadable"), True, (), "not known"),
        (RouterBehaviour(rows="hidden", list_error=606), False, (), "not known"),
    ],
)
def test_what_the_router_has_is_read_back(
    behaviour: RouterBehaviour, there: bool, quirks: tuple[str, ...], after: str
) -> None:
    """By the port, else from the list; it is gone if both say so, and else that is not known."""

    async def main(home: Home) -> None:
        asked = await mapper(home, "upnp-igd", behaviour)
        for number in range(3):
            ask = wanted(4000 + number)
            made = granted(await asked.make(ask))
        back = await asked.read_back(ask, made)
        assert isinstance(back, TableEntry) == there
        if isinstance(back, TableEntry):
            assert (back.internal, back.lifetime_s, back.quirks) == (ask.internal, 600, quirks)
        home.routers[0].table.clear()
        gone = await asked.read_back(ask, made)
        assert isinstance(gone, Refused)
        assert gone.absent == (after == "absent")

    at_home(main)


@pytest.mark.parametrize("behaviour", [RouterBehaviour(rows="unlisted"), RouterBehaviour(list_error=606)])
def test_what_was_never_answered_is_removed_without_a_list(behaviour: RouterBehaviour) -> None:
    async def main(home: Home) -> None:
        asked = await mapper(home, "upnp-igd", behaviour)
        granted(await asked.make(wanted()))
        assert await asked.delete(wanted()) is None
        assert home.routers[0].table.rows(0.0) == []

    at_home(main)


def test_an_empty_table_and_protocols_without_one() -> None:
    async def main(home: Home) -> list[object]:
        await home.router()
        found = await home.discover()
        return [await each.listing() for each in found.mappers]

    assert at_home(main) == [Listing(), None, None]


# --- IPv6


def over_ipv6(
    main: Callable[[Home, Mapper], Awaitable[None]], behaviour: RouterBehaviour | None = None
) -> None:
    async def whole(home: Home) -> None:
        await home.router(behaviour, family=6)
        for each in (await home.discover(6)).mappers:
            await main(home, each)

    at_home(whole, ipv6=True)


def test_a_pinhole_opens_and_closes() -> None:
    tried: list[str] = []

    async def main(home: Home, asked: Mapper) -> None:
        ask = wanted(4000 + len(tried), host=ALICE6)
        closed = Granted(
            protocol="pcp",
            transport="udp",
            internal=ask.internal,
            external_host=ALICE6,
            external_port=ask.internal.port,
            lifetime_s=1,
        )
        assert not await home.reaches(closed)
        made = granted(await asked.make(ask))
        assert made.external == ask.internal
        assert await home.reaches(made)
        back = await asked.read_back(ask, made)
        assert back is None if asked.offer.protocol == "pcp" else isinstance(back, TableEntry)
        assert await asked.delete(ask, made) is None
        assert not await home.reaches(made)
        tried.append(asked.offer.protocol)

    over_ipv6(main)
    assert tried == ["upnp-igd", "pcp"]


def test_a_pinhole_whose_number_was_never_seen() -> None:
    async def main(home: Home, asked: Mapper) -> None:
        await asked.make(wanted(host=ALICE6))
        assert await asked.delete(wanted(host=ALICE6)) is None
        assert home.routers[0].table.rows(0.0) == []

    over_ipv6(main)


def test_a_pinhole_by_a_slow_router_is_asked_for_once() -> None:
    """miniupnpd 2.3.1 lets nobody remove what was asked for twice."""

    async def main(home: Home, asked: Mapper) -> None:
        if asked.offer.protocol == "pcp":
            await asked.make(wanted(host=ALICE6))
            assert await asked.delete(wanted(host=ALICE6)) is None
            assert home.routers[0].table.rows(0.0) == []

    over_ipv6(main, RouterBehaviour(forgets_owner=True, delay_s=0.7, protocols=("pcp",)))


def test_a_pinhole_that_was_asked_for_twice_is_said_to_be_left() -> None:
    async def main(home: Home, asked: Mapper) -> None:
        for _ in range(2):
            await asked.make(wanted(host=ALICE6))
        assert refused(await asked.delete(wanted(host=ALICE6))).code == ResultCode.NOT_AUTHORIZED
        assert len(home.routers[0].table.rows(0.0)) == 1

    over_ipv6(main, RouterBehaviour(forgets_owner=True, protocols=("pcp",)))


def test_pinholes_that_are_not_allowed() -> None:
    async def main(home: Home, asked: Mapper) -> None:
        if asked.offer.protocol == "upnp-igd":
            assert asked.offer.refusal is not None
            assert asked.offer.refusal.name == "InboundPinholeNotAllowed"
            assert refused(await asked.make(wanted(host=ALICE6))).code == 703

    over_ipv6(main, RouterBehaviour(pinholes_allowed=False))


@each_protocol
def test_removing_by_whatever_protocol_does_it(protocol: MappingProtocol) -> None:
    async def main(home: Home) -> None:
        await home.router()
        mappers = (await home.discover()).mappers
        made = granted(await next(m for m in mappers if m.offer.protocol == protocol).make(wanted()))
        assert await remove_mapping(mappers, wanted(), protocol, made) is None
        assert home.routers[0].table.rows(0.0) == []
        assert await remove_mapping([], wanted(), protocol) is not None

    at_home(main)


@pytest.mark.parametrize("rows", ["good", "unlisted"])
def test_another_protocol_has_removed_only_what_its_table_showed(rows: Rows) -> None:
    """A router that answers by PCP no more; its UPnP table shows the mapping, whatever it calls it, or does
    not: then nobody knows."""

    async def main(home: Home) -> None:
        router = await home.router(RouterBehaviour(rows=rows))
        mappers = (await home.discover()).mappers
        pcp = next(each for each in mappers if each.offer.protocol == "pcp")
        made = granted(await pcp.make(wanted()))
        silent = [each for each in mappers if each is not pcp]
        result = await remove_mapping(silent, wanted(), "pcp", made)
        left = router.table.rows(0.0)
        assert (result is None) == (left == [])
        assert (left == []) == (rows == "good")

    at_home(main)


def test_a_restart_is_heard() -> None:
    async def main(home: Home) -> list[str]:
        router = await home.router()
        (here,) = gateway_contexts(home.alice, families=(4,))
        heard: list[str] = []
        socket = await listen(here, lambda: heard.append("hint"))
        assert not isinstance(socket, str)
        assert "in use" in str(await listen(here, lambda: None))
        stranger = await home.lab.network("carol").open_udp(family=4, port=5351)
        stranger.send(b"\x02\x80" + bytes(22), Endpoint("224.0.0.1", 5350))
        await pass_time(0.1)
        assert heard == []
        router.restart()
        await pass_time(0.1)
        socket.close()
        return heard

    assert set(at_home(main)) == {"hint"}
