"""Behind each NAT that the kernel can be, coturn as the server leads to the same findings as our own does."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from certificates import HOST, certificate
from leftopen import LeftOpenError
from msgspec.structs import replace
from scenariotrials import left_open
from stunclients import KINDS

from nattools.engine.run import measure
from nattools.lab import expect
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.netns.processes import await_listener, coturn_command
from nattools.lab.scenario import Scenario, ServerSpec
from nattools.lab.scenariofiles import load
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.trials.scenarios import expectations, measure_options, no_progress

pytestmark = [pytest.mark.netns, pytest.mark.again, pytest.mark.interop("turnserver")]
_COTURN = ServerSpec(kind="rfc5780", program="coturn")


def with_coturn(scenario: Scenario) -> Scenario:
    return msgspec.structs.replace(scenario, server={"stun": _COTURN})


def measured(scenario: Scenario, **options: bool | float) -> Report:
    """What `nattools diagnose` finds from alice."""
    with NetnsLab(scenario) as lab:
        chosen = replace(measure_options(lab, "alice"), **options)
        return lab.run(lambda: measure(lab.network("alice"), chosen, no_progress))


def differences(found: Report, expected: Any) -> list[str]:
    """What is not as expected; LeftOpenError: no more than that something is not known."""
    wrong = expect.check(found, expected)
    if wrong and all(map(left_open, wrong)):
        raise LeftOpenError(wrong)
    return wrong


@pytest.mark.parametrize("kind", KINDS)
def test_the_findings_are_those_with_nattools_serve(kind: str) -> None:
    scenario = load(kind)
    expected = expectations(scenario, "alice")
    assert "filtering" in expected["nat"]["tcp4"] or kind == "udp-blocked"
    # coturn connects to nobody, so who may connect in stays open, and so does whether two may at once; it
    # dials nobody back either, which is how the one who drops is found
    expected["nat"]["udp4"].pop("dropped_at", None)
    expected["nat"]["tcp4"]["filtering"] = "unknown"
    expected["technique"]["tcp-punch"] = "unknown"
    assert differences(measured(with_coturn(scenario)), expected) == []


def test_it_answers_to_another_port_so_a_mappings_lifetime_can_be_measured() -> None:
    scenario = load("kernel-masquerade")
    nat = {"home": msgspec.structs.replace(scenario.nat["home"], lifetime_s=4.0)}
    short = with_coturn(msgspec.structs.replace(scenario, nat=nat))
    found = measured(short, lifetime=True, max_lifetime_s=6.0)
    bounds = {"binding_lifetime_bounds_s": {"contains": 4.0}}
    assert differences(found, {"nat": {"udp4": bounds}}) == []


def test_within_tls_it_tells_the_same_as_over_tcp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", cert)
    scenario = load("kernel-masquerade")
    command = [
        *coturn_command(_COTURN, (HOST,)),
        "--cert",
        cert,
        "--pkey",
        key,
        "--tls-listening-port",
        "5349",
    ]
    command.remove("--no-tls")
    command[command.index("--listening-port") + 1] = "3490"
    with NetnsLab(scenario) as lab:
        coturn = lab.popen("stun", command, stdout=subprocess.DEVNULL)
        await_listener(coturn, 5349, 60.0, ("tcp",))
        options = replace(measure_options(lab, "alice"), servers=(parse_server(f"stuns:{HOST}"),))
        report = lab.run(lambda: measure(lab.network("alice"), options, no_progress))
    assert [server.answered for server in report.servers] == [True], report.servers
    tcp = report.nat.tcp4
    assert tcp is not None
    assert (tcp.present, tcp.external, tcp.reachable) == (True, ("11.1.0.2",), True)
