"""One machine in two tailnets at once, with Tailscale's own control server and client: both servers are asked
and what both tailnets claim is named. Each of these control servers gives its machines the same addresses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import tool
from msgspec.structs import replace
from tailscaled import CONTROL_PORT, clients, drawn, servers

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.portmap.journal import MemoryJournal
from nattools.engine.tailnets import measure_tailnets
from nattools.engine.tailnetsearch import TailnetAsk, TailnetSearch
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario
from nattools.model.controlurl import parse_control
from nattools.model.overlay import OverlayStatus
from nattools.model.serveruri import parse_server
from nattools.model.tailscale import Tailscale
from nattools.protocols.overlays import parse_status

pytestmark = [pytest.mark.netns, pytest.mark.interop("derper", "tailcontrol")]
CONTROLS = ("control", "other")
SAMPLE = Path(__file__).parents[1] / "vectors/overlays/tailscale-status.json"


def with_two() -> Scenario:
    one = drawn()
    hosts = {"alice": HostSpec(behind="home"), "bob": HostSpec(), "carol": HostSpec()}
    server = {**one.server, "other": one.server["control"]}
    return replace(one, nat={"home": NatSpec()}, firewall={}, host=hosts, server=server)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two-tailnets")


@pytest.fixture(scope="module")
def lab() -> Iterator[NetnsLab]:
    with NetnsLab(with_two(), start_servers=False) as running:
        yield running


@pytest.fixture(scope="module")
def derp_map(lab: NetnsLab, folder: Path) -> Iterator[Path]:
    with servers(lab, folder, CONTROLS) as path:
        yield path


def looked_at(lab: NetnsLab, derp_map: Path, statuses: Sequence[OverlayStatus]) -> Tailscale:
    """What nattools says on alice."""
    asks = tuple(
        TailnetAsk(
            name=name,
            control=parse_control(f"http://{name}:{CONTROL_PORT}"),
            map=str(derp_map),
            status=status,
        )
        for name, status in zip(CONTROLS, statuses, strict=True)
    )
    options = MeasureOptions(
        command="tailscale",
        servers=(parse_server("derp1"),),
        families=(4,),
        tailnets=TailnetSearch(tailnets=asks),
    )
    report = lab.run(
        lambda: measure_tailnets(lab.network("alice"), options, lambda event: None, MemoryJournal())
    )
    assert report.tailscale is not None
    assert [(each.name, each.reachable, each.logs_in) for each in report.tailscale.tailnets] == [
        (name, True, True) for name in CONTROLS
    ]
    return report.tailscale


def test_two_control_servers_are_asked_at_once_and_what_both_claim_is_named(
    lab: NetnsLab, derp_map: Path
) -> None:
    status = parse_status(SAMPLE.read_bytes())
    found = looked_at(lab, derp_map, (status, status))
    assert [each.kind for each in found.address_overlaps] == ["addresses", "routes"]
    assert [each.kind for each in found.conflicts] == ["port", "rules", "default-route"]


@pytest.mark.skipif(tool("tailscaled") is None, reason="no tailscaled: make peers builds it")
def test_what_real_clients_of_both_claim_is_named(lab: NetnsLab, derp_map: Path, folder: Path) -> None:
    with ExitStack() as stack:
        one = stack.enter_context(clients(lab, ["alice.one", "bob"], folder, CONTROLS[0]))
        two = stack.enter_context(clients(lab, ["alice.two", "carol"], folder, CONTROLS[1]))
        own = (one["alice.one"], two["alice.two"])
        statuses = [parse_status(json.dumps(each.said("status", "--json")).encode()) for each in own]
        found = looked_at(lab, derp_map, statuses)
    assert all(each.state == "Running" for each in statuses)
    assert [{peer.name for peer in each.peers} for each in statuses] == [{"bob"}, {"carol"}]
    (clash,) = found.address_overlaps
    assert clash.kind == "addresses"
    assert clash.tailnets == CONTROLS
    mine = [
        {address for peer in each.peers for address in (*peer.addresses, *each.addresses)}
        for each in statuses
    ]
    assert set(clash.addresses) == mine[0] & mine[1]
    assert not found.conflicts, "in userspace each has a port of its own, and no routes"
