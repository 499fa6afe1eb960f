"""PyNaCl is an extra: without it a scenario with a DERP server is measured all the same, but for relaying."""

from __future__ import annotations

import json

import pytest

from nattools.cli.app import run


def test_what_takes_keys_is_left_open_and_how_to_settle_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nattools.protocols.derp.derpkeys.find_spec", lambda name: None)
    assert run(["tailscale", "--lab", "tailnet", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    gaps = [each for each in report["observations"] if "PyNaCl" in str(each.get("reason"))]
    assert [each["question"] for each in gaps] == ["Does the home region of control relay?"]
    assert gaps[0]["settle"].endswith(" pynacl")
    assert report["tailscale"]["tailnets"][0]["home_region"] == "near"
