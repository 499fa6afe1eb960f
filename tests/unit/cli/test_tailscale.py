"""`nattools tailscale` and `nattools lan`: options, exit codes, and what they print."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from nattools.cli.app import run
from nattools.cli.lan import lan_request
from nattools.cli.tailscale import searched, tailnet_request
from nattools.engine.measureoptions import MeasureOptions
from nattools.errors import UsageError
from nattools.model.controlurl import parse_control
from nattools.net.derp.derpmaps import DEFAULT_MAP

SAMPLES = Path(__file__).parents[2] / "vectors" / "overlays"
STATUS = str(SAMPLES / "tailscale-status.json")
CHOSEN = MeasureOptions(command="tailscale", servers=())


@pytest.mark.parametrize(
    ("text", "scheme", "authority", "folder"),
    [
        ("headscale.example", "https", "headscale.example", ""),
        ("https://h.example:8443/base/", "https", "h.example:8443", "/base"),
        ("http://11.1.0.2:8080", "http", "11.1.0.2:8080", ""),
        ("https://[2a10::2]", "https", "[2a10::2]", ""),
    ],
)
def test_control_servers_are_named_by_urls(text: str, scheme: str, authority: str, folder: str) -> None:
    found = parse_control(text)
    assert (found.scheme, found.authority, found.folder) == (scheme, authority, folder)


@pytest.mark.parametrize(
    "text",
    ["", "ftp://a", "https://", "https://u:p@a", "https://a?b", "https://a#b", "https://a:0", "https://a:x"],
)
def test_what_is_no_control_server_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_control(text)


def test_without_options_tailscales_own_servers_are_meant() -> None:
    (ask,) = searched(tailnet_request(), CHOSEN).tailnets
    assert ask.control is not None
    assert (ask.control.host, ask.map) == ("controlplane.tailscale.com", DEFAULT_MAP)


def test_the_first_of_each_belong_together(tmp_path: Path) -> None:
    own = tmp_path / "map.json"
    own.write_text("{}")
    wanted = tailnet_request(control=["a.example", "b.example"], derp_map=[str(own)], status=[STATUS])
    first, second = searched(wanted, CHOSEN).tailnets
    assert (first.name, first.map) == ("alice@example.com", str(own))
    assert first.control is not None
    assert second.control is not None
    assert (first.control.host, second.control.host) == ("a.example", "b.example")
    assert (second.name, second.map, second.status) == ("b.example", DEFAULT_MAP, None)


def test_another_programs_status_asks_nobody_of_tailscale() -> None:
    wanted = tailnet_request(status=[str(SAMPLES / "netbird-status.json")])
    (ask,) = searched(wanted, CHOSEN).tailnets
    assert (ask.name, ask.control, ask.map) == ("netbird.example", None, "")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"derp_map": ["/nowhere/map.json"]}, "no such file"),
        ({"status": ["/nowhere/status.json"]}, "cannot be read"),
        ({"status": ["-", "-"]}, "only once"),
        ({"control": ["a"] * 9}, "at most 8"),
    ],
)
def test_what_makes_no_sense_is_said(options: dict[str, list[str]], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        tailnet_request(**options)  # type: ignore[arg-type]


def test_a_file_that_is_no_status_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    file.write_bytes(b"\x1b[31m{")
    assert run(["tailscale", "--lab", "tailnet", "--status", str(file)]) == 2


def test_a_status_is_read_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Input:
        buffer = io.BytesIO(Path(STATUS).read_bytes())

    monkeypatch.setattr(sys, "stdin", Input())
    assert run(["tailscale", "--lab", "tailnet", "--status", "-", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (tailnet,) = report["tailscale"]["tailnets"]
    assert {each["name"]: each["direct"] for each in tailnet["peers"]} == {
        "bob": True,
        "carol": False,
        "dave": None,
        "exit": False,
        "erin": None,
    }
    assert report["tailscale"]["direct_with"]["symmetric random"] == "relay"


@pytest.mark.parametrize(
    ("scenario", "code"), [("tailnet", 0), ("tailnet-udp-blocked", 0), ("tailnet-proxied", 1)]
)
def test_the_exit_code_says_whether_it_works(scenario: str, code: int) -> None:
    assert run(["tailscale", "--lab", scenario, "--json"]) == code


def test_two_tailnets_on_one_machine_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tailscale", "--lab", "tailnet", "--status", STATUS, "--status", STATUS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["tailscale"]
    assert [each["kind"] for each in found["address_overlaps"]] == ["addresses", "routes"]
    assert [each["kind"] for each in found["conflicts"]] == ["port", "rules", "default-route"]
    assert "100.101.102.103, 7 in all" in found["address_overlaps"][0]["why"]
    assert "only one of them can have port 41641" in found["conflicts"][0]["why"]


@pytest.mark.parametrize(
    "text", ["bob", "224.0.0.1", "127.0.0.1", "0.0.0.0", "255.255.255.255", "10.0.0.1/24"]
)
def test_only_addresses_of_machines_are_tried(text: str) -> None:
    with pytest.raises(UsageError):
        lan_request([text])


@pytest.mark.parametrize("seconds", [0.5, 1e9, -1.0])
def test_it_is_listened_for_a_while(seconds: float) -> None:
    with pytest.raises(UsageError):
        lan_request(listen=seconds)


def test_the_local_network_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lan", "--lab", "lan-open"]) == 0
    said = capsys.readouterr().out
    assert "printer.local" in said
    assert "runs nattools lan" in said


def test_a_network_that_keeps_its_machines_apart_is_a_no() -> None:
    assert run(["lan", "10.0.1.3", "--lab", "lan-isolated", "--json"]) == 1
    assert run(["lan", "--lab", "lan-isolated", "--json"]) == 0


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("netbird-status.json", "port 51820"),
        ("zerotier-peers.json", "port 9993"),
        ("kubo-autonat.json", "port 4001"),
        ("webrtc-internals.json", "Browsers ask no router"),
    ],
)
def test_another_programs_status_is_explained_without_words_of_tailscales(
    file: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["tailscale", "--lab", "tailnet-symmetric", "--status", str(SAMPLES / file), "-v"]) == 0
    said = " ".join(capsys.readouterr().out.replace("tailnet-symmetric", "").split())
    assert says in said
    assert "3 of 9 kinds of networks" in said
    for word in ("Tailscale", "41641", "netcheck", "DERP"):
        assert word not in said
