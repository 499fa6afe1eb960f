"""What a diagnosis sees of the local network in a second, on the simulator's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.quicklanscan import QuickLanScan
from nattools.engine.run import new_run
from nattools.lab.scenario import HostSpec, LanSpec, NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.host import Interface, LinkNeighbour
from nattools.model.lanseen import BeaconsSent, LanEcho, LanLink, MdnsTrial
from nattools.model.observation import AnyObservation
from nattools.net.base import Network

BOB = "10.0.1.3"
PRINTER = HostSpec(behind="home", services=("_ipp._tcp",))


def drawn(*, isolated: bool = False, bob: HostSpec = PRINTER, alice: HostSpec | None = None) -> Scenario:
    return Scenario(
        title="home",
        nat={"home": NatSpec(lan=LanSpec(isolated=isolated)), "vpn": NatSpec()},
        host={"alice": alice or HostSpec(behind="home"), "bob": bob},
        server={},
    )


def seen(
    scenario: Scenario,
    known: tuple[LinkNeighbour, ...] = (),
    interfaces: Callable[[tuple[Interface, ...]], tuple[Interface, ...]] | None = None,
) -> tuple[list[AnyObservation], float]:
    """What was observed, and how long it took. `known`: by the system's own list."""

    async def main(network: Network) -> tuple[list[AnyObservation], float]:
        options = MeasureOptions(command="diagnose", servers=())
        run, began = new_run(network, options, lambda event: None), asyncio.get_running_loop().time()
        await QuickLanScan(run).run(run.machine_context("lan", (4,)))
        return run.recorder.observations, asyncio.get_running_loop().time() - began

    with SimLab(scenario) as lab:
        network = lab.network("alice")
        network.link_neighbours = lambda: known  # type: ignore[method-assign]
        if interfaces is not None:
            changed = interfaces(network.interfaces())
            network.interfaces = lambda: changed  # type: ignore[method-assign]
        return lab.run(lambda: main(network))


def answered(observations: list[AnyObservation]) -> dict[str, tuple[str, int]]:
    return {one.address: (one.role, one.received) for one in observations if isinstance(one, LanEcho)}


def test_who_answers_multicast_dns_is_asked_and_named_by_the_address_alone() -> None:
    found, took_s = seen(drawn())
    assert answered(found) == {"10.0.1.1": ("gateway", 1), BOB: ("neighbour", 1)}
    (trial,) = [one for one in found if isinstance(one, MdnsTrial)]
    assert (trial.responders, trial.services) == ((BOB,), ())
    assert took_s <= 1.0


@pytest.mark.parametrize(("isolated", "received"), [(False, 1), (True, 0)])
def test_whom_the_system_knows_is_asked(isolated: bool, received: int) -> None:
    quiet = HostSpec(behind="home")
    known = (
        LinkNeighbour(interface="eth0", address=BOB),
        LinkNeighbour(interface="eth0", address="10.0.1.1"),
        LinkNeighbour(interface="eth7", address="10.0.9.9"),
    )
    found, took_s = seen(drawn(isolated=isolated, bob=quiet), known)
    assert answered(found) == {"10.0.1.1": ("gateway", 1), BOB: ("neighbour", received)}
    assert took_s <= 1.0
    assert not [one for one in found if isinstance(one, BeaconsSent)], "a diagnosis sends no beacons"


def test_strangers_on_the_internet_are_not_asked() -> None:
    found, took_s = seen(drawn(alice=HostSpec()))
    assert (found, took_s) == ([], 0.0)


def test_a_tunnel_is_not_looked_into() -> None:
    """The default route leads into it; the cable is behind it."""
    alice = HostSpec(behind=("vpn", "home"), vpn=("vpn",), routing="by-metric")
    found, _ = seen(drawn(alice=alice))
    (link,) = [one for one in found if isinstance(one, LanLink)]
    assert (link.type, link.gateways) == ("ethernet", ("10.0.1.1",))
    assert answered(found)[BOB] == ("neighbour", 1)


def test_with_a_tunnel_alone_there_is_nothing_to_look_at() -> None:
    found, _ = seen(drawn(), interfaces=lambda all_: tuple(replace(each, kind="vpn") for each in all_))
    assert found == []


def test_another_address_of_the_router_is_no_other_machine() -> None:
    """It has the same hardware address, as one has whom the router answers for."""
    known = (
        LinkNeighbour(interface="eth0", address="10.0.1.1", hardware="0201"),
        LinkNeighbour(interface="eth0", address="10.0.1.9", hardware="0201"),
        LinkNeighbour(interface="eth0", address=BOB, hardware="0201"),
    )
    found, _ = seen(drawn(bob=HostSpec(behind="home")), known)
    assert answered(found) == {"10.0.1.1": ("gateway", 1)}
    found, _ = seen(drawn(), known)
    (echo,) = [one for one in found if isinstance(one, LanEcho) and one.address == BOB]
    assert echo.router, "it answers multicast DNS, and is the router all the same"
