"""Where a word can only be a name, and which numbers are figures."""

from __future__ import annotations

import pytest

from nattools.report.redaction.nameplaces import is_figure_here, is_name_here


@pytest.mark.parametrize(
    "text",
    [
        "stun:[relay]:3478",
        "derp://[relay]",
        "(http://[relay]/, or not)",
        "https://user:[relay]@host.example/",
        "turn:x?transport=udp&key=[relay]",
        "[relay]@host",
        "me@[relay]",
        "/dns4/[relay]/tcp/4001",
        "/home/[relay]/report.json",
        "no such file: '/Users/[relay]/x'",
        "C:\\Users\\[relay]\\x",
        "\\\\[relay]\\share",
        "~/[relay]",
    ],
)
def test_only_a_name_can_stand_there(text: str) -> None:
    start = text.index("[relay]")
    assert is_name_here(text.replace("[relay]", "relay"), start, start + 5)


@pytest.mark.parametrize(
    "text",
    [
        "the [relay] answers",
        "turn:x?transport=[udp]",
        "/proc/net/[route]",
        "/ip4/1.2.3.4/[tcp]/4001",
        "stun:[stun.l.google.com]:19302",
        "http://x/ is the [router]",
        "a" * 1000 + "/[relay]",
    ],
)
def test_a_word_can_stand_there(text: str) -> None:
    start, end = text.index("["), text.index("]") - 1
    assert not is_name_here(text.replace("[", "").replace("]", ""), start, end)


@pytest.mark.parametrize(
    ("text", "figure"),
    [
        ("port [3478]", True),
        ("UDP [41641]", True),
        ("ports 80, 443 and [3478]", True),
        ("RFC [5780]", True),
        ("[1500] bytes", True),
        ("[86400] s", True),
        ("relay.example:[3478]", True),
        ("turn:relay:[3478]", True),
        ("]:[3478]", True),
        ("[512] of them", True),
        ("Windows [10.0.22631]", True),
        ("WLAN [48213]", False),
        ("[10115] Berlin", False),
        ("tel:[48213]", False),
        ("[48213]", False),
    ],
)
def test_a_number_is_a_figure_by_what_stands_around_it(text: str, figure: bool) -> None:
    start = text.index("[") if not text.startswith("]") else 2
    plain = text[:start] + text[start + 1 :]
    end = plain.index("]", start)
    assert is_figure_here(plain[:end] + plain[end + 1 :], start, end) is figure
