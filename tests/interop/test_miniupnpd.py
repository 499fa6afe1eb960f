"""A real router: miniupnpd in a network namespace, asked by all three protocols; verified from outside."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import mkdtemp

import msgspec
import pytest
from leftopen import LeftOpenError
from portmapped import granted

from nattools.engine.measureoptions import MapOptions, MeasureOptions
from nattools.engine.portmap import commands
from nattools.engine.portmap.journal import Journal
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import HostSpec, MapperSpec, NatSpec, Scenario
from nattools.model.endpoint import Endpoint, Family, Transport
from nattools.model.portmapping import MappingProtocol
from nattools.net.base import TcpFailure
from nattools.probes.portmap import (
    Listing,
    Mapper,
    MappingRequest,
    Refused,
    TableEntry,
    gateway_contexts,
    policy,
    remove_mapping,
)
from nattools.probes.portmap.announcements import listen
from nattools.probes.portmap.discover import Discovery, discover

pytestmark = [pytest.mark.netns, pytest.mark.again, pytest.mark.interop("miniupnpd")]

OUTSIDE = "11.1.0.2"
ALICE = "10.0.1.2"
ALICE6 = "2a10:1:0:1::2"
ANSWER_S = 0.3
LIMIT_S = 30.0


def home(mapper: MapperSpec | None = None, nat: dict[str, NatSpec] | None = None) -> Scenario:
    return Scenario(
        title="home",
        nat=nat or {"home": NatSpec(ipv6="firewall", mapper=mapper or MapperSpec())},
        host={"alice": HostSpec(behind="home"), "bob": HostSpec(ipv6=True)},
    )


class Lab:
    """A home with miniupnpd on its router."""

    def __init__(self, lab: NetnsLab) -> None:
        self.lab = lab
        self.alice, self.bob = lab.network("alice"), lab.network("bob")

    async def discover(self, *families: Family) -> Discovery:
        found = await discover(gateway_contexts(self.alice, families=families or (4,)))
        mapper = self.lab.scenario.nat["home"].mapper
        spoken = () if mapper is None else mapper.protocols
        if any(each.outcome == "timeout" and each.protocol in spoken for each in found.offers):
            raise LeftOpenError(found.offers)
        return found

    async def mapper(self, protocol: MappingProtocol, family: Family = 4) -> Mapper:
        found = (await self.discover(family)).mapper(protocol, family)
        assert found is not None
        return found

    async def opens(self, transport: Transport, inside: Endpoint, outside: Endpoint) -> bool:
        """As `reaches`, for what is to be open: a busy machine is given its time."""
        return await self.reaches(transport, inside, outside, within_s=LIMIT_S)

    async def reaches(
        self, transport: Transport, inside: Endpoint, outside: Endpoint, *, within_s: float = ANSWER_S
    ) -> bool:
        """Does bob, from a fresh port, get through to alice?"""
        came = asyncio.Event()
        if transport == "tcp":
            listener = await self.alice.listen_tcp(
                family=inside.family, host=inside.host, port=inside.port, on_stream=lambda s: came.set()
            )
            stream = await self.bob.connect_tcp(outside, timeout_s=within_s)
            if not isinstance(stream, TcpFailure):
                await _within(came, within_s)
                stream.abort()
            listener.close()
        else:
            socket = await self.alice.open_udp(family=inside.family, host=inside.host, port=inside.port)
            socket.on_datagram = lambda data, source: came.set()
            sender = await self.bob.open_udp(family=inside.family)
            sender.send(b"knock", outside)
            await _within(came, within_s)
            socket.close()
            sender.close()
        return came.is_set()


async def _within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def run(
    main: Callable[[Lab], Awaitable[None]],
    mapper: MapperSpec | None = None,
    scenario: Scenario | None = None,
) -> None:
    """Run `main` at home."""
    with NetnsLab(scenario or home(mapper), start_servers=False) as lab:
        lab.run(lambda: main(Lab(lab)))


def wanted(
    port: int, transport: Transport = "udp", *, host: str = ALICE, lifetime_s: int = 600
) -> MappingRequest:
    return MappingRequest(transport=transport, internal=Endpoint(host, port), lifetime_s=lifetime_s)


async def _prove(lab: Lab, mapper: Mapper, ask: MappingRequest, outside: Endpoint) -> None:
    """Closed, open, read back, closed again."""
    assert not await lab.reaches(ask.transport, ask.internal, outside)
    made = granted(await mapper.make(ask))
    assert made.external == outside
    assert await lab.opens(ask.transport, ask.internal, outside)
    back = await mapper.read_back(ask, made)
    if back is not None:
        assert isinstance(back, TableEntry)
        assert back.internal == ask.internal
    assert await mapper.delete(ask, made) is None
    assert not await lab.reaches(ask.transport, ask.internal, outside)


def _check_all(found: Discovery, expected: set[tuple[str, int]]) -> None:
    assert {(each.offer.protocol, each.offer.family) for each in found.mappers} == expected


@pytest.mark.parametrize(
    ("mapper", "protocols"),
    [
        (MapperSpec(), ("upnp-igd", "pcp", "nat-pmp")),
        (MapperSpec(protocols=("upnp-igd",)), ("upnp-igd",)),
        (MapperSpec(protocols=("nat-pmp", "pcp")), ("pcp", "nat-pmp")),
        (MapperSpec(igd=1), ("upnp-igd", "pcp", "nat-pmp")),
    ],
    ids=["all three", "UPnP alone", "NAT-PMP and PCP alone", "IGDv1"],
)
def test_mappings_proven_from_outside(mapper: MapperSpec, protocols: tuple[MappingProtocol, ...]) -> None:
    async def main(lab: Lab) -> None:
        found = await lab.discover()
        assert tuple(each.offer.protocol for each in found.mappers) == protocols
        for each in found.offers:
            if each.outcome == "answered" and each.protocol != "pcp":
                assert each.external == OUTSIDE
        port = 4000
        for each_mapper in found.mappers:
            for transport in ("udp", "tcp"):
                port += 1
                await _prove(lab, each_mapper, wanted(port, transport), Endpoint(OUTSIDE, port))

    run(main, mapper)


def test_ipv6_pinholes_by_pcp_and_by_upnp() -> None:
    async def main(lab: Lab) -> None:
        found = await lab.discover(6)
        _check_all(found, {("pcp", 6), ("upnp-igd", 6)})
        port = 4100
        for mapper in found.mappers:
            for transport in ("udp", "tcp"):
                port += 1
                ask = wanted(port, transport, host=ALICE6)
                await _prove(lab, mapper, ask, ask.internal)

    run(main)


def test_a_pinhole_that_pcp_cannot_remove_any_more_is_removed_by_upnp() -> None:
    """miniupnpd 2.3.1 forgets a pinhole's nonce when it is renewed."""

    async def main(lab: Lab) -> None:
        mappers = (await lab.discover(6)).mappers
        by_pcp = mappers[1]
        ask = wanted(4300, host=ALICE6)
        granted(await by_pcp.make(ask))
        made = granted(await by_pcp.make(ask))
        assert made.protocol == "pcp"
        assert isinstance(await by_pcp.delete(ask, made), Refused)
        assert await lab.opens("udp", ask.internal, ask.internal)
        assert await remove_mapping(mappers, ask, "pcp", made) is None
        assert not await lab.reaches("udp", ask.internal, ask.internal)

    run(main)


def test_one_mapping_that_two_protocols_asked_for_is_removed_once(tmp_path: Path) -> None:
    """By PCP it is refused then, as if it were not gone."""
    options = MeasureOptions("map", (), families=(4,))
    asked = MapOptions(ports=(5000,), transports=("udp",))

    async def main(lab: Lab) -> None:
        with Journal(Path(mkdtemp(dir=tmp_path))) as journal:
            for protocol in ("upnp-igd", "pcp"):
                each = msgspec.structs.replace(asked, protocol=protocol)
                await commands.add(lab.alice, options, lambda _: None, journal, each)
            assert len(journal.entries()) == 2
            report = await commands.delete(lab.alice, options, lambda _: None, journal, asked)
            assert [each.removed for each in report.mappings] == [True, True]
            assert journal.entries() == []

    run(main)


def test_both_families_at_once() -> None:
    async def main(lab: Lab) -> None:
        expected = {("pcp", 4), ("upnp-igd", 4), ("nat-pmp", 4), ("pcp", 6), ("upnp-igd", 6)}
        _check_all(await _in_time(2.5, lab, 4, 6), expected)

    run(main)


def test_all_three_are_found_in_less_than_the_time_promised() -> None:
    async def main(lab: Lab) -> None:
        await _in_time(0.6, lab, 4)

    run(main)


async def _in_time(promised_s: float, lab: Lab, *families: Family) -> Discovery:
    """A discovery that takes no longer than promised: one of fifty, since other programs take this machine's
    time from some of them. (Each of them in time: `test_discover.py`, on the simulator's clock.)"""
    for _ in range(50):
        found = await lab.discover(*families)
        if found.duration_s < promised_s:
            return found
    pytest.fail(f"the last of fifty took {found.duration_s:.2f} s")


def test_double_nat() -> None:
    """The router's own address is not public: it makes no mappings, and each protocol says why."""
    inner = NatSpec(behind="isp", mapper=MapperSpec())
    scenario = home(nat={"isp": NatSpec(address="100.64.0.0/24"), "home": inner})

    async def main(lab: Lab) -> None:
        found = await lab.discover()
        refusals = {}
        host = found.offers[0].local
        for mapper in found.mappers:
            result = await mapper.make(wanted(4000, host=host))
            assert isinstance(result, Refused)
            assert result.refusal is not None
            refusals[mapper.offer.protocol] = (result.refusal.code, "provider" in result.refusal.advice)
        assert refusals == {"pcp": (8, True), "nat-pmp": (3, True), "upnp-igd": (501, True)}
        upnp = next(each for each in found.offers if each.protocol == "upnp-igd")
        assert upnp.external is None

    run(main, scenario=scenario)


def test_mapping_forbidden() -> None:
    async def main(lab: Lab) -> None:
        refusal = await (await lab.mapper("upnp-igd")).make(wanted(4000))
        assert isinstance(refusal, Refused)
        assert refusal.code == 606
        allowed = [protocol for protocol in policy.ORDER if policy.may_ask(protocol, [refusal])]
        assert allowed == ["upnp-igd"]
        assert await (await lab.mapper("pcp")).check() == "same", "it still answers"

    run(main, MapperSpec(ports=(1, 1)))


def test_what_was_never_answered_is_removed() -> None:
    async def main(lab: Lab) -> None:
        for mapper in (await lab.discover()).mappers:
            ask = wanted(4200)
            granted(await mapper.make(ask))
            again = await lab.mapper(mapper.offer.protocol)
            assert await again.delete(ask) is None
            assert not await lab.reaches("udp", ask.internal, Endpoint(OUTSIDE, 4200))

    run(main)


def test_a_reboot_is_noticed() -> None:
    async def main(lab: Lab) -> None:
        mappers = (await lab.discover()).mappers
        # clocks count whole seconds, and one back may be an answer that was overtaken
        await _within(asyncio.Event(), 3.0)
        assert [await mapper.check() for mapper in mappers] == ["same"] * 3
        heard = asyncio.Event()
        socket = await listen(gateway_contexts(lab.alice, families=(4,))[0], heard.set)
        assert not isinstance(socket, str)
        await lab.lab.stop_router("home")
        await lab.lab.start_router("home")
        assert [await mapper.check() for mapper in mappers] == ["restarted"] * 3
        await _within(heard, LIMIT_S)
        assert heard.is_set()
        socket.close()

    run(main)


def _ask(lab: Lab, *command: str) -> str:
    """What another client says on alice's machine."""
    program = lab.lab.popen("alice", command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said: str = program.communicate(timeout=120)[0]
    return said


@pytest.mark.interop("miniupnpd", "upnpc")
def test_upnpc_sees_and_deletes_what_nattools_made_and_the_other_way_round() -> None:
    place = ("-u", "http://10.0.1.1:5000/rootDesc.xml")

    async def main(lab: Lab) -> None:
        mapper = await lab.mapper("upnp-igd")
        ask = wanted(4400, "tcp")
        made = granted(await mapper.make(ask))
        assert f"TCP  4400->{ALICE}:4400  'nattools'" in _ask(lab, "upnpc", *place, "-l")
        _ask(lab, "upnpc", *place, "-d", "4400", "TCP")
        gone = await mapper.read_back(ask, made)
        assert isinstance(gone, Refused)
        assert gone.code == 714
        _ask(lab, "upnpc", *place, "-e", "other", "-a", ALICE, "4401", "5401", "UDP", "600")
        table = await mapper.listing()
        assert table is not None
        (entry,) = table.entries
        assert (entry.internal, entry.external_port, entry.description) == (
            Endpoint(ALICE, 4401),
            5401,
            "other",
        )
        theirs = msgspec.structs.replace(wanted(4401), description="other")
        assert await mapper.delete(theirs) is None
        assert await mapper.listing() == Listing()

    run(main)


@pytest.mark.interop("miniupnpd", "natpmpc")
def test_natpmpc_deletes_what_nattools_made_and_the_other_way_round() -> None:
    async def main(lab: Lab) -> None:
        mapper = await lab.mapper("nat-pmp")
        ask = wanted(4500)
        granted(await mapper.make(ask))
        assert await lab.opens("udp", ask.internal, Endpoint(OUTSIDE, 4500))
        _ask(lab, "natpmpc", "-g", "10.0.1.1", "-a", "0", "4500", "udp", "0")
        assert not await lab.reaches("udp", ask.internal, Endpoint(OUTSIDE, 4500))
        said = _ask(lab, "natpmpc", "-g", "10.0.1.1", "-a", "4501", "4501", "udp", "600")
        assert "Mapped public port 4501 protocol UDP to local port 4501" in said
        assert await lab.opens("udp", Endpoint(ALICE, 4501), Endpoint(OUTSIDE, 4501))
        assert await mapper.delete(wanted(4501)) is None
        assert not await lab.reaches("udp", Endpoint(ALICE, 4501), Endpoint(OUTSIDE, 4501))

    run(main)


@pytest.mark.interop("miniupnpd", "upnpc", "natpmpc")
def test_what_another_client_has_made_in_place_of_ours_stays(tmp_path: Path) -> None:
    place = ("-u", "http://10.0.1.1:5000/rootDesc.xml")

    async def main(lab: Lab) -> None:
        chosen = MeasureOptions(command="map", servers=(), families=(4,))
        with Journal(Path(mkdtemp(dir=tmp_path))) as journal:
            wish = MapOptions(ports=(4600,), transports=("udp",), protocol="upnp-igd")
            await commands.add(lab.alice, chosen, lambda event: None, journal, wish)
            deleted = _ask(lab, "upnpc", *place, "-d", "4600", "UDP")
            made = _ask(lab, "natpmpc", "-g", "10.0.1.1", "-a", "4600", "4600", "udp", "600")
            if "returned : 0" not in deleted or "Mapped public port 4600" not in made:
                raise LeftOpenError(deleted + made)
            mine = MapOptions(mine=True)
            report = await commands.delete(lab.alice, chosen, lambda event: None, journal, mine)
            assert journal.entries() == []
        assert "NAT-PMP 4600 udp" in " ".join(report.warnings)
        table = await (await lab.mapper("upnp-igd")).listing()
        assert table is not None
        assert [row.description for row in table.entries] == ["NAT-PMP 4600 udp"]

    run(main)


def test_a_signal_that_ends_it_costs_the_machine_no_file() -> None:
    """It deletes what it was told to write its process id to: that was /dev/null, which root may delete."""
    with NetnsLab(home()) as lab:
        process = lab.mappers.running("home")
        assert os.devnull not in Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")
        process.terminate()
        process.wait(60)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
