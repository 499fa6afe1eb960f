"""Scenarios drawn from reports of strangers: whatever stands in them, the file is a scenario or there is
none, and it says nothing but TOML."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from report_samples import connected, home_router

from nattools.lab.redraw import redrawn
from nattools.lab.redraw.drawing import Drawing, toml_key, toml_value
from nattools.lab.scenariofiles import parse
from nattools.model.host import Interface
from nattools.model.ipv6 import Ipv6
from nattools.model.nat import Nat
from nattools.model.packetform import FormPassage, FragmentsByFamily
from nattools.model.punch import Throughput
from nattools.model.relay import Relay
from nattools.model.report import Server

EVIL = (
    'x"\nhost = "owned',
    "]\n[host.mallory]",
    "# \x00\x1b[2J\u202e\ud800",
    "'''\"\"\"\\",
    "a" * 5000,
    "",
    "stun:../../etc/passwd:99999999",
    "internet",
    "${HOME}`id`",
)


@pytest.mark.parametrize("text", EVIL)
def test_texts_of_strangers_stay_texts(text: str) -> None:
    report = replace(
        home_router(),
        started=text,
        servers=(Server(uri=text, address=text), Server(uri=f"turn:{text}:3478", answered=True)),
        host=replace(
            home_router().host,
            interfaces=(Interface(name=text, addresses=(text, "10.0.0.2")),),
            measured_interface=text,
        ),
    )
    written = redrawn(report).toml()
    assert parse(written, "drawn.toml").host.keys() == {"here"}
    assert all(each.isprintable() for each in written.splitlines())


@pytest.mark.parametrize(
    ("port", "drawn"), [("65534", 65534), ("65535", 3478), ("\u00b2", 3478), ("9" * 5000, 3478)]
)
def test_a_port_is_a_number_that_a_port_can_have(port: str, drawn: int) -> None:
    server = Server(uri=f"stun:stun.example:{port}", address=f"11.9.0.1:{port}", answered=True)
    (spec,) = parse(redrawn(replace(home_router(), servers=(server,))).toml(), "drawn.toml").server.values()
    assert spec.port == drawn


def test_beside_derp_servers_alone_there_is_one_to_measure_with() -> None:
    relays = tuple(Relay(kind="derp", uri=f"derp://{each}", transport="tls") for each in ("near", "far"))
    drawn = parse(redrawn(replace(home_router(), command="relay", servers=(), relays=relays)).toml(), "drawn")
    assert len(drawn.server) == 3
    (one,) = (spec for spec in drawn.server.values() if spec.derp is None)
    assert one.kind == "nattools"


@given(
    st.recursive(
        st.text() | st.integers() | st.booleans(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_values_are_read_as_they_were_written(value: Any) -> None:
    read = tomllib.loads(f"{toml_key('a key')} = {toml_value(value)}")["a key"]
    assert read == shortened(value)


def shortened(value: Any) -> Any:
    """As it is written: long texts are cut."""
    if isinstance(value, str):
        return value[:300]
    if isinstance(value, dict):
        return {key[:300]: shortened(each) for key, each in value.items()}
    return [shortened(each) for each in value] if isinstance(value, list) else value


def test_names_are_names_and_no_two_are_the_same() -> None:
    drawing = Drawing("t", "d")
    found = []
    for wanted in ("stun.example.org", "stun.example.com", "", "internet", "Ünïcode", "stun.example.org"):
        found.append(drawing.name(wanted, "server"))
        drawing.table("server", found[-1])
    assert len(set(found)) == len(found)
    assert all(1 <= len(name) <= 12 and name.isascii() for name in found)


def test_what_does_not_pass_is_drawn() -> None:
    found = Ipv6(
        fragments=FragmentsByFamily(ipv6=FormPassage(outbound=False)),
        extension_headers=FormPassage(outbound=True, inbound=True),
    )
    (router,) = parse(redrawn(replace(home_router(), ipv6=found)).toml(), "drawn.toml").nat.values()
    assert (router.fragments, router.extension_headers) == ("dropped", "passed")


def test_what_a_connection_carried_is_the_rate_of_the_link() -> None:
    carried = Throughput(up_mbps=0.71, down_mbps=1.52, idle_rtt_ms=151.0, loaded_rtt_ms=641.04)
    drawing = redrawn(replace(home_router(), punch=replace(connected(), throughput=carried)))
    host = parse(drawing.toml(), "drawn.toml").host["here"]
    assert (host.rate_mbps, host.rate_up_mbps, host.queue_ms) == (1.52, 0.71, 490.0)
    assert any("the link may carry more" in each for each in drawing.open)


@pytest.mark.parametrize("mbps", [0.0, -1.0, 1e308])
def test_a_rate_that_no_link_has_is_not_drawn(mbps: float) -> None:
    carried = Throughput(up_mbps=mbps, down_mbps=5.0, idle_rtt_ms=1.0, loaded_rtt_ms=1e308)
    drawing = redrawn(replace(home_router(), punch=replace(connected(), throughput=carried)))
    assert parse(drawing.toml(), "drawn.toml").host["here"].rate_mbps is None


def test_what_no_command_measures_of_links_is_said_to_be_open() -> None:
    lossy = replace(home_router().nat, udp4=replace(home_router().nat.udp4 or Nat(), loss=0.1))
    opened = redrawn(replace(home_router(), nat=lossy)).open
    assert "How much the link carries is not measured: it has no bound, and no queue." in opened
    assert "Whether packets are lost in bursts is not measured: each is lost by itself." in opened
    assert not any("bursts" in each for each in redrawn(home_router()).open)
