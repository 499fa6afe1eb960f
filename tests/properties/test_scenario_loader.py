"""Any text, and any scenario file with something changed in it, gives a scenario or a UsageError."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nattools.errors import UsageError
from nattools.lab.scenario import Scenario
from nattools.lab.scenariofiles import available, folder, parse

FILES = [(folder() / f"{name}.toml").read_text() for name in available()]
WORDS = [
    *("0", "-1", "1e999", "nan", "inf", "true", '""', '"null"', "[]", "{}", "[[]]", "70000", "2024-01-01"),
    *("0x" + "f" * 5000, '">= 3"', "{ min = 1 }", "{ any_of = [{ any_of = [] }] }", '"endpoint-independent"'),
    *(
        "[nat.x]",
        "[host.pair]",
        "[expect.alice]",
        "behind = 'x'",
        "mapping",
        "block",
        "range",
        ".",
        "\n",
        "=",
    ),
]


def accepted_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(parse(text, "x.toml"), Scenario)


@given(st.text())
@settings(deadline=None)
def test_arbitrary_text(text: str) -> None:
    accepted_or_refused(text)


values = st.recursive(
    st.sampled_from(WORDS[:18])
    | st.integers().map(str)
    | st.text("abc/-01", max_size=6).map(lambda t: f'"{t}"'),
    lambda inner: st.lists(inner, max_size=3).map(lambda each: f"[{', '.join(each)}]"),
    max_leaves=4,
)
tables = st.sampled_from(
    [
        *("nat.home", "nat.x", "firewall.f", "host.alice", "host.bob", "server.s", "options", "expect"),
        *("expect.alice", "expect.alice.nat.udp4", "expect.alice.technique", "expect.pair.alice-bob"),
        *("expect.alice.advice", "expect.alice.host"),
    ]
)
keys = st.sampled_from(
    [
        *("behind", "mapping", "range", "block", "step", "allocation", "address", "lifetime_s", "open_ports"),
        *("delay_ms", "loss", "vpn", "ipv6", "port", "kind", "present", "port_range", "external", "layers"),
        *("udp-punch", "reachable", "interfaces", "warnings_contain", "lifetime", "families", "mappings"),
    ]
)


@given(st.lists(st.tuples(tables, keys, values), max_size=6))
@settings(deadline=None)
def test_files_of_the_right_words(lines: list[tuple[str, str, str]]) -> None:
    body = "".join(f"{table}.{key} = {value}\n" for table, key, value in lines)
    accepted_or_refused(f'title = "x"\nhost.h.delay_ms = 1\n{body}')


@given(st.data())
@settings(deadline=None)
def test_mutated_files(data: Any) -> None:
    text = data.draw(st.sampled_from(FILES))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 20)))
        text = text[:start] + data.draw(st.sampled_from(WORDS) | st.text(max_size=3)) + text[end:]
    accepted_or_refused(text)
