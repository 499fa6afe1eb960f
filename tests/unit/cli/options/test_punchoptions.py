"""The options of `nattools punch`, read and refused."""

from __future__ import annotations

from typing import Any

import pytest

from nattools.cli.options.punchoptions import (
    PunchRequest,
    check_together,
    checked_allowed,
    checked_forwards,
    checked_mailbox,
    chosen_code,
)
from nattools.cli.options.punchrelays import relay_choice
from nattools.errors import UsageError
from nattools.net.web.tls import client_context
from nattools.traversal.codes import new_code
from nattools.traversal.forwardspec import parse_forward
from nattools.traversal.mailboxconnection import MailboxAddress


def test_forwards_and_what_is_allowed() -> None:
    (forward,) = checked_forwards(["5300:[2001:db8::5]:53/udp"], "--forward")
    assert (forward.port, forward.host, forward.host_port) == (5300, "2001:db8::5", 53)
    assert checked_forwards(None, "--forward") == ()
    allowed = checked_allowed(["localhost:80", "listen:8080"])
    assert allowed is not None
    assert allowed.target("tcp", "127.0.0.1", 80)
    assert allowed.listen("tcp", "", 8080)
    assert not allowed.target("tcp", "127.0.0.1", 8080)
    assert checked_allowed(None) is None


def test_the_option_that_is_wrong_is_named() -> None:
    with pytest.raises(UsageError, match=r"^--reverse: .*80:host"):
        checked_forwards(["80:host"], "--reverse")
    with pytest.raises(UsageError, match=r"^--allow: .*host:x"):
        checked_allowed(["host:x"])
    with pytest.raises(UsageError, match="--forward: at most 32"):
        checked_forwards([f"{port}:a:1" for port in range(1, 40)], "--forward")


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("example.org", MailboxAddress("example.org", 3478)),
        ("example.org:80", MailboxAddress("example.org", 80)),
        ("ws://example.org", MailboxAddress("example.org", 3478)),
        ("wss://example.org", MailboxAddress("example.org", 443, client_context)),
        ("WSS://example.org:8443/", MailboxAddress("example.org", 8443, client_context)),
        ("wss://example.org/mailbox", MailboxAddress("example.org", 443, client_context)),
        ("wss://[2001:db8::1]:443", MailboxAddress("2001:db8::1", 443, client_context)),
        ("2001:db8::1", MailboxAddress("2001:db8::1", 3478)),
    ],
)
def test_mailboxes(text: str, wish: MailboxAddress) -> None:
    assert checked_mailbox(text) == wish
    assert checked_mailbox(None) is None


@pytest.mark.parametrize("text", ["", "https://example.org", "stun:example.org", "wss://a b", "x:y"])
def test_what_is_no_mailbox(text: str) -> None:
    with pytest.raises(UsageError):
        checked_mailbox(text)


def test_a_code_is_new_or_read() -> None:
    assert chosen_code(None, 3, False).nameplate is None
    assert len(chosen_code(None, 3, False).words) == 3
    assert str(chosen_code(" 7 Crossover Clockwork ", 2, False)) == "7-crossover-clockwork"


@pytest.mark.parametrize(
    ("typed", "words", "manual", "says"),
    [
        ("7-crossover-clockwrok", 2, False, "did you mean clockwork"),
        ("7-crossover", 2, False, "this has 1 word"),
        ("7-crossover-clockwork", 3, False, "--words is for a new code"),
        ("7-crossover-clockwork", 2, True, "--manual exchanges tokens"),
        (None, 1, False, "2 to 8 words, not 1"),
        (None, 99, False, "2 to 8 words, not 99"),
    ],
)
def test_codes_that_are_refused(typed: str | None, words: int, manual: bool, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        chosen_code(typed, words, manual)


MAILBOX = MailboxAddress("a", 1)
FORWARD = parse_forward("80:a:80")


@pytest.mark.parametrize(
    ("wish", "others", "says"),
    [
        ({"udp": False, "tcp": False}, {}, "contradict"),
        ({"manual": True, "mailbox": MAILBOX}, {}, "--manual needs no mailbox"),
        ({"manual": True, "relaying": "only"}, {}, "--manual with --relay-only: name the relay"),
        ({"pipe": True}, {"as_json": True}, "standard output is the pipe's"),
        ({"pipe": True, "hook": "x"}, {}, "both want standard input"),
        ({"pipe": True}, {"lab": "netns"}, "in a scenario"),
        ({"forwards": (FORWARD,)}, {"lab": "netns"}, "in a scenario"),
        ({"reverses": (FORWARD,)}, {"lab": "netns"}, "in a scenario"),
        ({"keep": True}, {"lab": "netns"}, "in a scenario"),
        ({"hook": ""}, {"lab": "netns"}, "in a scenario"),
        ({"bench": True}, {"lab": "sim"}, "throughput in the simulator means nothing"),
    ],
)
def test_options_that_contradict_each_other(wish: dict[str, Any], others: dict[str, Any], says: str) -> None:
    given = {"as_json": False, "lab": None, **others}
    with pytest.raises(UsageError, match=says):
        check_together(PunchRequest(code=new_code(), **wish), **given)
    check_together(PunchRequest(code=new_code(), bench=True), as_json=True, lab="netns")


def test_a_derp_server_is_a_relay_by_its_uri() -> None:
    relaying, (access,) = relay_choice(turn=["derp://relay.example:8443"])
    assert (relaying, access.text) == ("reserve", "derp://relay.example:8443")
    with pytest.raises(UsageError, match="a DERP server is written"):
        relay_choice(turn=["derp://"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"no_relay": True, "relay_only": True}, "--no-relay contradicts"),
        ({"no_relay": True, "turn": ["turn:relay.example"]}, "--no-relay contradicts"),
        ({"turn_user": "alice:secret"}, "are for the relays of --turn"),
        ({"turn": ["stun:relay.example"]}, "--turn takes"),
        ({"turn": ["turns:relay.example?transport=udp"]}, "--turn takes"),
        ({"turn": ["turn:relay.example"] * 9}, "at most 8"),
    ],
)
def test_what_is_said_of_relays_must_make_sense(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        relay_choice(**given)


def test_relays_that_are_named() -> None:
    assert relay_choice() == ("reserve", ())
    assert relay_choice(no_relay=True).relaying == "never"
    chosen = relay_choice(relay_only=True, turn=["turn:relay.example"], turn_user="alice:secret")
    assert chosen.relaying == "only"
    assert [each.text for each in chosen.relays] == [
        "turn:relay.example?transport=udp",
        "turn:relay.example?transport=tcp",
    ]
