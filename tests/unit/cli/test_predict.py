"""`nattools report predict`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from report_samples import home_router

from nattools.cli.app import run
from nattools.model.nat import Nat, NatByTransport
from nattools.report.savedreport import render_json

APDM = "address-and-port-dependent"
HOME = Nat(
    reachable=True,
    present=True,
    mapping="endpoint-independent",
    filtering=APDM,
    port_allocation="preserving",
    classic="port-restricted cone",
)
RANDOM = msgspec.structs.replace(HOME, mapping=APDM, port_allocation="random", classic="symmetric")
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def saved(tmp_path: Path) -> dict[str, str]:
    """Report files by name."""
    nats = {
        "home": NatByTransport(udp4=HOME),
        "random": NatByTransport(udp4=RANDOM),
        "none": NatByTransport(),
    }
    for name, nat in nats.items():
        report = msgspec.structs.replace(home_router(), nat=nat, started="\x1b[31m" + "x" * 300)
        (tmp_path / f"{name}.json").write_text(render_json(report), encoding="utf-8")
    (tmp_path / "noise.json").write_bytes(b"\x00{")
    return {name: str(tmp_path / f"{name}.json") for name in (*nats, "noise")}


def answer(capsys: Capture, *arguments: str) -> Any:
    assert run(["report", "predict", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json(saved: dict[str, str], capsys: Capture) -> None:
    found = answer(capsys, saved["home"], saved["random"])
    assert (found["path"], found["strategy"], found["transport"]) == ("direct", "birthday", "udp")
    assert found["odds"] == 0.9999
    assert "B's program" in found["privilege"]
    assert found["steps"][0]["packets"] == [2048, 320]
    assert answer(capsys, saved["random"], saved["none"])["path"] == "unknown"


def test_low_ports(saved: dict[str, str], capsys: Capture) -> None:
    both = saved["random"], saved["random"]
    assert answer(capsys, *both)["path"] == "relay"
    assert answer(capsys, *both, "--low-ports", "a")["path"] == "relay"
    assert answer(capsys, *both, "--low-ports", "both")["path"] == "direct"


@pytest.mark.parametrize("second", ["home", "random", "none"])
def test_a_page_of_80_columns(saved: dict[str, str], capsys: Capture, second: str) -> None:
    assert run(["report", "predict", saved["random"], saved[second]]) == 0
    page = capsys.readouterr().out
    assert "\x1b" not in page
    assert max(map(len, page.splitlines())) <= 80
    expected = {"home": "can connect directly", "random": "need a relay", "none": "is not known"}
    assert expected[second] in " ".join(page.split())


def test_no_report(saved: dict[str, str], capsys: Capture) -> None:
    assert run(["report", "predict", saved["home"], saved["noise"]]) == 2
    assert run(["report", "predict", saved["home"], saved["home"], "--low-ports", "c"]) == 2
    assert "must be one of a, b, both" in capsys.readouterr().err
