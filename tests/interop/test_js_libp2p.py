"""js-libp2p as the peer: identify, ping, AutoNAT v2 and relays, behind NATs of the kernel."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import pytest
from conftest import tool

from nattools.engine.libp2pmeasurement import measure_libp2p
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.peersearch import PeerSearch
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.model.libp2p import Libp2p
from nattools.model.serveruri import parse_server
from nattools.protocols.libp2p.multiaddr import Multiaddr, parse_multiaddr

pytestmark = [pytest.mark.netns, pytest.mark.interop("jspeer", "node")]
JS = ServerSpec(addresses=1, ipv6=False)
KINDS: dict[str, NatSpec | None] = {
    "open": None,
    "full cone": NatSpec(filtering="endpoint-independent"),
    "address-restricted": NatSpec(filtering="address-dependent"),
    "port-restricted": NatSpec(),
    "symmetric": NatSpec(mapping="address-and-port-dependent", allocation="random"),
    "UDP blocked": NatSpec(udp="blocked"),
}
PORT = 4001
TIMES = 3
"""So often it is measured until nothing is unknown."""


@contextmanager
def js_peer(lab: NetnsLab, name: str) -> Iterator[Multiaddr]:
    """One that runs on that machine."""
    host = lab.layout.ports_of(name)[0].addresses[0].ip
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    program = lab.popen(name, [str(tool("jspeer")), host, str(PORT)], **pipes)
    assert program.stdout is not None
    with program.stdout as said:
        first = said.readline()
        assert first, "jspeer ended"
        yield parse_multiaddr(f"/ip4/{host}/tcp/{PORT}/p2p/{json.loads(first)['id']}")
        program.kill()
        program.wait()


def measured(kind: str) -> Libp2p:
    nat = KINDS[kind]
    scenario = Scenario(
        title="js",
        nat={} if nat is None else {"home": nat},
        host={"alice": HostSpec(behind=None if nat is None else "home")},
        server={"stun": ServerSpec(ipv6=False), "one": JS, "two": JS},
    )
    with NetnsLab(scenario) as lab, ExitStack() as stack:
        peers = tuple(stack.enter_context(js_peer(lab, name)) for name in ("one", "two"))
        options = MeasureOptions(
            command="libp2p",
            servers=tuple(map(parse_server, lab.server_uris()[:1])),
            families=(4,),
            libp2p=PeerSearch(peers, named=True),
        )
        for _ in range(TIMES):
            report = lab.run(lambda: measure_libp2p(lab.network("alice"), options, lambda event: None))
            found = report.libp2p
            assert found is not None
            if whole(found):
                break
    return found


def whole(found: Libp2p) -> bool:
    """Has a busy machine left nothing unknown?"""
    peers = all(each.identified and each.autonat and each.relay and each.rtt_ms for each in found.peers)
    told = len(found.autonat) == 1 and found.autonat[0].reachable is not None
    carried = found.relays and all(each.carries for each in found.relays)
    return bool(peers and told and found.relay_reserved and carried)


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_says_of_each_kind_of_network(kind: str) -> None:
    found = measured(kind)
    assert all(peer.identified and peer.autonat and peer.relay for peer in found.peers)
    assert all(peer.agent.startswith("js-libp2p/") and peer.rtt_ms is not None for peer in found.peers)
    assert all(peer.observed for peer in found.peers)
    assert found.relay_reserved is True
    assert all(relay.carries for relay in found.relays), msgspec.to_builtins(found.relays)
    assert {(relay.limit_s, relay.limit_bytes) for relay in found.relays} == {(120, 128 * 1024)}
    (address,) = found.autonat
    assert address.reachable is (kind in ("open", "full cone")), address
    assert address.false_positive is (kind == "address-restricted")
