"""Scenarios drawn from reports of strangers: whatever stands in them, the file is a scenario or there is
none, and it says nothing but TOML."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from report_samples import home_router

from nattools.lab.redraw import redrawn
from nattools.lab.redraw.drawing import Drawing, toml_key, toml_value
from nattools.lab.scenariofiles import parse
from nattools.model.host import Interface
from nattools.model.ipv6 import Ipv6
from nattools.model.packetform import FormPassage, FragmentsByFamily
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
