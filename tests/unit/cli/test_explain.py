"""`nattools explain` as a person calls it."""

from __future__ import annotations

import json

import pytest

from nattools.cli.app import run

Capture = pytest.CaptureFixture[str]


def test_one_code(capsys: Capture) -> None:
    assert run(["explain", "port-per-peer"]) == 0
    out = capsys.readouterr().out
    for words in ("port-per-peer", "Means ", "Found by ", "To do ", "pfSense", "MikroTik"):
        assert words in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_routers_refusal_in_two_words(capsys: Capture) -> None:
    assert run(["explain", "UPnP", "718"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Says ConflictInMappingEntry:" in out
    assert "To do Ask for another external port, or let the router choose." in out


@pytest.mark.parametrize("copied", ["[ask-for-own-address]", r"\[ask-for-own-address\]", "`port-per-peer`,"])
def test_a_code_as_it_was_copied_from_a_page(copied: str, capsys: Capture) -> None:
    assert run(["explain", copied]) == 0
    assert copied.strip("[]\\`,") in capsys.readouterr().out


def test_a_wrong_code_is_wrong_usage_and_near_ones_are_named(capsys: Capture) -> None:
    assert run(["explain", "port-pre-peer"]) == 2
    assert "there is no code 'port-pre-peer'; did you mean port-per-peer" in capsys.readouterr().err
    assert run(["explain", "\x1b[31m"]) == 2
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "nattools explain lists them all" in err


def test_a_support_code_is_shown_the_way(capsys: Capture) -> None:
    assert run(["explain", "14Y-QCR0-008"]) == 2
    assert "nattools report show --code 14Y-QCR0-008" in capsys.readouterr().err


def test_all_of_them(capsys: Capture) -> None:
    assert run(["explain"]) == 0
    out = capsys.readouterr().out
    for words in ("THE ROUTER OPENS NO PORTS WHEN ASKED", "enable-mappings-at", "upnp-igd-718", "pcp-8"):
        assert words in out


def test_json(capsys: Capture) -> None:
    assert run(["explain", "udp-blocked", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert set(one) == {"code", "sentence", "topic", "title", "meaning", "found", "do", "products"}
    assert one["topic"] == "udp-blocked"
    assert run(["explain", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"code", "sentence", "topic"} == set(listed[0])
    assert {"udp-blocked", "nat-pmp-2"} <= {each["code"] for each in listed}


def test_the_codes_are_shown_where_they_can_be_used(capsys: Capture) -> None:
    assert run(["diagnose", "--lab", "home-router", "-v"]) == 0
    assert "[enable-mappings-at]" in capsys.readouterr().out
