"""A DERP server that both sides name, where nothing direct works."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from derped import derp_node
from msgspec.structs import replace
from piped import pipe_through
from punching import MATRIX_KINDS, pair, punching
from walled import apart, mended, whole

from nattools.engine.punch.options import PunchOptions, Watcher
from nattools.engine.punch.punch import punch_both
from nattools.lab.scenario import DerpSpec, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.punch import Punch
from nattools.model.report import Report
from nattools.traversal.relayaccess import DerpAccess

ONLY_HTTPS = replace(MATRIX_KINDS["udp-blocked"], open_ports=("tcp/443", "tcp/3478"))


def punched(
    kinds: tuple[str, str], *, named: tuple[bool, bool] = (True, True), **spec: Any
) -> tuple[Punch, Punch]:
    """Both sides' results; `named`: which of them name the server."""
    drawn = pair(*(ONLY_HTTPS if kind == "only-https" else MATRIX_KINDS[kind] for kind in kinds), delay_ms=20)
    servers = {**drawn.server, "derp": ServerSpec(derp=DerpSpec(**spec))}
    with SimLab(replace(drawn, server=servers), seed=1) as lab:
        access = (DerpAccess(derp_node(lab)),)
        sides = [
            (
                lab.network(host),
                PunchOptions(measuring=punching(lab), low_ports=False, relays=access if knows else ()),
                Watcher(),
            )
            for host, knows in zip(("alice", "bob"), named, strict=True)
        ]

        async def main() -> tuple[Report, Report]:
            found = await punch_both(sides[0], sides[1])
            await asyncio.sleep(1.0)
            return found

        reports = lab.run(main)
    found = [each.punch for each in reports if each.punch is not None]
    return found[0], found[1]


@pytest.mark.parametrize(
    "kinds",
    [
        ("symmetric-random", "symmetric-random"),
        ("only-https", "symmetric-random"),
        ("only-https", "only-https"),
    ],
    ids=" x ".join,
)
def test_what_has_no_direct_path_meets_at_the_server(kinds: tuple[str, str]) -> None:
    for found in punched(kinds):
        assert (found.connected, found.path, found.strategy) == (True, "relayed", "relay"), found.why
        assert found.relay is not None
        assert (found.relay.kind, found.relay.uri) == ("derp", "derp://derp")
        assert found.relay.rtt_ms == pytest.approx(80, abs=5)


def named(lab: SimLab) -> tuple[DerpAccess, ...]:
    return (DerpAccess(derp_node(lab)),)


def test_from_the_server_to_a_direct_path_and_back_without_losing_a_byte() -> None:
    async def trouble(lab: SimLab) -> None:
        await mended(2.0)(lab)
        await asyncio.sleep(10.0)
        apart(lab)

    servers = {"derp": ServerSpec(derp=DerpSpec())}
    sides = pipe_through(
        ("port-restricted", "port-restricted"),
        trouble,
        before=apart,
        size=7_000_000,
        servers=servers,
        relays=named,
    )
    for found in whole(sides):
        assert [each.path for each in found.paths] == ["relayed", "direct", "relayed"]
        assert [each.relay for each in found.paths] == ["derp://derp", None, "derp://derp"]
        assert found.relay is not None
        assert found.relay.kind == "derp"


def test_a_direct_path_needs_no_server() -> None:
    for found in punched(("port-restricted", "port-restricted")):
        assert (found.path, found.relay) == ("direct", None)


@pytest.mark.parametrize(("named", "spec"), [((True, False), {}), ((True, True), {"verifies": True})])
def test_a_server_that_only_one_side_uses_or_that_refuses_connects_nobody(
    named: tuple[bool, bool], spec: dict[str, bool]
) -> None:
    for found in punched(("symmetric-random", "symmetric-random"), named=named, **spec):
        assert not found.connected
