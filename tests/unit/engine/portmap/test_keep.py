"""`nattools map keep`, simulated: renewed, made anew after the router's restart, removed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from mapped import ALICE, OUTSIDE, at_home, call, gets_in, home, options
from simulated import pass_time

from nattools.engine.measureoptions import MapOptions
from nattools.engine.portmap.commands import add, delete
from nattools.engine.portmap.journal import Journal, MemoryJournal
from nattools.engine.portmap.keep import MappingChange, keep
from nattools.lab.scenario import HostSpec, MapperSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.host import Interface
from nattools.model.mappingseen import MapAttempt
from nattools.model.portmapping import MAPPING_PROTOCOLS, MappingProtocol
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.net.wrappednetwork import WrappedNetwork
from nattools.trials.scenarios import no_progress

T = TypeVar("T")
INSIDE, BEYOND = Endpoint(ALICE, 5000), Endpoint(OUTSIDE, 5000)
BACK_WITHIN_S = 5.0
each_protocol = pytest.mark.parametrize("protocol", MAPPING_PROTOCOLS)


class Keeping:
    """Alice keeps a mapping of port 5000."""

    def __init__(self, lab: SimLab, wish: MapOptions) -> None:
        self.lab, self.wish = lab, wish
        self.changes: list[tuple[float, MappingChange]] = []
        self.stop = asyncio.Event()
        self.journal: Journal = MemoryJournal()
        self.report: Report | None = None

    async def run(self, meanwhile: Callable[[Keeping], Awaitable[T]]) -> T:
        """Keep it while something goes on."""
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep())
            await pass_time(2.0)
            try:
                return await meanwhile(self)
            finally:
                self.stop.set()
                self.report = await keeping

    async def _keep(self) -> Report:
        network = self.lab.network("alice")
        chosen = options(self.lab)
        return await keep(network, chosen, no_progress, self.journal, self.wish, self._tell, self.stop)

    async def _tell(self, change: MappingChange) -> None:
        self.changes.append((asyncio.get_running_loop().time(), change))

    @property
    def happenings(self) -> list[str]:
        """What was told."""
        return [change.happening for _, change in self.changes]

    async def is_open(self) -> bool:
        """Seen from outside."""
        return await gets_in(self.lab, "udp", INSIDE, BEYOND)

    async def back_within(self, seconds: float) -> bool:
        """Is it open again by then?"""
        await pass_time(seconds)
        return await self.is_open()


def kept(
    meanwhile: Callable[[Keeping], Awaitable[T]],
    *,
    protocol: MappingProtocol | None = None,
    lifetime_s: int = 7200,
    scenario: Scenario | None = None,
    **wish: Any,
) -> tuple[T, Keeping]:
    """Keep a mapping in a simulated home, and see that nothing is left at the end."""
    wanted = MapOptions(ports=(5000,), protocol=protocol, transports=("udp",), lifetime_s=lifetime_s, **wish)

    async def main(lab: SimLab) -> tuple[T, Keeping]:
        keeping = Keeping(lab, wanted)
        found = await keeping.run(meanwhile)
        assert not await keeping.is_open(), "removed at the end"
        assert keeping.journal.entries() == []
        return found, keeping

    return at_home(main, scenario)


def renewals(keeping: Keeping) -> list[MapAttempt]:
    assert keeping.report is not None
    attempts = [seen for seen in keeping.report.observations if isinstance(seen, MapAttempt)]
    return [seen for seen in attempts if seen.action == "renew"]


@each_protocol
def test_it_is_there_long_after_its_lifetime(protocol: MappingProtocol) -> None:
    async def meanwhile(keeping: Keeping) -> list[bool]:
        seen = []
        for _ in range(10):
            await pass_time(300)
            seen.append(await keeping.is_open())
        return seen

    seen, keeping = kept(meanwhile, protocol=protocol, lifetime_s=600)
    assert seen == [True] * 10
    assert keeping.happenings == ["made"]
    assert keeping.changes[0][1].external == BEYOND
    assert keeping.changes[0][1].verified is True
    assert 7 <= len(renewals(keeping)) <= 10, "each at 1/2 to 5/8 of its life"


@each_protocol
@pytest.mark.parametrize("announces", [True, False])
@pytest.mark.parametrize("away_s", [4.0, 120.0])
def test_back_soon_after_the_router_is(protocol: MappingProtocol, announces: bool, away_s: float) -> None:
    async def meanwhile(keeping: Keeping) -> bool:
        await pass_time(100)
        await keeping.lab.stop_router("home")
        assert not await keeping.is_open()
        await pass_time(away_s)
        await keeping.lab.start_router("home")
        return await keeping.back_within(BACK_WITHIN_S)

    scenario = home(MapperSpec(faults={"announces": announces}))
    back, keeping = kept(meanwhile, protocol=protocol, scenario=scenario)
    assert back
    assert "restored" in keeping.happenings
    assert keeping.changes[-1][1].verified is True


def test_a_restart_of_a_moment_is_noticed() -> None:
    """The router loses its table without being silent for long."""

    async def meanwhile(keeping: Keeping) -> bool:
        await pass_time(50)
        await keeping.lab.stop_router("home")
        await keeping.lab.start_router("home")
        return await keeping.back_within(BACK_WITHIN_S)

    assert kept(meanwhile)[0]


def test_a_pinhole_is_made_anew_too() -> None:
    inside = Endpoint("2a10:1:0:1::2", 5000)

    async def main(lab: SimLab) -> list[bool]:
        keeping = Keeping(lab, MapOptions(ports=(5000,), transports=("tcp",)))

        async def meanwhile(keeping: Keeping) -> list[bool]:
            seen = [await gets_in(lab, "tcp", inside, inside)]
            await lab.stop_router("home")
            await pass_time(10)
            seen.append(await gets_in(lab, "tcp", inside, inside))
            await lab.start_router("home")
            await pass_time(BACK_WITHIN_S)
            return [*seen, await gets_in(lab, "tcp", inside, inside)]

        return [*await keeping.run(meanwhile), await gets_in(lab, "tcp", inside, inside)]

    assert at_home(main, home(ipv6=True)) == [True, False, True, False]


def test_it_is_told_when_it_is_lost_and_when_it_is_back() -> None:
    async def meanwhile(keeping: Keeping) -> bool:
        await keeping.lab.stop_router("home")
        await pass_time(700)
        assert keeping.happenings == ["made", "lost"]
        assert keeping.changes[-1][1].external is None
        await keeping.lab.start_router("home")
        return await keeping.back_within(BACK_WITHIN_S)

    back, keeping = kept(meanwhile, lifetime_s=600)
    assert back
    assert keeping.happenings == ["made", "lost", "restored"]


@pytest.mark.parametrize(
    ("code", "still_open", "protocols"),
    [(501, [True] * 4, {"upnp-igd", "pcp"}), (606, [True, False, False, False], {"upnp-igd"})],
)
def test_the_next_protocol_when_one_refuses_to_go_on(
    code: int, still_open: list[bool], protocols: set[str]
) -> None:
    """miniupnpd 2.3.1 refuses to renew an IPv6 pinhole by PCP a second time; others can do it. Nobody else is
    asked where UPnP says that the port is forbidden now."""

    async def meanwhile(keeping: Keeping) -> list[bool]:
        (router,) = keeping.lab._mappers.running["home"]  # type: ignore[union-attr]
        router._upnp._behaviour = msgspec.structs.replace(router.behaviour, upnp_error=code)
        seen = []
        for _ in range(4):
            await pass_time(400)
            seen.append(await keeping.is_open())
        return seen

    seen, keeping = kept(meanwhile, lifetime_s=600)
    assert seen == still_open
    assert keeping.report is not None
    assert {mapping.protocol for mapping in keeping.report.mappings} == protocols


def test_two_that_keep_the_same_do_not_take_it_from_each_other(tmp_path: Path) -> None:
    """Who ends first leaves it to the other, and says so."""

    async def main(lab: SimLab) -> list[bool]:
        wish = MapOptions(ports=(5000,), transports=("udp",))
        one, other = Keeping(lab, wish), Keeping(lab, wish)
        with Journal(tmp_path) as one.journal, Journal(tmp_path) as other.journal:

            async def both(still: Keeping) -> bool:
                async def first(ending: Keeping) -> bool:
                    return await ending.is_open()

                assert await other.run(first)
                assert other.report is not None
                assert any("another nattools process uses it too" in line for line in other.report.warnings)
                return await still.is_open()

            return [await one.run(both), await one.is_open()]

    assert at_home(main) == [True, False]


def test_what_was_added_to_stay_outlives_who_kept_it(tmp_path: Path) -> None:
    async def main(lab: SimLab) -> list[bool]:
        wish = MapOptions(ports=(5000,), transports=("udp",))
        with Journal(tmp_path) as journal:
            await call(lab, add, wish, journal)
        keeping = Keeping(lab, wish)
        with Journal(tmp_path) as keeping.journal:
            opened = await keeping.run(Keeping.is_open)
            return [opened, await keeping.is_open(), len(keeping.journal.entries()) == 1]

    assert at_home(main) == [True, True, True]


def test_what_was_added_to_stay_by_nat_pmp_stays_as_long_as_it_was_to(tmp_path: Path) -> None:
    """By that protocol an inside has one mapping, and the last question decides how long it lives."""

    async def main(lab: SimLab) -> list[bool]:
        wish = MapOptions(ports=(5000,), transports=("udp",), protocol="nat-pmp")
        with Journal(tmp_path) as journal:
            await call(lab, add, wish, journal)
        keeping = Keeping(lab, msgspec.structs.replace(wish, lifetime_s=60))
        with Journal(tmp_path) as keeping.journal:
            await keeping.run(lambda keeping: pass_time(300.0))
            (entry,) = keeping.journal.entries()
            assert entry.granted is not None
            assert (entry.granted.lifetime_s or 0) > 7000
        open_later = [await keeping.is_open()]
        for _ in range(2):
            await pass_time(3300.0)
            open_later.append(await keeping.is_open())
        await pass_time(1200.0)
        return [*open_later, await keeping.is_open()]

    assert at_home(main) == [True, True, True, False]


@pytest.mark.parametrize(
    ("broken", "mended", "within_s", "why"),
    [
        (lambda lab: lab.unplug("alice"), lambda lab: lab.plug("alice"), 10.0, "address gone"),
        (lambda lab: lab.cut("home"), lambda lab: lab.mend("home"), 20.0, "silent"),
    ],
    ids=["own cable", "router"],
)
@each_protocol
def test_a_minute_without_an_answer_is_no_restart(
    protocol: MappingProtocol,
    broken: Callable[[SimLab], None],
    mended: Callable[[SimLab], None],
    within_s: float,
    why: str,
) -> None:
    async def meanwhile(keeping: Keeping) -> bool:
        broken(keeping.lab)
        await pass_time(60.0)
        mended(keeping.lab)
        return await keeping.back_within(within_s)

    opened, keeping = kept(meanwhile, protocol=protocol)
    assert opened
    assert {change.why for _, change in keeping.changes} == {None, why}


class Unnumbered(WrappedNetwork):
    """Its addresses are networks of their own (/32) on the loopback interface, and the others borrow them."""

    def interfaces(self) -> tuple[Interface, ...]:
        found = self.inner.interfaces()
        own = tuple(address for each in found for address in each.addresses)
        return tuple(
            msgspec.structs.replace(each, addresses=own if each.kind == "loopback" else ()) for each in found
        )


@pytest.fixture
def unnumbered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alice's network is such a one."""
    really = SimLab.network

    def network(lab: SimLab, host: str) -> Network:
        return Unnumbered(really(lab, host)) if host == "alice" else really(lab, host)

    monkeypatch.setattr(SimLab, "network", network)


@each_protocol
@pytest.mark.usefixtures("unnumbered")
def test_an_address_that_another_interface_lends_is_not_gone(protocol: MappingProtocol) -> None:
    async def meanwhile(keeping: Keeping) -> bool:
        await keeping.lab.stop_router("home")
        await pass_time(4.0)
        await keeping.lab.start_router("home")
        return await keeping.back_within(2 * BACK_WITHIN_S)

    opened, keeping = kept(meanwhile, protocol=protocol, gateway="10.0.1.1")
    assert opened
    assert "address gone" not in {change.why for _, change in keeping.changes}


@each_protocol
@pytest.mark.usefixtures("unnumbered")
def test_what_was_made_for_a_lent_address_is_deleted(protocol: MappingProtocol) -> None:
    async def main(lab: SimLab) -> bool:
        journal = MemoryJournal()
        wish = MapOptions(ports=(5000,), protocol=protocol, transports=("udp",))
        await call(lab, add, wish, journal)
        assert await gets_in(lab, "udp", INSIDE, BEYOND)
        await call(lab, delete, MapOptions(mine=True), journal)
        assert journal.entries() == []
        return await gets_in(lab, "udp", INSIDE, BEYOND)

    assert not at_home(main)


def test_nothing_to_keep_ends_at_once() -> None:
    async def main(lab: SimLab) -> tuple[Report, float]:
        keeping = Keeping(lab, MapOptions(ports=(5000,)))
        report = await keeping._keep()
        assert keeping.changes == []
        return report, asyncio.get_running_loop().time()

    report, now = at_home(main, home(MapperSpec(ports=(1024, 1025))))
    assert not any(mapping.created for mapping in report.mappings)
    assert now < 10


def test_cancelled_in_the_middle_it_cleans_up() -> None:
    """As Ctrl-C does it."""

    async def main(lab: SimLab) -> bool:
        keeping = Keeping(lab, MapOptions(ports=(5000,), transports=("udp",)))
        task = asyncio.get_running_loop().create_task(keeping._keep())
        await pass_time(2.0)
        assert await keeping.is_open()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await keeping.is_open()

    assert not at_home(main)


def test_it_moves_along_with_the_machine() -> None:
    """To another network, whose router makes mappings too; the old router cannot be asked from there."""
    houses = {name: NatSpec(mapper=MapperSpec()) for name in ("home", "hotel")}
    scenario = Scenario(
        title="moves",
        nat=houses,
        host={"alice": HostSpec(behind=("home", "hotel"))},
        server={"stun": ServerSpec()},
    )

    async def main(lab: SimLab) -> Keeping:
        keeping = Keeping(lab, MapOptions(ports=(5000,), transports=("udp",)))

        async def meanwhile(keeping: Keeping) -> None:
            await pass_time(100)
            lab.move("alice", "hotel")
            await pass_time(60)

        await keeping.run(meanwhile)
        return keeping

    keeping = at_home(main, scenario)
    told = [(change.happening, change.external) for _, change in keeping.changes]
    assert told == [("made", BEYOND), ("lost", None), ("changed", Endpoint("11.2.0.2", 5000))]
    assert [change.verified for _, change in keeping.changes] == [True, None, True]
    assert [str(entry.wanted.internal) for entry in keeping.journal.entries()] == [str(INSIDE)]
    assert keeping.report is not None
    codes = {each.code for each in keeping.report.notices}
    assert "mapping-left-until" in codes
    assert "router-address-differs" not in codes


@pytest.mark.parametrize("protocol", ["nat-pmp", "pcp"])
def test_it_hears_the_router_of_the_network_that_it_moved_to(protocol: MappingProtocol) -> None:
    """One whose clock stands still: nothing but its announcement tells that it has restarted."""
    quiet = MapperSpec(protocols=(protocol,), faults={"epoch": "stuck"})
    scenario = Scenario(
        title="moves",
        nat={name: NatSpec(mapper=quiet) for name in ("home", "hotel")},
        host={"alice": HostSpec(behind=("home", "hotel")), "bob": HostSpec()},
        server={"stun": ServerSpec()},
    )

    async def main(lab: SimLab) -> bool:
        keeping = Keeping(lab, MapOptions(ports=(5000,), transports=("udp",), protocol=protocol))

        async def meanwhile(keeping: Keeping) -> bool:
            await pass_time(100)
            lab.move("alice", "hotel")
            await pass_time(60)
            beyond = Endpoint("11.2.0.2", 5000)
            inside = keeping.changes[-1][1].internal
            assert await gets_in(lab, "udp", inside, beyond)
            await lab.stop_router("hotel")
            await lab.start_router("hotel")
            await pass_time(BACK_WITHIN_S)
            return await gets_in(lab, "udp", inside, beyond)

        return await keeping.run(meanwhile)

    assert at_home(main, scenario)


def test_a_pinhole_that_is_closed_is_made_anew() -> None:
    """The service tells no restart; its number is one that the router does not know any more."""
    inside = Endpoint("2a10:1:0:1::2", 5000)

    async def main(lab: SimLab) -> list[bool]:
        wish = MapOptions(ports=(5000,), transports=("udp",), protocol="upnp-igd")
        keeping = Keeping(lab, wish)

        async def meanwhile(keeping: Keeping) -> list[bool]:
            await pass_time(100)
            seen = [await gets_in(lab, "udp", inside, inside)]
            assert lab._mappers is not None
            for router in lab._mappers.running["home"]:
                router.table.clear()
            seen.append(await gets_in(lab, "udp", inside, inside))
            await pass_time(70)
            seen.append(await gets_in(lab, "udp", inside, inside))
            return seen

        return await keeping.run(meanwhile)

    assert at_home(main, home(ipv6=True)) == [True, False, True]


@each_protocol
def test_what_another_process_deletes_is_noted_again_when_it_is_made_again(
    protocol: MappingProtocol, tmp_path: Path
) -> None:
    """`map delete --mine` in another window: what is kept comes back, and no death is to leave it behind."""

    async def main(lab: SimLab) -> None:
        wish = MapOptions(ports=(5000,), transports=("udp",), protocol=protocol, lifetime_s=600)
        keeping = Keeping(lab, wish)

        async def meanwhile(keeping: Keeping) -> None:
            await pass_time(100)
            with Journal(tmp_path) as other:
                await call(lab, delete, MapOptions(mine=True), other)
            assert not await keeping.is_open()
            await pass_time(600)
            assert await keeping.is_open()
            (entry,) = keeping.journal.entries()
            assert entry.granted is not None
            assert not entry.stays

        with Journal(tmp_path) as keeping.journal:
            await keeping.run(meanwhile)
            assert not await keeping.is_open()
            assert keeping.journal.entries() == []

    at_home(main)
