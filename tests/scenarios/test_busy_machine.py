"""A machine that has no time for its sockets for a moment: answers that are late are not lost, and a silence
that counted still does."""

from __future__ import annotations

import asyncio

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.model.observation import Binding
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.probes.question import StunClient
from nattools.trials.scenarios import no_progress

HOME = Scenario(
    title="home",
    nat={"home": NatSpec()},
    host={"alice": HostSpec(behind="home", delay_ms=20)},
    server={"stun": ServerSpec()},
)


def measured(monkeypatch: pytest.MonkeyPatch, since: float, until: float) -> Report:
    """Alice's network; what arrives meanwhile is seen at the end of that."""
    at_once = StunClient._datagram

    def late(client: StunClient, data: bytes, source: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        if since <= loop.time() < until:
            loop.call_at(until, at_once, client, data, source)
        else:
            at_once(client, data, source)

    monkeypatch.setattr(StunClient, "_datagram", late)
    with SimLab(HOME) as lab:
        servers = tuple(parse_server(uri) for uri in lab.server_uris())
        chosen = MeasureOptions(command="nat", servers=servers, families=(4,))
        return lab.run(lambda: measure(lab.network("alice"), chosen, no_progress))


@pytest.mark.parametrize("since", [0.0, 0.04, 0.06, 0.08, 0.1, 0.14, 0.2, 0.3])
@pytest.mark.parametrize("seconds", [0.08, 0.1, 0.25])
def test_late_is_not_lost(monkeypatch: pytest.MonkeyPatch, since: float, seconds: float) -> None:
    report = measured(monkeypatch, since, since + seconds)
    nat = report.nat.udp4
    assert nat is not None
    assert nat.filtering == "address-and-port-dependent"
    assert nat.mapping == "endpoint-independent"


def test_copies_that_may_still_be_answered_are_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    report = measured(monkeypatch, 0.08, 0.23)
    asked = [seen for seen in report.observations if isinstance(seen, Binding) and seen.purpose == "mapping"]
    again = [seen for seen in asked if seen.sent > 1]
    assert again
    assert all(seen.received + seen.pending == seen.sent for seen in again)
