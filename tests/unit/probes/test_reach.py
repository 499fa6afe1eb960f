"""Which servers answer: refusals are believed once repeated, and other usual ports are tried."""

from __future__ import annotations

from simulated import behind_nat

from nattools.engine.options import MeasureOptions
from nattools.engine.run import CompletedRun, new_run, observe
from nattools.lab.sim.simlab import SimLab
from nattools.model.observation import Binding, Connection
from nattools.model.serveruri import parse_server


def observed(uri: str) -> CompletedRun:
    """What alice finds out with this server."""
    with SimLab(behind_nat()) as lab:
        options = MeasureOptions("nat", (parse_server(uri),), families=(4,))
        return lab.run(lambda: observe(new_run(lab.network("alice"), options, lambda event: None)))


def test_a_server_named_with_a_wrong_port_is_found_at_the_usual_one() -> None:
    run = observed("stun:11.201.0.2:9").run
    bindings = [seen for seen in run.recorder.observations if isinstance(seen, Binding)]
    (refused,) = [seen for seen in bindings if seen.purpose == "reach" and seen.transport == "udp"]
    assert refused.outcome == "refused"
    assert refused.sent == 3  # the first refusals may be left over from a server that has just come up
    assert [str(target.endpoint) for target in run.reached] == ["11.201.0.2:3478"]
    connections = {seen.remote for seen in run.recorder.observations if isinstance(seen, Connection)}
    assert {f"11.201.0.2:{port}" for port in (9, 3478, 443, 53)} <= connections


def test_where_nobody_answers_everything_that_was_tried_is_on_record() -> None:
    run = observed("stun:11.201.0.77").run
    assert run.reached == []
    tried = {(seen.asked, seen.outcome) for seen in run.recorder.observations if isinstance(seen, Binding)}
    assert ("11.201.0.77:3478", "timeout") in tried or ("11.201.0.77:3478", "unreachable") in tried
    assert {asked for asked, _ in tried} == {f"11.201.0.77:{port}" for port in (3478, 443, 53)}


def test_a_server_for_one_transport_is_not_asked_over_the_other() -> None:
    run = observed("turn:11.201.0.2?transport=tcp").run
    assert {target.transport for target in run.reached} == {"tcp"}
