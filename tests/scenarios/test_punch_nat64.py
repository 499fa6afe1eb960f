"""A host that has IPv6 alone, behind a NAT64, and hosts that have IPv4 alone, behind each kind of NAT: they
connect, and the way has a name."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nattools.lab.natkinds import MATRIX_KINDS
from nattools.lab.scenario import FirewallSpec, HostSpec, Nat64Spec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.trials.pairs import PairOptions, Reports, connect_pair

SEEDS = range(2)
CARRIER = NatSpec(ipv6="firewall", nat64=Nat64Spec())


def drawn(kind: str) -> Scenario:
    """Alice behind the NAT64, Bob behind a router of this kind; the server where they meet has IPv4 alone."""
    router = MATRIX_KINDS[kind]
    nats = {"carrier": CARRIER}
    firewalls = {}
    if isinstance(router, NatSpec):
        nats["home"] = replace(router, ipv6=None)
    elif isinstance(router, FirewallSpec):
        firewalls["home"] = router
    bob = HostSpec() if router is None else HostSpec(behind="home")
    return Scenario(
        title=kind,
        nat=nats,
        firewall=firewalls,
        host={"alice": HostSpec(behind="carrier"), "bob": bob},
        server={"stun": ServerSpec(ipv6=False)},
    )


@pytest.mark.parametrize("kind", MATRIX_KINDS)
def test_they_connect(kind: str) -> None:
    scenario = drawn(kind)
    for seed in SEEDS:
        with SimLab(scenario, seed=seed) as lab:

            async def work(lab: SimLab = lab) -> Reports:
                return await connect_pair(lab, "alice", "bob", PairOptions(scenario=kind))

            reports = lab.run(work)
        for report in reports:
            assert report.punch is not None
            assert report.punch.connected, (kind, seed, report.punch.why)
            assert (report.punch.path, report.punch.family) == ("direct", 4)
            assert report.punch.strategy is not None
