"""`nattools relay`: options, exit codes, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nattools.cli.app import run
from nattools.cli.options.defaultrelays import default_relays
from nattools.cli.options.sharedoptions import Servers
from nattools.cli.relay import relay_request, searched
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.relaymeasurement import turn_asks
from nattools.engine.relaysearch import RelaySearch
from nattools.errors import UsageError
from nattools.model.serveruri import parse_server
from nattools.protocols.turn.credentials import LongTermCredentials


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NATTOOLS_TURN_USER", "NATTOOLS_TURN_SECRET", "NATTOOLS_SERVER"):
        monkeypatch.delenv(name, raising=False)


def chosen(*servers: str, public: bool = False) -> MeasureOptions:
    uris = tuple(map(parse_server, servers))
    return MeasureOptions(command="relay", servers=uris, default_servers=public)


def test_relays_are_named_by_uris() -> None:
    wanted = relay_request(["turn:a", "turns:b:443", "derp://c", "derp://d:3340", "e:3479", "turn:a"])
    assert [each.text for each in wanted.search.turn] == ["turn:a", "turns:b:443", "e:3479"]
    assert [(each.host, each.port, each.tls) for each in wanted.search.derp] == [
        ("c", 443, True),
        ("d", 3340, False),
    ]
    assert wanted.named


@pytest.mark.parametrize(
    ("uris", "options", "says"),
    [
        (["stuns:a"], {}, "turns:HOST"),
        (["turns:a?transport=udp"], {}, "DTLS"),
        (["derp://turn:a"], {}, "derp://HOST"),
        (["turn:a"], {"count": 0}, "--count 0"),
        (["turn:a"], {"turn_user": "alice"}, "NAME:PASSWORD"),
        (["turn:a"], {"turn_user": "a:b", "turn_secret": "c"}, "give one of them"),
        ([], {"derp_map": ["/nowhere/map.json"]}, "no such file"),
    ],
)
def test_what_makes_no_sense_is_said(uris: list[str], options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        relay_request(uris, **options)  # type: ignore[arg-type]


def test_a_password_may_have_colons_and_so_has_a_time_limited_name() -> None:
    def user(text: str) -> LongTermCredentials | None:
        return relay_request(["turn:a"], turn_user=text).search.user

    assert user("alice:in:wonderland") == LongTermCredentials("alice", "in:wonderland")
    assert user("1700000000:alice:aGVsbG8=") == LongTermCredentials("1700000000:alice", "aGVsbG8=")


def test_the_environment_has_credentials_unless_the_command_line_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NATTOOLS_TURN_USER", "alice:wonderland")
    assert relay_request(["turn:a"]).search.user == LongTermCredentials("alice", "wonderland")
    given = relay_request(["turn:a"], turn_secret="secret").search
    assert (given.user, given.secret) == (None, "secret")
    assert default_relays(Servers((parse_server("turn:a"),))).user == LongTermCredentials(
        "alice", "wonderland"
    )


def test_a_secret_makes_time_limited_credentials() -> None:
    (ask,) = turn_asks([parse_server("turns:a")], RelaySearch(secret="secret"))
    assert ask.credentials is not None
    expiry, _, name = ask.credentials.username.partition(":")
    assert expiry.isdigit()
    assert name == "nattools"
    assert ask.over == "tls"


def test_by_which_transports_each_is_tried() -> None:
    uris = ("turn:a", "turn:a?transport=udp", "turn:a?transport=tcp", "turns:a", "a")
    asks = turn_asks(map(parse_server, uris), RelaySearch())
    assert [ask.over for ask in asks] == ["udp", "tcp", "udp", "tcp", "tls", "udp", "tcp"]


@pytest.mark.parametrize(("public", "no_derp"), [(True, False), (True, True), (False, False)])
def test_a_diagnosis_asks_for_the_public_map_only_beside_public_servers(public: bool, no_derp: bool) -> None:
    servers = Servers((parse_server("a"),), public)
    assert default_relays(servers, no_derp=no_derp).public_map == (public and not no_derp)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("turn:", "there is no host"),
        ("turns:a?transport=udp", "DTLS"),
        ("derp:a", "is not a relay: write"),
        ("derp://", "is written derp://HOST"),
        ("derp://a:b", "is written derp://HOST"),
        ("https://a", "is not a relay: write"),
        ("", "is not a relay: write"),
        ("stuns:a", "is written turns:HOST"),
    ],
)
def test_what_is_no_relay_is_refused_with_the_right_form(uri: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        relay_request([uri])


def test_a_relay_is_tried_once_however_it_is_spelled() -> None:
    found = relay_request(["turn:a", "turn:a:3478", "TURN:a", "turns:a", "turn:a?transport=udp"]).search
    assert [each.text for each in found.turn] == ["turn:a", "turns:a", "turn:a?transport=udp"]


def test_without_arguments_the_configured_servers_and_the_public_map() -> None:
    found = searched(relay_request(), chosen("a", "turn:b"), named=False)
    assert [each.text for each in found.turn] == ["a", "turn:b"]
    assert found.public_map
    alone = searched(relay_request(no_derp=True), chosen("a"), named=False)
    assert not alone.public_map


def test_what_is_named_is_all_that_is_tried(tmp_path: Path) -> None:
    found = searched(relay_request(["turn:b"]), chosen("a"), named=False)
    assert [each.text for each in found.turn] == ["turn:b"]
    assert not found.public_map
    both = searched(relay_request(["turn:b"]), chosen("a"), named=True)
    assert [each.text for each in both.turn] == ["turn:b", "a"]
    file = tmp_path / "map.json"
    file.write_text("{}")
    mapped = searched(relay_request(derp_map=[str(file)]), chosen("a"), named=False)
    assert (mapped.turn, mapped.maps, mapped.public_map) == ((), (str(file),), False)


def test_public_stun_servers_are_no_relays() -> None:
    with pytest.raises(UsageError, match="no relay is named"):
        searched(relay_request(no_derp=True), chosen("stun:public", public=True), named=False)


def test_exit_code_and_json_say_whether_one_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["relay", "--lab", "relay-near", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    best = report["relays"][0]
    assert (best["kind"], best["rank"], best["works"], best["error"]) == ("turn", 1, True, None)
    assert set(best["rtt_ms"]) == {"min", "median", "p95"}
    assert [each["id"] for each in report["techniques"]] == ["relay-turn", "relay-derp"]
    assert run(["relay", "--lab", "relay-drops"]) == 1
    text = capsys.readouterr().out
    assert "The relay does not work here." in text
    assert "relays nothing" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_region_that_no_map_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "map.json"
    regions = {
        "901": {"RegionID": 901, "RegionCode": "here", "Nodes": [{"HostName": "x", "IPv4": "11.9.9.9"}]}
    }
    file.write_text(json.dumps({"Regions": regions}))
    arguments = ["relay", "--lab", "home-router", "--derp-map", str(file), "--region", "there"]
    assert run(arguments) == 2
    assert "there are here" in capsys.readouterr().err
    assert run([*arguments[:3], "--region", "there"]) == 2
    assert "no DERP map to choose from" in " ".join(capsys.readouterr().err.split())
