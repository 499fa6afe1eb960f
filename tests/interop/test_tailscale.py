"""Tailscale's own programs: which of 45 pairs of networks its client connects directly, what its netcheck
says in nine of them, and its control server asked as a client asks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import tool
from tailscaled import KINDS, PING_S, Client, clients, drawn, host_of, servers

from nattools.engine.analysis.overlays.tailscalepaths import connects_directly
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.tailnets import measure_tailnets
from nattools.engine.tailnetsearch import TailnetAsk, TailnetSearch
from nattools.lab.netns.netnslab import NetnsLab
from nattools.model.controlurl import parse_control
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.protocols.overlays import parse_status
from nattools.traversal.plan.side import KINDS as MODELS
from nattools.traversal.plan.side import Side

pytestmark = [pytest.mark.netns, pytest.mark.interop("derper", "tailcontrol")]
with_client = pytest.mark.skipif(tool("tailscaled") is None, reason="no tailscaled: make peers builds it")
SIDES = {
    "open": MODELS["open internet"],
    "firewall": MODELS["firewall"],
    "full-cone": MODELS["full cone"],
    "address-restricted": MODELS["address-restricted"],
    "port-restricted": MODELS["port-restricted"],
    "symmetric-random": MODELS["symmetric random"],
    "symmetric-sequential": MODELS["symmetric sequential"],
    "address-dependent": Side(moves="predictably", accepts="address", by_address=True),
    "udp-blocked": MODELS["udp blocked"],
}
PAIRS = list(combinations_with_replacement(KINDS, 2))
TIMES = 3
"""So often both are asked until they agree: an answer that comes late on a busy machine is missing in one."""
AT_ONCE, PINGS = 15, 5
"""Pairs that are tried side by side; after so many packets by a relay a pair is taken for relayed."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tailnet")


@pytest.fixture(scope="module")
def lab() -> Iterator[NetnsLab]:
    with NetnsLab(drawn(), start_servers=False) as running:
        yield running


@pytest.fixture(scope="module")
def derp_map(lab: NetnsLab, folder: Path) -> Iterator[Path]:
    with servers(lab, folder) as path:
        yield path


@pytest.fixture(scope="module")
def tailnet(lab: NetnsLab, derp_map: Path, folder: Path) -> Iterator[dict[str, Client]]:
    hosts = [host_of(side, kind) for kind in KINDS for side in "ab"]
    with clients(lab, hosts, folder) as found:
        yield found


@with_client
def test_the_pairs_that_tailscaled_connects_directly_are_those_foretold(tailnet: dict[str, Client]) -> None:
    status = parse_status(json.dumps(tailnet["a0"].said("status", "--json")).encode())
    addresses = {peer.name: peer.addresses[0] for peer in status.peers}
    direct = {}
    for place in range(0, len(PAIRS), AT_ONCE):
        asked = {
            pair: tailnet[host_of("a", pair[0])].ping(addresses[host_of("b", pair[1])], PINGS)
            for pair in PAIRS[place : place + AT_ONCE]
        }
        for pair, process in asked.items():
            said, _ = process.communicate(timeout=PING_S)
            assert "pong from" in said, (pair, said)
            direct[pair] = process.returncode == 0
    foretold = {pair: connects_directly(SIDES[pair[0]], SIDES[pair[1]]) for pair in PAIRS}
    for one, other in (pair for pair in PAIRS if foretold[pair] and not direct[pair]):
        # on a busy machine a path may come later than the pings give up
        process = tailnet[host_of("a", one)].ping(addresses[host_of("b", other)], 4 * PINGS)
        process.communicate(timeout=PING_S)
        direct[one, other] = process.returncode == 0
    assert {pair for pair in PAIRS if direct[pair]} == {pair for pair in PAIRS if foretold[pair]}
    assert sum(direct.values()) == 24
    check_status(tailnet, direct)
    tailnet["a0"].ping(addresses["b0"], PINGS).communicate(timeout=PING_S)
    status = parse_status(json.dumps(tailnet["a0"].said("status", "--json")).encode())
    assert {peer.path for peer in status.peers if peer.name == "b0"} == {"direct"}


def check_status(tailnet: dict[str, Client], direct: dict[tuple[str, str], bool]) -> None:
    """What its status says afterwards, as it is read here. An unused path is forgotten in seconds."""
    for kind in KINDS:
        status = parse_status(json.dumps(tailnet[host_of("a", kind)].said("status", "--json")).encode())
        assert (status.program, status.state) == ("tailscale", "Running")
        ways = {peer.name: peer.path for peer in status.peers}
        for (one, other), way in direct.items():
            if one == kind:
                possible = ("direct", "relay", "none") if way else ("relay", "none")
                assert ways[host_of("b", other)] in possible, (one, other)


async def looked_at(lab: NetnsLab, host: str, derp_map: Path) -> Report:
    """What nattools says there."""
    control = parse_control("http://control:8080")
    ask = TailnetAsk(name="lab", control=control, map=str(derp_map))
    options = MeasureOptions(
        command="tailscale",
        servers=(parse_server("derp1"),),
        families=(4,),
        tailnets=TailnetSearch(tailnets=(ask,)),
    )
    return await measure_tailnets(lab.network(host), options, lambda event: None, MemoryJournal())


@pytest.mark.parametrize("kind", ["open", "udp-blocked"])
def test_its_control_server_and_derp_servers_are_reached_from_anywhere(
    lab: NetnsLab, derp_map: Path, kind: str
) -> None:
    report = lab.run(lambda: looked_at(lab, host_of("b", kind), derp_map))
    assert report.tailscale is not None
    (found,) = report.tailscale.tailnets
    assert (found.reachable, found.logs_in, found.relays, found.home_region) == (True, True, True, "derp1")


@with_client
@pytest.mark.parametrize("kind", KINDS)
def test_netcheck_says_what_is_said_that_it_would_say(
    lab: NetnsLab, derp_map: Path, tailnet: dict[str, Client], kind: str
) -> None:
    for _ in range(TIMES):
        ours, theirs = both_netchecks(lab, derp_map, tailnet[host_of("a", kind)])
        if ours == theirs:
            break
    assert ours == theirs


def both_netchecks(lab: NetnsLab, derp_map: Path, client: Client) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ours and theirs, without the ports and times that are others each time."""
    theirs: dict[str, Any] = client.said("netcheck", "--format=json")
    report = lab.run(lambda: looked_at(lab, client.host, derp_map))
    assert report.tailscale is not None
    (found,) = report.tailscale.tailnets
    assert (found.reachable, found.logs_in, found.relays) == (True, True, True)
    assert found.netcheck is not None
    return comparable(msgspec.to_builtins(found.netcheck)), comparable(theirs)


def comparable(netcheck: dict[str, Any]) -> dict[str, Any]:
    names = ("UDP", "IPv4", "IPv6", "MappingVariesByDestIP", "UPnP", "PMP", "PCP", "PreferredDERP")
    latencies = {
        name: {str(each) for each in netcheck[name] or ()} for name in ("RegionLatency", "RegionV4Latency")
    }
    return {
        **{name: netcheck[name] for name in names},
        **latencies,
        "GlobalV4": netcheck["GlobalV4"].partition(":")[0],
    }
