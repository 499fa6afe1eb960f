"""Redacted reports: nothing of whoever sent them is left, in whatever field it stood."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec
import pytest
from msgspec import inspect
from msgspec.structs import replace
from plantedsecrets import filled
from report_samples import home_router

from nattools.model.lan import Lan, LanNeighbour
from nattools.model.libp2p import Libp2p
from nattools.model.report import Report, Server
from nattools.model.statement import statement
from nattools.model.tailnetseen import TailnetAsked
from nattools.model.tailscale import Tailnet, TailnetClash, TailnetPeer, Tailscale
from nattools.report.redaction import Redaction, redacted
from nattools.report.redaction.knownwords import is_known
from nattools.report.savedreport import render_json
from nattools.wording.sentences import sentence

RANDOM = random.Random(14)


def secrets() -> Iterator[str]:
    """Texts that tell who somebody is, as they stand in reports; no two the same."""
    number = 0
    while True:
        number += 1
        low, high = number % 250 + 1, number // 250 + 1
        token = "".join(RANDOM.choice("bcdfghjkmnpqrtvwxz23456789") for _ in range(14))
        yield from (
            f"84.17.{high}.{low}",
            f"84.18.{high}.{low}:{20000 + number}",
            f"2a02:8071:{number:x}:1::{number:x}",
            f"[2a02:8072:{number:x}::1]:{20000 + number}",
            f"zyx{number}-laptop",
            f"stun:zyx{number}.kowalski{number}.org:3478",
            f"{number % 256:02x}:1b:44:11:{number // 256:02x}:b7",
            f"https://zyx{number}.kowalski{number}.org/{token}?key={token}zz",
            f"Zyxa{number}'s Kowalskibox {token}",
            f"http://84.19.{high}.{low}:5000/{token}.xml",
            f"zyx{number}@kowalski{number}.org said 84.20.{high}.{low}, or 2a02:8073::{number:x}/64.",
            f"192.168.{high}.{low}",
            f"fe80::21b:44ff:fe11:{number:x}%zyxeth{number}",
            token,
        )


def planted_report() -> tuple[Report, list[str]]:
    """A report with a secret in each text of each type, and those secrets."""
    planted: list[str] = []
    plain = filled(inspect.type_info(Report), secrets(), planted)
    return msgspec.convert(plain, Report), planted


def parts_of(secret: str) -> set[str]:
    """What must not be found of a secret: its addresses, names and tokens."""
    found = set()
    for piece in secret.replace("/64.", " ").replace("[", " ").replace("]", " ").split():
        for part in piece.replace("@", "/").replace("?key=", "/").split("/"):
            host = part.rpartition(":")[0] if part.count(":") == 1 else part
            found |= {one.strip(",.'") for one in host.removeprefix("stun:").replace("%", " ").split()}
    known = {"http:", "https:", "http", "https", "stun", "said", "or", ""}
    return {part for part in found if len(part) > 3 and part.lower() not in known}


@pytest.mark.parametrize("wanted", [Redaction(), Redaction(salt="grains of it"), Redaction(ports=True)])
def test_no_secret_is_left_in_any_field_of_any_type(wanted: Redaction) -> None:
    report, planted = planted_report()
    assert len(planted) >= 200
    before, after = render_json(report), render_json(redacted(report, wanted))
    for secret in planted:
        for part in parts_of(secret):
            assert part in before
            assert part.lower() not in after.lower(), secret


def test_the_secrets_are_found_where_nothing_is_redacted() -> None:
    report, planted = planted_report()
    assert sum(part in render_json(report) for secret in planted for part in parts_of(secret)) > len(planted)


def test_private_addresses_stay_where_they_are_wanted() -> None:
    report = home_router()
    kept = redacted(report, Redaction(keep=frozenset({"private"})))
    assert kept.host.interfaces == report.host.interfaces
    assert redacted(report, Redaction()).host.interfaces != report.host.interfaces


def test_with_the_same_salt_two_reports_agree() -> None:
    report = home_router()
    longer = msgspec.structs.replace(report, servers=(*report.servers[::-1], *report.servers))
    one, other = (redacted(each, Redaction(salt="x")) for each in (report, longer))
    assert one.nat == other.nat
    assert one.observations == other.observations
    assert one.observations != redacted(report, Redaction(salt="y")).observations


def test_networks_hosts_and_families_stay_apart_and_together() -> None:
    texts = (
        "84.17.1.1 84.17.1.2 84.17.2.1 100.64.3.4 100.64.3.5 172.17.0.3 169.254.1.9 127.0.0.1 "
        "2a02:8071:1:2::1 2a02:8071:1:2::2 2a02:8071:1:3::1 fd12:3456:789a::1 fe80::1 ::1 "
        "64:ff9b::84.17.1.1 2002:5411:101::1 ::ffff:84.17.1.1 84.17.1.0/24"
    )
    report = msgspec.structs.replace(home_router(), warnings=(texts,), notices=())
    (line,) = redacted(report, Redaction()).warnings
    a, b, c, d, e, docker, local, loop, f, g, h, ula, link, one, nat64, old, mapped, network = line.split()
    assert [each.rpartition(".")[0] for each in (a, b)] == [network.partition(".0/24")[0]] * 2
    assert a != b
    assert c.rpartition(".")[0] != a.rpartition(".")[0]
    assert {each.split(".")[0] for each in (a, b, c)} == {"11"}
    assert d.startswith("100.")
    assert e.rpartition(".")[0] == d.rpartition(".")[0]
    assert docker.startswith("172.17.")
    assert local.startswith("169.254.")
    assert (loop, one) == ("127.0.0.1", "::1")
    assert f.startswith("2a10:")
    assert f.rpartition("::")[0] == g.rpartition("::")[0] != h.rpartition("::")[0]
    assert ula.startswith("fd")
    assert link.startswith("fe80::")
    assert nat64.startswith("64:ff9b::")
    assert old.startswith("2002:b")  # 11.x in hexadecimal digits
    assert mapped == f"::ffff:{a}"


def warned(text: str, wanted: Redaction) -> str:
    """What becomes of a text in a report."""
    report = msgspec.structs.replace(home_router(), warnings=(text,), notices=())
    return redacted(report, wanted).warnings[0]


@pytest.mark.parametrize("wanted", [Redaction(), Redaction(salt="grains")])
@pytest.mark.parametrize(
    "text",
    [
        "fe80::5 fe80::2 fe80::1",
        "fd12:1::7 fd00::1 fd00:0:1::/64",
        "zyx.org name-2.example name-1.example, zyx Name-1.",
        "zyx. name-1. name-2. name-3.",
        "1c:1b:44:11:00:01 02:00:00:00:00:01 02-00-00-00-00-00",
        "fe80::a00:27ff:fe12:3456 fe80::200:ff:fe00:1 fe80::200:ff:fe00:0",
    ],
)
def test_no_pseudonym_is_the_name_of_another_one(text: str, wanted: Redaction) -> None:
    once = warned(text, wanted)
    for one in (once, warned(once, wanted)):
        assert len({word.lower() for word in one.split()}) == len(text.split())
    assert not {word.strip(".,") for word in once.lower().split()} & {
        word.strip(".,") for word in text.lower().split()
    }


def test_an_address_before_a_colon_is_the_same_address() -> None:
    text = "2a02:8071:1:2::5 2a02:8071:1:2::5: no route, 2a02:8071:1:2::"
    bare, told, network = warned(text, Redaction()).split(" ", 2)
    assert told == f"{bare}:"
    assert network == f"no route, {bare.rpartition(':')[0]}:"


@pytest.mark.parametrize("wanted", [Redaction(), Redaction(salt="grains")])
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("MAC:00:11:22:33:44:55", "22:33"),
        ("host:2a02:8109:1234:5678::5", "1234:5678"),
        ("fd12:3456:789a::/64 fd12:3456:789a::/96", "3456:789a"),
        ("fd12:3456:789a::/96 fd12:3456:789a::102:304", "3456:789a"),
        ("2002:5411:101::/48", "5411"),
        ("64:ff9b:1:abcd::5411:101", "5411"),
        ("\N{OCTOPUS}\N{SQUID} at home", "\N{SQUID}"),
    ],
)
def test_a_secret_is_found_whatever_stands_around_it(text: str, secret: str, wanted: Redaction) -> None:
    assert secret not in warned(text, wanted)


def test_what_nattools_says_itself_stays() -> None:
    report = home_router()
    after = redacted(report, Redaction())
    assert [each.verdict for each in after.techniques] == [each.verdict for each in report.techniques]
    punching = next(each for each in after.techniques if each.id == "udp-punch")
    assert punching.summary.startswith("Your NAT gives one port to everybody (11.")
    assert after.tool == report.tool
    assert after.started == report.started


def test_a_port_that_stands_alone_is_the_same_port() -> None:
    said = warned("It gave 10.0.0.7:54105, and lists :54105", Redaction(ports=True))
    given, listed = (part.rstrip(",").rpartition(":")[2] for part in said.split() if ":" in part)
    assert given == listed != "54105"
    assert warned("it lists :54105", Redaction()) == "it lists :54105"


def test_ports_of_servers_stay_and_others_stay_apart() -> None:
    ports = [443, 3478, 3479, 4096, 20000, 65535]
    text = " ".join(f"10.0.0.7:{port}" for port in ports)
    for salt in "abcdefgh":
        said = warned(text, Redaction(salt=salt, ports=True))
        changed = [int(each.rpartition(":")[2]) for each in said.split()]
        assert changed[:3] == ports[:3]
        assert len(set(changed)) == len(ports)
        assert not set(changed[3:]) & set(ports[3:])


def test_a_network_at_the_end_of_a_sentence_is_that_network() -> None:
    said = warned("A route to 203.0.113.0/24, and one to 203.0.113.0/24.", Redaction())
    first, last = (part for part in said.rstrip(".").split() if "/" in part)
    assert first.rstrip(",") == last
    assert last.endswith(".0/24")


def test_a_server_that_is_called_as_a_value_of_a_sentence_changes_no_sentence() -> None:
    said = statement("dcutr-possible", over="udp", direct=5, kinds=9)
    server = Server(uri="stun:over:3478", address="84.17.1.1:3478", answered=True)
    report = replace(home_router(), servers=(server,), libp2p=Libp2p(reason=(said,)))
    found = redacted(report, Redaction())
    assert found.libp2p is not None
    assert found.libp2p.reason == (said,)
    assert found.libp2p.why == sentence(said)
    assert "over" not in found.servers[0].uri


def test_machines_whose_names_are_words_of_the_program_have_pseudonyms() -> None:
    peers = tuple(TailnetPeer(name=name, direct=None) for name in ("Mark", "will", "Max Pi"))
    neighbours = (LanNeighbour(address="10.0.1.9", name="max"),)
    report = replace(
        home_router(),
        tailscale=Tailscale(tailnets=(Tailnet(name="a tailnet", peers=peers),)),
        lan=Lan(neighbours=neighbours),
    )
    known = {"Mark", "will", "Max Pi", "max"}
    assert all(is_known(word) for name in known for word in name.split())
    found = redacted(report, Redaction())
    assert found.tailscale is not None
    assert found.lan is not None
    (tailnet,) = found.tailscale.tailnets
    names = {*(each.name for each in tailnet.peers), found.lan.neighbours[0].name}
    assert len(names) == 4
    assert not known & names
    assert [each.verdict for each in found.techniques] == [each.verdict for each in report.techniques]


def test_such_a_name_has_its_pseudonym_in_sentences_and_of_networks_too() -> None:
    ping, mine = statement("ping-peer", name="Mark"), statement("client-exit-away", name="will")
    why = statement("default-route-of", owner="work", others=("Tailscale", "work"))
    clash = TailnetClash(kind="default-route", tailnets=("work", "Tailscale"), reason=(why,))
    peers = tuple(TailnetPeer(name=name, direct=None) for name in ("Mark", "will"))
    tailnets = (
        Tailnet(name="work", peers=peers, reason=(mine,), remedy=(ping,)),
        Tailnet(name="Tailscale"),
        Tailnet(name="tailnet 3"),
        Tailnet(name="WebRTC", program="webrtc"),
    )
    asked = TailnetAsked(id=1, at_s=0.0, number=1, name="work")
    report = replace(
        home_router(),
        observations=(asked,),
        tailscale=Tailscale(tailnets=tailnets, conflicts=(clash,)),
    )
    found = redacted(report, Redaction())
    assert found.tailscale is not None
    first, *unnamed = found.tailscale.tailnets
    mark, will = (each.name for each in first.peers)
    assert not {"work", "Mark", "will"} & {first.name, mark, will}
    assert (first.reason[0].values["name"], first.remedy[0].values["name"]) == (will, mark)
    assert f"ping {mark}" in first.advice
    assert [each.name for each in unnamed] == ["Tailscale", "tailnet 3", "WebRTC"]
    (said,) = found.tailscale.conflicts
    assert said.tailnets == (first.name, "Tailscale")
    assert said.reason == (statement("default-route-of", owner=first.name, others=("Tailscale", first.name)),)
    (seen,) = found.observations
    assert isinstance(seen, TailnetAsked)
    assert seen.name == first.name
