"""The options of `nattools punch`, read and refused."""

from __future__ import annotations

from typing import Any

import pytest

from nattools.cli.punchoptions import (
    Allowed,
    Forwarding,
    MailboxWish,
    PunchWish,
    check_together,
    checked_allowed,
    checked_forwards,
    checked_mailbox,
    chosen_code,
)
from nattools.errors import UsageError
from nattools.traversal.codes import new_code


@pytest.mark.parametrize(
    ("text", "forwarding"),
    [
        ("8080:localhost:80", Forwarding(8080, "localhost", 80, "tcp")),
        ("8080:192.168.1.5:80/tcp", Forwarding(8080, "192.168.1.5", 80, "tcp")),
        ("5300:10.0.0.1:53/udp", Forwarding(5300, "10.0.0.1", 53, "udp")),
        ("5300:10.0.0.1:53/UDP", Forwarding(5300, "10.0.0.1", 53, "udp")),
        ("22:[2001:db8::5]:2222", Forwarding(22, "2001:db8::5", 2222, "tcp")),
    ],
)
def test_forwards(text: str, forwarding: Forwarding) -> None:
    assert checked_forwards([text], "--forward") == (forwarding,)


@pytest.mark.parametrize(
    "text",
    [
        "", "80", "80:80", "x:host:80", "80:host:", "0:host:80", "80:host:0", "80:host:70000", "80::80",
        "80:2001:db8::5:22", "80:[host:22", "80:ho st:22", "80:host:22/sctp", "80:[]:22", "80:[host]:22",
        "80:\x1b[2J:22", "٣:host:80",
    ],
)  # fmt: skip
def test_what_is_no_forward(text: str) -> None:
    with pytest.raises(UsageError, match=r"--reverse .*write PORT:HOST:PORT"):
        checked_forwards([text], "--reverse")


def test_a_port_is_listened_on_once() -> None:
    assert len(checked_forwards(["80:a:1", "80:a:1/udp", "81:a:1"], "--forward")) == 3
    with pytest.raises(UsageError, match="port 80 over TCP is given twice"):
        checked_forwards(["80:a:1", "80:b:2"], "--forward")
    with pytest.raises(UsageError, match="at most 32"):
        checked_forwards([f"{port}:a:1" for port in range(1, 40)], "--forward")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("localhost:80", Allowed("localhost", 80, "tcp")),
        ("[2001:db8::5]:53/udp", Allowed("2001:db8::5", 53, "udp")),
        ("listen:8080", Allowed(None, 8080, "tcp")),
        ("listen:53/udp", Allowed(None, 53, "udp")),
    ],
)
def test_what_is_allowed(text: str, allowed: Allowed) -> None:
    assert checked_allowed([text]) == (allowed,)


@pytest.mark.parametrize("text", ["", "host", "listen:", "listen:x", "*:*", "host:0", ":80"])
def test_what_cannot_be_allowed(text: str) -> None:
    with pytest.raises(UsageError, match=r"--allow .*write HOST:PORT or listen:PORT"):
        checked_allowed([text])


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("example.org", MailboxWish("example.org", 3478, False)),
        ("example.org:80", MailboxWish("example.org", 80, False)),
        ("ws://example.org", MailboxWish("example.org", 3478, False)),
        ("wss://example.org", MailboxWish("example.org", 443, True)),
        ("WSS://example.org:8443/", MailboxWish("example.org", 8443, True)),
        ("wss://example.org/mailbox", MailboxWish("example.org", 443, True)),
        ("wss://[2001:db8::1]:443", MailboxWish("2001:db8::1", 443, True)),
        ("2001:db8::1", MailboxWish("2001:db8::1", 3478, False)),
    ],
)
def test_mailboxes(text: str, wish: MailboxWish) -> None:
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
        ("7-crossover-clockwork", 2, True, "--manual swaps tokens"),
        (None, 1, False, "2 to 8 words, not 1"),
        (None, 99, False, "2 to 8 words, not 99"),
    ],
)
def test_codes_that_are_refused(typed: str | None, words: int, manual: bool, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        chosen_code(typed, words, manual)


MAILBOX = MailboxWish("a", 1, False)
FORWARD = Forwarding(80, "a", 80, "tcp")


@pytest.mark.parametrize(
    ("wish", "others", "says"),
    [
        ({"udp": False, "tcp": False}, {}, "contradict"),
        ({"manual": True, "mailbox": MAILBOX}, {}, "--manual needs no mailbox"),
        ({"pipe": True}, {"as_json": True}, "standard output is the pipe's"),
        ({"pipe": True, "hook": "x"}, {}, "both want standard input"),
        ({"pipe": True}, {"in_lab": True}, "in a scenario"),
        ({"forwards": (FORWARD,)}, {"in_lab": True}, "in a scenario"),
        ({"reverses": (FORWARD,)}, {"in_lab": True}, "in a scenario"),
        ({"keep": True}, {"in_lab": True}, "in a scenario"),
        ({"hook": ""}, {"in_lab": True}, "in a scenario"),
    ],
)
def test_options_that_contradict_each_other(wish: dict[str, Any], others: dict[str, bool], says: str) -> None:
    given = {"as_json": False, "in_lab": False, **others}
    with pytest.raises(UsageError, match=says):
        check_together(PunchWish(code=new_code(), **wish), **given)
    check_together(PunchWish(code=new_code(), bench=True), as_json=True, in_lab=True)
