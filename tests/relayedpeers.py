"""Two peers behind NATs that meet through a relay of `nattools serve --libp2p`, in any lab."""

from __future__ import annotations

import asyncio

from nattools.engine.analysis.libp2p.directupgrade import way_between
from nattools.lab.backend import Lab
from nattools.lab.labpeers import peers_of
from nattools.lab.scenario import FirewallSpec, HostSpec, Libp2pSpec, NatSpec, Scenario, ServerSpec
from nattools.model.nat import NAT_KINDS
from nattools.model.peertrial import UpgradeTried
from nattools.probes.libp2p.peervisits import PeerContext
from nattools.probes.libp2p.upgradetrials import call_through, wait_for_calls
from nattools.probes.probe import Recorder, SomeObservation
from nattools.protocols.libp2p.hostkey import HostKey
from nattools.protocols.libp2p.multiaddr import Multiaddr, parse_multiaddr

KINDS: dict[str, NatSpec | FirewallSpec | None] = {
    "open": None,
    "firewall": FirewallSpec(),
    "full cone": NatSpec(filtering="endpoint-independent"),
    "address-restricted": NatSpec(filtering="address-dependent"),
    "port-restricted": NatSpec(),
    "symmetric": NatSpec(mapping="address-and-port-dependent", allocation="random"),
}

NAMES = {"open": "open internet", "symmetric": "symmetric random"}


def is_direct(one: str, other: str) -> bool:
    """What a report of `one`'s network says of peers behind `other`."""
    own, peer = (NAT_KINDS[NAMES.get(kind, kind)] for kind in (one, other))
    return way_between(own, own, peer)[0] == "direct"


def drawn(one: str, other: str) -> Scenario:
    """Alice behind `one`, bob behind `other`, and a relay."""
    nats: dict[str, NatSpec] = {}
    firewalls: dict[str, FirewallSpec] = {}
    hosts = {}
    for name, kind in (("alice", one), ("bob", other)):
        spec = KINDS[kind]
        if isinstance(spec, NatSpec):
            nats[f"{name}home"] = spec
        elif isinstance(spec, FirewallSpec):
            firewalls[f"{name}home"] = spec
        hosts[name] = HostSpec(behind=None if spec is None else f"{name}home", delay_ms=5)
    server = {"peer": ServerSpec(libp2p=Libp2pSpec(), ipv6=False)}
    return Scenario(title=f"{one} and {other}", nat=nats, firewall=firewalls, host=hosts, server=server)


class UpgradeRecorder(Recorder):
    """One that tells when an upgrade was tried."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop().time())
        self.upgraded = asyncio.Event()

    def add(self, observation: SomeObservation, at: float | None = None) -> SomeObservation:
        kept = super().add(observation, at)
        if isinstance(kept, UpgradeTried):
            self.upgraded.set()
        return kept


def context_of(lab: Lab, host: str, key: HostKey | None = None) -> tuple[PeerContext, UpgradeRecorder]:
    """To ask as that host."""
    recorder = UpgradeRecorder()
    return PeerContext(lab.network(host), recorder, key or HostKey(), (4,)), recorder


def upgrade_of(recorder: Recorder) -> UpgradeTried:
    """The one that was tried."""
    (found,) = (each for each in recorder.observations if isinstance(each, UpgradeTried))
    return found


async def met(lab: Lab) -> tuple[UpgradeTried, UpgradeTried]:
    """Alice calls bob through the relay; what both saw."""
    relay = peers_of(lab.scenario, lab.layout)[0]
    (alice, hers), (bob, his) = context_of(lab, "alice"), context_of(lab, "bob")
    address: asyncio.Future[Multiaddr] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(
            wait_for_calls(bob, relay, 60.0, lambda text: address.set_result(parse_multiaddr(text)))
        )
        await call_through(alice, await address)
        await his.upgraded.wait()
        waiting.cancel()
    return upgrade_of(hers), upgrade_of(his)
