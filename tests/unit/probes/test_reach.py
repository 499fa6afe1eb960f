"""Which servers answer: refusals are believed once repeated, and other usual ports are tried."""

from __future__ import annotations

import asyncio

import pytest
from simulated import STUN, STUN_OTHER, behind_nat, run

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import CompletedRun, new_run, observe
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.observation import Binding, Connection
from nattools.model.serveruri import parse_server
from nattools.probes.reach import first_address
from nattools.probes.target import Target


def observed(uri: str) -> CompletedRun:
    """What alice finds out with this server."""
    with SimLab(behind_nat()) as lab:
        options = MeasureOptions("nat", (parse_server(uri),), families=(4,))
        return lab.run(lambda: observe(new_run(lab.network("alice"), options, lambda event: None)))


def test_a_server_named_with_a_wrong_port_is_found_at_the_usual_one() -> None:
    ran = observed("stun:11.201.0.2:9").run
    bindings = [seen for seen in ran.recorder.observations if isinstance(seen, Binding)]
    (refused,) = [seen for seen in bindings if seen.purpose == "reach" and seen.transport == "udp"]
    assert refused.outcome == "refused"
    assert refused.sent == 3  # the first refusals may be left over from a server that has just come up
    assert [str(target.endpoint) for target in ran.reached] == ["11.201.0.2:3478"]
    connections = {seen.remote for seen in ran.recorder.observations if isinstance(seen, Connection)}
    assert {f"11.201.0.2:{port}" for port in (9, 3478, 443, 53)} <= connections


def test_where_nobody_answers_everything_that_was_tried_is_on_record() -> None:
    ran = observed("stun:11.201.0.77").run
    assert ran.reached == []
    tried = {(seen.asked, seen.outcome) for seen in ran.recorder.observations if isinstance(seen, Binding)}
    assert ("11.201.0.77:3478", "timeout") in tried or ("11.201.0.77:3478", "unreachable") in tried
    assert {asked for asked, _ in tried} == {f"11.201.0.77:{port}" for port in (3478, 443, 53)}


def test_a_server_for_one_transport_is_not_asked_over_the_other() -> None:
    ran = observed("turn:11.201.0.2?transport=tcp").run
    assert {target.transport for target in ran.reached} == {"tcp"}


@pytest.mark.parametrize("up", [True, False])
def test_the_next_address_of_a_server_that_is_up_is_asked_later(up: bool) -> None:
    """A second connection would take a port of the NAT in the midst of those that are looked at."""
    asked: list[tuple[float, Endpoint]] = []

    async def main(lab: SimLab) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def ask(at: Endpoint) -> Target | None:
            asked.append((round(loop.time() - began, 3), at))
            await asyncio.sleep(5.0)
            return None

        assert await first_address([STUN, STUN_OTHER], ask, lambda at: up and at == STUN) is None

    run(behind_nat(), main)
    assert asked == [(0.0, STUN), (1.2 if up else 0.2, STUN_OTHER)]
