"""Somebody who answers in the place of others."""

from __future__ import annotations

import asyncio

import pytest

from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.run import measure
from nattools.errors import CannotRun
from nattools.lab.nat import portalpage
from nattools.lab.scenariofiles import load, parse
from nattools.lab.sim.simlab import SimLab
from nattools.model.observation import Portal
from nattools.model.report import Report
from nattools.model.serveruri import parse_server
from nattools.net.base import TcpStream
from nattools.probes.portalcheck import PATIENCE_S, find_portal
from nattools.trials.pairs import PairOptions, connect_pair

LOGIN = "http://login.portal.test/"
PAIR = """
title = "t"
[nat.hotel]
portal = "connections"
[nat.home]
[host.alice]
behind = "hotel"
[host.bob]
behind = "home"
"""


def asked(name: str, host: str, *servers: str) -> Portal | None:
    with SimLab(load(name)) as lab:
        return lab.run(lambda: find_portal(lab.network(host), (4, 6), servers))


def test_who_answers_for_nobody_is_a_portal() -> None:
    found = asked("captive-portal", "alice", "11.201.0.2")
    assert found == Portal(probe="portal", asked="192.0.2.1:80", status=302, location=LOGIN)


@pytest.mark.parametrize("name", ["home-router", "udp-blocked", "only-443", "open", "nat64"])
def test_other_networks_have_none(name: str) -> None:
    assert asked(name, "alice", "11.201.0.2") is None


def answered(said: bytes) -> Portal | None:
    """By a machine at a private address, which a name led to, over HTTP."""

    async def serve(stream: TcpStream) -> None:
        await stream.read()
        stream.write(said)
        stream.end()

    with SimLab(parse('title = "t"\n[nat.home]\n[host.alice]\nbehind = "home"\n', "t.toml")) as lab:

        async def work() -> Portal | None:
            async with asyncio.TaskGroup() as group:
                router = lab.network("home")
                listener = await router.listen_tcp(
                    family=4, host="10.0.1.1", port=80, on_stream=lambda s: group.create_task(serve(s))
                )
                found = await find_portal(lab.network("alice"), (4,), ["10.0.1.1", "11.201.0.2"])
                listener.close()
            return found

        return lab.run(work)


def test_a_private_address_with_a_web_page_is_where_names_led() -> None:
    found = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    assert found == Portal(probe="portal", asked="10.0.1.1:80", status=200)


@pytest.mark.parametrize(
    "said",
    [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\xff" * 70_000, b"HTTP/1.1 302 F\r\nLocation: "],
)
def test_what_is_no_web_page_is_no_portal(said: bytes) -> None:
    assert answered(said) is None


@pytest.mark.parametrize("where", ["javascript:alert(1)", "/login", "", "ftp://x"])
def test_only_a_web_address_is_passed_on(where: str) -> None:
    found = answered(f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())
    assert found is not None
    assert found.location is None


def test_one_that_says_nothing_takes_little_time() -> None:
    with SimLab(parse('title = "t"\n[nat.home]\n[host.alice]\nbehind = "home"\n', "t.toml")) as lab:

        async def work() -> float:
            loop = asyncio.get_running_loop()
            began = loop.time()
            listener = await lab.network("home").listen_tcp(
                family=4, host="10.0.1.1", port=80, on_stream=lambda stream: None
            )
            assert await find_portal(lab.network("alice"), (4,), ["10.0.1.1"]) is None
            listener.close()
            return loop.time() - began

        assert lab.run(work) <= PATIENCE_S + 0.1


def test_a_punch_says_so_too() -> None:
    with SimLab(parse(PAIR, "t.toml")) as lab, pytest.raises(CannotRun, match="captive portal") as caught:
        lab.run(lambda: connect_pair(lab, "alice", "bob", PairOptions()))
    assert LOGIN in caught.value.remedy


def test_a_server_that_sees_this_machine_within_its_network_is_believed_unless_nobody_answers_too() -> None:
    """As in a company whose server has a public address and is reached without any NAT."""
    drawn = 'title = "t"\n[nat.office]\n[host.alice]\nbehind = "office"\n[server.stun]\nsays = "10.0.1.2"\n'
    with SimLab(parse(drawn, "t.toml")) as lab:
        options = MeasureOptions("nat", tuple(parse_server(uri) for uri in lab.server_uris()))
        report = lab.run(lambda: measure(lab.network("alice"), options, lambda event: None))
    assert [server.answered for server in report.servers] == [True]
    assert not any(isinstance(seen, Portal) for seen in report.observations)


def test_a_punch_behind_a_portal_that_answers_stun_says_so() -> None:
    scenario = parse(PAIR.replace('"connections"', '"stun"'), "t.toml")
    with SimLab(scenario) as lab, pytest.raises(CannotRun, match="captive portal"):
        lab.run(lambda: connect_pair(lab, "alice", "bob", PairOptions()))


TCP_ALONE = """
title = "t"
[nat.hotel]
portal = "tcp"
[host.alice]
behind = "hotel"
"""


def beside_udp(monkeypatch: pytest.MonkeyPatch, said: bytes | None = None, drawn: str = TCP_ALONE) -> Report:
    """Where something takes TCP, and answers a web browser with `said` (None: with a portal's page)."""
    if said is not None:
        monkeypatch.setattr(portalpage, "_GET", said)
    with SimLab(parse(drawn, "t.toml")) as lab:
        options = MeasureOptions("nat", tuple(parse_server(uri) for uri in lab.server_uris()))
        return lab.run(lambda: measure(lab.network("alice"), options, lambda event: None))


def test_one_that_takes_tcp_alone_is_named_beside_what_udp_showed(monkeypatch: pytest.MonkeyPatch) -> None:
    report = beside_udp(monkeypatch)
    (met,) = [seen for seen in report.observations if isinstance(seen, Portal)]
    assert (met.udp_passes, met.location) == (True, LOGIN)
    assert report.nat.udp4 is not None
    assert (report.nat.udp4.reachable, report.nat.udp4.external) == (True, ("11.1.0.2",))
    assert report.nat.tcp4 is not None
    assert report.nat.tcp4.reachable is False


@pytest.mark.parametrize("status", ["503 Service Unavailable", "400 Bad Request", "403 Forbidden"])
def test_a_proxy_with_an_error_to_tell_is_no_portal(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    report = beside_udp(monkeypatch, f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
    assert not any(isinstance(seen, Portal) for seen in report.observations)
    assert report.nat.udp4 is not None
    assert report.nat.udp4.reachable is True


def test_where_servers_answer_over_tcp_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nattools.probes.portalcheck.find_portal", None)
    report = beside_udp(monkeypatch, drawn=TCP_ALONE.replace('portal = "tcp"', ""))
    assert report.nat.tcp4 is not None
    assert report.nat.tcp4.reachable is True
