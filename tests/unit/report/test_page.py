"""The page of a diagnosis: one screen, whatever was found."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace
from report_samples import home_router, port_restricted

from nattools.model.host import Host
from nattools.model.lan import Lan, LanNeighbour
from nattools.model.nat import Nat, NatByTransport, PeerKind
from nattools.model.portmapping import PortMapping
from nattools.model.report import Report, Technique
from nattools.model.statement import statement
from nattools.report.sections.games import game_names, what_works
from nattools.report.sections.overview import lines, not_measured
from nattools.report.terminal import render_text

LONG = "Something went on that takes a great many words to tell, " * 4


def screen(report: Report) -> list[str]:
    return render_text(report, columns=80).splitlines()


def row(report: Report, label: str, room: int = 65) -> str:
    return dict(lines(report, room))[label].text.replace("\u00a0", " ")


def with_nat(
    udp: Nat | None = None, tcp: Nat | None = None, udp6: Nat | None = None, tcp6: Nat | None = None
) -> Report:
    return replace(home_router(), nat=NatByTransport(udp4=udp, tcp4=tcp, udp6=udp6, tcp6=tcp6))


def advised(*to_do: str, warnings: tuple[str, ...] = ()) -> Report:
    report = home_router()
    assert report.advice is not None
    return replace(report, advice=replace(report.advice, to_do=to_do), warnings=warnings)


@pytest.mark.parametrize("actions", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("warnings", [0, 1, 2, 9])
@pytest.mark.parametrize("length", [1, 30, len(LONG)])
def test_whatever_there_is_to_say_the_page_fits_a_screen(actions: int, warnings: int, length: int) -> None:
    to_do = [f"Do {number} {LONG[:length]}" for number in range(actions)]
    odd = [f"Odd {number} {LONG[:length]}" for number in range(warnings)]
    shown = screen(advised(*to_do, warnings=tuple(odd)))
    assert len(shown) <= 23
    text = "\n".join(shown)
    assert "This machine can be reached directly, by hole punching." in text
    assert ("Do 0" in text) == bool(actions)
    assert ("Odd 0" in text) == bool(warnings)
    assert "Do 3" not in text
    assert any(line.startswith("  UDP ") for line in shown)
    assert any(line.startswith("  Not known ") for line in shown)


def test_what_is_left_out_is_counted() -> None:
    text = " ".join(" ".join(screen(advised("Do.", warnings=tuple(f"{n} {LONG}" for n in range(9))))).split())
    assert "Beware 0 Something went on" in text
    assert "... (-v; 8 more)" in text
    few = " ".join(" ".join(screen(advised("Do.", warnings=("One.", "Two.", LONG)))).split())
    assert "Beware One. Two. And 1 more: -v." in few


def test_with_more_detail_nothing_is_left_out() -> None:
    report = advised(
        *(f"Do {n}. {LONG}" for n in range(5)), warnings=tuple(f"{n} odd {LONG}" for n in range(9))
    )
    text = render_text(report, detail=1)
    for number in range(5):
        assert f"Do {number}." in text
    for number in range(9):
        assert f"{number} odd" in text
    many = render_text(advised(warnings=tuple(f"{n} odd" for n in range(25))), detail=1)
    assert "19 odd" in many
    assert "And 5 more, in the report's JSON." in many


def test_what_udp_and_tcp_have_in_common_is_said_once() -> None:
    alike = dict(lines(with_nat(port_restricted(), replace(port_restricted(), hairpinning=None)), 65))
    assert "UDP and TCP" in alike
    assert not {"UDP", "TCP"} & set(alike)
    assert {"UDP", "TCP"} <= set(dict(lines(with_nat(port_restricted(), Nat(reachable=False)), 65)))


SYMMETRIC = Nat(
    reachable=True,
    present=True,
    mapping="address-and-port-dependent",
    filtering="address-and-port-dependent",
    port_allocation="random",
)


@pytest.mark.parametrize(
    ("nat", "says"),
    [
        (None, "not measured"),
        (Nat(), "not known"),
        (Nat(reachable=False), "blocked: nothing came back"),
        (Nat(reachable=True), "gets out; whether there is a NAT is not known"),
        (Nat(reachable=True, present=False, filtering="endpoint-independent"), "nothing keeps packets out"),
        (Nat(reachable=True, present=False), "whether a firewall filters is not known"),
        (Nat(reachable=True, present=True), "how it gives ports is not known"),
        (SYMMETRIC, "another port for each peer (random), open to it alone"),
        (replace(SYMMETRIC, port_block=True), "another port for each peer (from a block), open to it alone"),
        (replace(SYMMETRIC, port_allocation="sequential"), "(predictable)"),
        (
            replace(SYMMETRIC, blocked_ports=(53,), open_ports=(443,)),
            "gets out to port 443, not to port 53",
        ),
        (replace(SYMMETRIC, blocked_ports=(53,)), "does not get out to port 53"),
    ],
)
def test_the_line_of_udp(nat: Nat | None, says: str) -> None:
    other = port_restricted() if nat is not None and nat.reachable is False else Nat(reachable=False)
    assert says in row(with_nat(nat, other), "UDP")


def test_the_line_of_the_router() -> None:
    one = port_restricted()
    assert row(with_nat(one), "Router") == "10.0.0.1, the only NAT"
    assert row(with_nat(replace(one, cgnat=True)), "Router").startswith(
        "10.0.0.1 behind your provider's NAT (CGNAT)"
    )
    assert row(with_nat(replace(one, double_nat=True)), "Router").startswith("10.0.0.1 behind a second NAT")
    asked = Technique(id="upnp-igd", verdict="fails", confidence=1.0)
    report = replace(with_nat(one), techniques=(asked,))
    assert row(report, "Router") == "10.0.0.1, the only NAT; opens no ports"
    report = replace(report, techniques=(replace(asked, verdict="works"),))
    assert row(report, "Router") == "10.0.0.1, the only NAT; opens ports by UPnP"
    report = replace(report, techniques=(replace(asked, verdict="unknown"),))
    assert row(report, "Router") == "10.0.0.1, the only NAT; opens ports by UPnP, not verified"
    assert row(replace(report, host=Host(os="x")), "Router") == "none: there is no default route"


def test_the_local_line_tells_of_other_machines() -> None:
    report = home_router()
    plain = row(report, "Local")
    assert "machine" not in plain
    lan = Lan(unicast=True, neighbours=(LanNeighbour(address="10.0.0.1", gateway=True),))
    assert row(replace(report, lan=lan), "Local") == plain
    printer = LanNeighbour(address="10.0.0.7", name="printer.local")
    seen = replace(lan, neighbours=(*lan.neighbours, printer, replace(printer, address="2a10::7")))
    wide = render_text(replace(report, lan=seen), columns=120)
    assert re.search(r"  Local .*; from outside .*; 1 other machine seen\n", wide)
    assert "; no multicast passes" in row(replace(report, lan=replace(seen, multicast=False)), "Local")
    assert "; machines are kept apart" in row(replace(report, lan=replace(seen, isolated=True)), "Local")


def test_the_line_of_latency_says_what_it_means_for_people() -> None:
    one = port_restricted()
    assert row(with_nat(one), "Latency") == "30.1 ms there and back; no loss"
    assert "slow for calls" in row(with_nat(replace(one, rtt_ms=600.0)), "Latency")
    bad = dict(lines(with_nat(replace(one, loss=0.1)), 65))["Latency"]
    assert bad.text == "30.1\u00a0ms there and back; 10% of packets lost: calls and games stutter"
    assert bad.mood == "unsure"
    assert row(with_nat(), "Latency") == "not measured"


def test_the_line_of_ipv6() -> None:
    none = Technique(id="direct-ipv6", verdict="fails", confidence=1.0, summary="It has no IPv6 address.")
    told = replace(none, reason=(statement("no-address", family=6),))
    assert row(replace(with_nat(), techniques=(told,)), "IPv6") == "none: this machine has no IPv6 address"
    assert row(replace(with_nat(), techniques=()), "IPv6") == "not measured"
    assert row(with_nat(udp6=Nat(reachable=False)), "IPv6") == "blocked: nothing came back"
    seen = Nat(reachable=True, present=False, filtering="endpoint-independent", external=("2a10::2",))
    works = replace(none, verdict="works")
    report = replace(with_nat(udp6=seen), techniques=(works,))
    assert row(report, "IPv6") == "everybody with IPv6 can connect; 2a10::2"
    assert row(with_nat(udp6=seen), "IPv6") == "no NAT, and nothing keeps packets out; 2a10::2"
    assert row(with_nat(tcp6=seen), "IPv6") == "no NAT, and nothing keeps packets out; 2a10::2"


def test_ipv6_is_not_called_blocked_where_tcp_gets_through() -> None:
    blocked, seen = Nat(reachable=False), Nat(reachable=True, present=False, external=("2a10::2",))
    assert row(with_nat(udp6=blocked, tcp6=seen), "IPv6") == (
        "TCP alone: no NAT; whether a firewall filters is not known"
    )
    assert row(with_nat(udp6=blocked, tcp6=blocked), "IPv6") == "blocked: nothing came back"


def test_the_line_of_the_local_network() -> None:
    assert row(home_router(), "Local") == "10.0.0.2 on eth0 (ethernet); from outside you are 11.1.0.2"
    assert row(replace(home_router(), host=Host(os="x")), "Local") == "no network is connected"


def test_what_does_not_fit_is_left_to_more_detail() -> None:
    assert row(home_router(), "Local", 40) == "10.0.0.2 on eth0 (ethernet)"


def test_what_is_not_known_is_named_once() -> None:
    report = replace(
        with_nat(
            replace(port_restricted(), unknowns={"hairpinning": "x", "odd": "y"}), udp6=port_restricted()
        ),
        techniques=(
            Technique(id="relay-turn", verdict="unknown", confidence=0.0),
            Technique(id="relay-derp", verdict="unknown", confidence=0.0),
            Technique(id="libp2p", verdict="skipped", confidence=0.0),
            Technique(id="pcp", verdict="fails", confidence=0.0),
        ),
    )
    assert not_measured(report) == ["hairpinning", "what keeps a mapping alive", "relays", "libp2p"]


OPEN = Nat(reachable=True, present=False, mapping="none", filtering="endpoint-independent")


@pytest.mark.parametrize(
    ("nat", "opens", "names"),
    [
        (OPEN, False, "Open (PlayStation Type 1, Nintendo A)"),
        (
            replace(OPEN, filtering="address-and-port-dependent"),
            False,
            "Moderate (PlayStation Type 1, Nintendo B)",
        ),
        (
            replace(port_restricted(), filtering="endpoint-independent"),
            False,
            "Open (PlayStation Type 2, Nintendo A)",
        ),
        (
            replace(port_restricted(), filtering="address-dependent"),
            False,
            "Moderate (PlayStation Type 2, Nintendo A)",
        ),
        (port_restricted(), False, "Moderate (PlayStation Type 2, Nintendo B)"),
        (port_restricted(), True, "Open (PlayStation Type 2, Nintendo B)"),
        (SYMMETRIC, False, "Strict (PlayStation Type 3, Nintendo D)"),
        (
            replace(SYMMETRIC, port_allocation="sequential"),
            False,
            "Strict (PlayStation Type 3, Nintendo C)",
        ),
        (Nat(reachable=False), False, "Strict (PlayStation Type 3, Nintendo F)"),
    ],
)
def test_what_games_call_it(nat: Nat, opens: bool, names: str) -> None:
    assert str(game_names(nat, opens_ports=opens)) == names


@pytest.mark.parametrize(
    "nat", [None, Nat(), replace(port_restricted(), filtering="unknown"), Nat(reachable=True, present=True)]
)
def test_games_have_no_name_for_what_is_not_known(nat: Nat | None) -> None:
    assert game_names(nat) is None


def peers(*paths: str) -> tuple[PeerKind, ...]:
    return tuple(PeerKind(kind="x", path=path, strategy="y") for path in paths)  # type: ignore[arg-type]


MAPPING = PortMapping(
    protocol="upnp-igd",
    transport="udp",
    internal="10.0.0.2:1",
    external="11.1.0.2:1",
    lifetime_s=60,
    created=True,
    verified_inbound=True,
)


def test_what_works_for_people() -> None:
    report = replace(home_router(), peers=peers("direct", "direct"), techniques=())
    assert what_works(report) == "calls, joining games; not hosting a server"
    assert what_works(replace(report, mappings=(MAPPING,))).endswith(
        "; hosting on a port that the router opens"
    )
    direct = Technique(id="direct-ipv4", verdict="works", confidence=1.0)
    assert what_works(replace(report, techniques=(direct,))).endswith("; hosting too")
    six = replace(direct, id="direct-ipv6")
    assert what_works(replace(report, techniques=(six,))).endswith("; hosting over IPv6 alone")
    assert what_works(replace(report, peers=peers("relay", "relay"))).startswith("calls through a relay, ")
    assert what_works(replace(report, peers=peers("direct", "relay"))).startswith(
        "calls (some through a relay)"
    )
    blocked = replace(report, nat=NatByTransport(udp4=Nat(reachable=False)))
    assert "joining games that use TCP" in what_works(blocked)
    web = Nat(reachable=True, blocked_ports=(3478,), open_ports=(443,))
    web_alone = replace(blocked, nat=replace(blocked.nat, tcp4=web))
    assert "joining few games; not hosting a server" in what_works(web_alone)
    cone = replace(port_restricted(), filtering="endpoint-independent")
    open_to_all = replace(report, nat=NatByTransport(udp4=cone))
    assert what_works(open_to_all) == "calls, joining, hosting games; no server"
    assert what_works(replace(open_to_all, techniques=(six,))).endswith(
        "hosting games; a server over IPv6 alone"
    )
    assert what_works(replace(open_to_all, techniques=(direct,))) == "calls, joining games; hosting too"
    six = replace(blocked, nat=replace(blocked.nat, udp6=Nat(reachable=True)))
    assert "joining games;" in what_works(six)


def test_nothing_is_said_to_work_that_is_not_known() -> None:
    assert what_works(replace(home_router(), peers=peers("unknown", "unknown", "direct"))) == ""
    assert what_works(replace(home_router(), peers=())) == ""
    advice = home_router().advice
    assert advice is not None
    assert what_works(replace(home_router(), advice=replace(advice, reachable="offline"))) == ""
