from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.errors import UsageError
from nattools.model.serveruri import parse_server


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "transport"),
    [
        ("stun.example.org", "stun", "stun.example.org", None, None),
        ("stun.example.org:443", "stun", "stun.example.org", 443, None),
        ("11.0.0.2:3478", "stun", "11.0.0.2", 3478, None),
        ("[2001:db8::1]:3478", "stun", "2001:db8::1", 3478, None),
        ("[2001:DB8::1]", "stun", "2001:db8::1", None, None),
        ("2001:db8::1", "stun", "2001:db8::1", None, None),
        ("fe80::1%eth0", "stun", "fe80::1%eth0", None, None),
        ("stun:stun.example.org", "stun", "stun.example.org", None, None),
        ("STUN:Example.org:3479", "stun", "Example.org", 3479, None),
        ("stuns:example.org", "stuns", "example.org", None, "tcp"),
        ("turn:example.org?transport=udp", "turn", "example.org", None, "udp"),
        ("turns:[2001:db8::1]:443?transport=tcp", "turns", "2001:db8::1", 443, "tcp"),
        ("turn", "stun", "turn", None, None),
        ("stun:stun:3478", "stun", "stun", 3478, None),
        ("b\u00fccher.example", "stun", "xn--bcher-kva.example", None, None),
        (" localhost:3478\n", "stun", "localhost", 3478, None),
    ],
)
def test_reads(text: str, scheme: str, host: str, port: int | None, transport: str | None) -> None:
    server = parse_server(text)
    assert (server.scheme, server.host, server.port, server.transport) == (scheme, host, port, transport)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no host"),
        ("stun:", "there is no host"),
        (":3478", "there is no host"),
        ("example.org:0", "from 1 to 65535"),
        ("example.org:70000", "from 1 to 65535"),
        ("example.org:", "from 1 to 65535"),
        ("example.org:http", "from 1 to 65535"),
        ("example.org:-1", "from 1 to 65535"),
        ("example.org:\u0663", "from 1 to 65535"),
        ("stun://example.org", "write stun:example.org"),
        ("http://example.org", "must be one of stun:"),
        ("stun:example.org?transport=tcp", "is not understood"),
        ("turn:example.org?transport=sctp", "is not understood"),
        ("turn:me:secret@example.org", "no user name or password"),
        ("turn:me@example.org", "no user name or password"),
        ("256.0.0.1", "not an IP address"),
        ("1.2.3", "not an IP address"),
        ("[2001:db8::1", "is written [2001:db8::1]:3478"),
        ("[example.org]:3", "is written [2001:db8::1]:3478"),
        ("-a.example", "not a host name"),
        ("a b", "not a host name"),
        ("a..b", "not a host name"),
        ("x" * 300, "not a host name"),
        ("stun:3478", "write stun:stun:3478"),
    ],
)
def test_refuses_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_server(text)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400


def test_default_ports() -> None:
    assert parse_server("example.org").port_or_default == 3478
    assert parse_server("turns:example.org").port_or_default == 5349
    assert parse_server("stuns:example.org:443").port_or_default == 443


@given(st.text() | st.from_regex(r"(stuns?|turns?):\[?[0-9a-f:.%]*\]?(:[0-9]*)?(\?.*)?"))
def test_any_text_is_a_server_or_a_usage_error(text: str) -> None:
    try:
        server = parse_server(text)
    except UsageError:
        return
    assert server.host
    assert server.port is None or 1 <= server.port <= 65535
