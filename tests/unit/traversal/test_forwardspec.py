from __future__ import annotations

import pytest

from nattools.errors import UsageError
from nattools.traversal.forwardspec import Allowed, Forward, parse_forward, parse_rule


@pytest.mark.parametrize(
    ("text", "forward"),
    [
        ("8022:localhost:22", Forward("tcp", "", 8022, "localhost", 22)),
        ("8022:localhost:22/tcp", Forward("tcp", "", 8022, "localhost", 22)),
        ("5353:10.0.0.1:53/udp", Forward("udp", "", 5353, "10.0.0.1", 53)),
        ("80:[2001:DB8:0::1]:8080", Forward("tcp", "", 80, "2001:db8::1", 8080)),
        ("*:80:web.example:8080", Forward("tcp", "*", 80, "web.example", 8080)),
        ("localhost:80:a:1", Forward("tcp", "", 80, "a", 1)),
        ("192.168.1.5:80:a:1", Forward("tcp", "192.168.1.5", 80, "a", 1)),
        ("[::]:0:[::1]:1/udp", Forward("udp", "::", 0, "::1", 1)),
    ],
)
def test_forwards_as_they_are_written(text: str, forward: Forward) -> None:
    assert parse_forward(text) == forward
    assert parse_forward(str(forward)) == forward


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "written like"),
        ("8022", "written like"),
        ("8022:localhost", "written like"),
        ("8022::22", "to one host"),
        ("8022:*:22", "to one host"),
        ("x:localhost:22", "'x' is not a port"),
        ("65536:localhost:22", "'65536' is not a port"),
        ("8022:localhost:0", "'0' is not a port"),
        ("8022:localhost:-1", "'-1' is not a port"),
        ("\u0662:localhost:22", "is not a port"),
        ("8022:localhost:22/sctp", "tcp or udp, not 'sctp'"),
        ("8022:2001:db8::1:22", "in brackets"),
        ("8022:[localhost]:22", "an IPv6 address, not 'localhost'"),
        ("8022:[::1]22", "a colon is missing"),
        ("8022:[::1:22", "a colon is missing"),
        ("8022:local host:22", "a colon is missing"),
        ("here:8022:localhost:22", "'here' is not an address"),
        ("8022:" + "x" * 256 + ":22", "at most 255"),
    ],
)
def test_what_is_no_forward_is_said(text: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        parse_forward(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "'' is not a port"),
        ("localhost", "'localhost' is not a port"),
        ("localhost:", "'' is not a port"),
        ("localhost:90-80", "reversed"),
        ("localhost:1-", "'' is not a port"),
        ("2001:db8::1:80", "in brackets"),
        ("[::1]:80:90", "an allowed target is written"),
        ("localhost:22/icmp", "tcp or udp"),
    ],
)
def test_what_is_no_rule_is_said(text: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        parse_rule(text)


@pytest.mark.parametrize(
    ("rule", "host", "port", "allowed"),
    [
        ("localhost:22", "localhost", 22, True),
        ("localhost:22", "LOCALHOST.", 22, True),
        ("localhost:22", "127.0.0.1", 22, True),
        ("localhost:22", "::1", 22, True),
        ("localhost:22", "::ffff:127.0.0.1", 22, True),
        ("127.0.0.1:22", "localhost", 22, True),
        ("22", "localhost", 22, True),
        ("22", "10.0.0.1", 22, False),
        ("localhost:22", "localhost", 23, False),
        ("localhost:22", "127.0.0.2", 22, False),
        ("localhost:22", "0.0.0.0", 22, False),
        ("localhost:22", "localhost.example", 22, False),
        ("192.168.1.5:80-90", "192.168.1.5", 80, True),
        ("192.168.1.5:80-90", "192.168.1.5", 90, True),
        ("192.168.1.5:80-90", "192.168.1.5", 91, False),
        ("192.168.1.5:80-90", "192.168.1.50", 85, False),
        ("[2001:db8::1]:80", "2001:DB8:0:0::1", 80, True),
        ("web.example:*", "WEB.example", 1, True),
        ("web.example:*", "10.0.0.1", 1, False),
        ("*:80", "anything", 80, True),
        ("*:80", "anything", 81, False),
        ("*:*", "anything", 65535, True),
    ],
)
def test_rules_cover_what_they_say_and_no_more(rule: str, host: str, port: int, allowed: bool) -> None:
    assert Allowed.parse([rule]).target("tcp", host, port) is allowed
    assert not Allowed.parse([rule]).target("udp", host, port)
    assert Allowed.parse([rule + "/udp"]).target("udp", host, port) is allowed


def test_nothing_is_allowed_unless_it_is_said() -> None:
    assert not Allowed().target("tcp", "localhost", 22)
    assert not Allowed().listen("tcp", "", 8080)
    assert not Allowed.parse(["*:*"]).listen("tcp", "", 8080)


@pytest.mark.parametrize(
    ("rule", "bind", "allowed"),
    [
        ("8080", "", True),
        ("8080", "127.0.0.1", True),
        ("8080", "*", False),
        ("8080", "0.0.0.0", False),
        ("8080", "192.168.1.5", False),
        ("192.168.1.5:8080", "192.168.1.5", True),
        ("192.168.1.5:8080", "*", False),
        ("*:8080", "*", True),
        ("*:8080", "", True),
    ],
)
def test_listening_on_all_addresses_needs_a_rule_for_all(rule: str, bind: str, allowed: bool) -> None:
    assert Allowed.parse([f"listen:{rule}"]).listen("tcp", bind, 8080) is allowed


def test_both_kinds_in_one_list() -> None:
    texts = ["localhost:22", "listen:8080", "*:53/udp", "LISTEN:*:5353/udp"]
    assert Allowed.parse(texts) == Allowed(
        (parse_rule("localhost:22"), parse_rule("*:53/udp")), (parse_rule("8080"), parse_rule("*:5353/udp"))
    )


def test_two_ports_lead_to_the_other_machine_itself() -> None:
    assert parse_forward("8080:8000") == parse_forward("8080:localhost:8000")
    assert parse_forward("5353:53/udp") == parse_forward("5353:localhost:53/udp")
