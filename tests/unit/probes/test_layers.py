"""How far the outermost NAT is: proof of it by an opener, whatever other servers say."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from simulated import STUN, behind_nat

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenario import FirewallSpec, HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.lab.sim.simsockets import SimUdpSocket
from nattools.model.endpoint import Endpoint
from nattools.model.observation import Opener
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.probes.estimate import PathEstimate
from nattools.probes.layers import opener
from nattools.probes.probe import ProbeContext, Recorder
from nattools.probes.target import Target


def measured(seed: int) -> Report:
    """Behind a NAT whose uplink wavers, so that answers come in another order with each seed; one of three
    servers tells a wrong address."""
    scenario = Scenario(
        title="a liar beside others",
        nat={"home": NatSpec(delay_ms=10, jitter_ms=10)},
        host={"alice": HostSpec(behind="home")},
        server={
            "good": ServerSpec(kind="rfc5780"),
            "liar": ServerSpec(kind="wrong-address", addresses=1),
            "plain": ServerSpec(kind="plain", addresses=1),
        },
    )
    with SimLab(scenario, seed=seed) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        options = MeasureOptions("nat", servers)
        return lab.run(lambda: measure(lab.network("alice"), options, lambda event: None))


@pytest.mark.parametrize("seed", range(12))
def test_a_liars_answer_is_not_taken_for_a_mapping_that_varies(seed: int) -> None:
    nat = measured(seed).nat.udp4
    assert nat is not None
    assert nat.distance_hops == 1
    assert nat.cgnat is False
    assert nat.double_nat is False


SYMMETRIC: dict[str, Any] = {"mapping": "address-and-port-dependent", "allocation": "random"}
LETS_ANYBODY_IN: dict[str, Any] = {"filtering": "endpoint-independent"}


def counted(*nats: NatSpec, server: ServerSpec, wall: bool = False) -> tuple[Any, Any]:
    """`double_nat` and `cgnat` behind these, outermost first; `wall`: with a network of public addresses
    between."""
    names = [f"nat{number}" for number in range(len(nats))]
    behind = [None, "wall" if wall else names[0]]
    specs = {
        name: msgspec.structs.replace(nat, behind=before)
        for name, nat, before in zip(names, nats, behind, strict=False)
    }
    scenario = Scenario(
        title="layers",
        nat=specs,
        firewall={"wall": FirewallSpec(behind=names[0], filtering="endpoint-independent")} if wall else {},
        host={"alice": HostSpec(behind=names[-1])},
        server={"stun": server},
    )
    with SimLab(scenario) as lab:
        options = MeasureOptions("nat", tuple(map(parse_server, lab.server_uris())), families=(4,))
        nat = lab.run(lambda: measure(lab.network("alice"), options, lambda event: None)).nat.udp4
    assert nat is not None
    return nat.double_nat, nat.cgnat


@pytest.mark.parametrize("server", [ServerSpec(), ServerSpec(kind="plain", addresses=1)], ids=["two", "one"])
@pytest.mark.parametrize("hairpinning", [False, True])
@pytest.mark.parametrize("nat", [SYMMETRIC, LETS_ANYBODY_IN, {}], ids=["symmetric", "full cone", "home"])
def test_the_router_that_has_the_outside_address_is_the_only_nat(
    nat: dict[str, Any], hairpinning: bool, server: ServerSpec
) -> None:
    """Where the filter, the mapping or a server with one address leaves openers nothing to prove."""
    assert counted(NatSpec(**nat, hairpinning=hairpinning), server=server) == (False, False)


@pytest.mark.parametrize("wall", [False, True])
@pytest.mark.parametrize("nat", [SYMMETRIC, LETS_ANYBODY_IN], ids=["symmetric", "full cone"])
def test_behind_a_carrier_nobody_says_that_there_is_one_nat(nat: dict[str, Any], wall: bool) -> None:
    carrier = NatSpec(**nat, address="100.64.0.0/10")
    double_nat, cgnat = counted(carrier, NatSpec(**nat), server=ServerSpec(), wall=wall)
    assert False not in (double_nat, cgnat)


def test_an_opener_passes_a_carrier_that_lets_anybody_in_unseen() -> None:
    """What opens the router at home gets in through the carrier's NAT anyway, and what stands between has
    public addresses."""
    carrier = NatSpec(**LETS_ANYBODY_IN, address="100.64.0.0/10")
    assert False not in counted(carrier, NatSpec(), server=ServerSpec(), wall=True)


@pytest.mark.parametrize(("lost", "opened", "took_s"), [(0, False, (0, 1)), (1, True, (0.5, 1.5))])
def test_one_burst_does_not_take_all_openers(
    monkeypatch: pytest.MonkeyPatch, lost: int, opened: bool, took_s: tuple[float, float]
) -> None:
    """Where nothing was lost before, there is no waiting."""
    really, sent_at = SimUdpSocket.send, []

    def send(self: SimUdpSocket, data: bytes, to: Any, *, ttl: int | None = None) -> Any:
        if ttl != 2:
            return really(self, data, to, ttl=ttl)
        now = asyncio.get_running_loop().time()
        sent_at.append(now)
        return None if now == sent_at[0] else really(self, data, to, ttl=ttl)

    async def main() -> tuple[bool | None, float]:
        began = asyncio.get_running_loop().time()
        estimate = PathEstimate()
        estimate.answered(0.02)
        estimate.missed(lost)
        context = ProbeContext(lab.network("alice"), Recorder(began), estimate, 4, MeasureOptions("nat", ()))
        target = Target("stun:x", STUN, "udp", None, 0.02, Endpoint("11.201.0.3", 3479))
        await opener(context, target, 2, expires=True, copies=10)
        seen = [each for each in context.recorder.observations if isinstance(each, Opener)]
        return seen[0].opened, asyncio.get_running_loop().time() - began

    monkeypatch.setattr(SimUdpSocket, "send", send)
    with SimLab(behind_nat(delay_ms=10)) as lab:
        found, seconds = lab.run(main)
    assert found is opened
    assert took_s[0] <= seconds <= took_s[1]
    assert len(sent_at) == 10
