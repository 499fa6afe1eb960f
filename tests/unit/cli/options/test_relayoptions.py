"""The options of `serve` that are about its relay: what goes together, and what is read from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nattools.cli.options.relayoptions import RelayOptions, read_secret, relay_config
from nattools.errors import UsageError

FLEET = RelayOptions(uris=["turn:relay.example:3478?transport=udp"], secret="shared")


def test_nothing_is_relayed_unless_it_is_wanted() -> None:
    assert relay_config(RelayOptions(), mailbox=True, files=1024) is None
    assert relay_config(RelayOptions(secret="kept for later"), mailbox=True, files=1024) is None


def test_credentials_for_a_fleet_need_no_relay_of_ones_own() -> None:
    config = relay_config(FLEET, mailbox=True, files=1024)
    assert config is not None
    assert (config.relays, config.secret, config.uris) == (False, "shared", tuple(FLEET.uris))


def test_a_relay_for_the_peers_of_the_mailbox_makes_its_secret() -> None:
    first, second = (relay_config(RelayOptions(relays=True), mailbox=True, files=1024) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.relays
    assert first.ports == (49152, 65535)
    assert first.secret is not None
    assert second.secret is not None
    assert len(first.secret) >= 32
    assert first.secret != second.secret


def test_half_of_the_files_are_for_allocations() -> None:
    few, many = (
        relay_config(RelayOptions(relays=True), mailbox=True, files=each) for each in (64, 1_000_000)
    )
    assert few is not None
    assert many is not None
    assert few.limits.allocations == 32
    assert many.limits.allocations < 500_000


def test_users_ports_and_low_ports_are_kept() -> None:
    options = RelayOptions(True, "50000-50100", True, None, ["alice:in:wonderland", "bob:b"])
    config = relay_config(options, mailbox=False, files=1024)
    assert config is not None
    assert (config.ports, config.low_ports) == ((50000, 50100), True)
    assert config.users == {"alice": "in:wonderland", "bob": "b"}


@pytest.mark.parametrize(
    ("options", "mailbox", "says"),
    [
        (RelayOptions(ports="50000-50100"), True, "are for --relay"),
        (RelayOptions(low_ports=True), True, "are for --relay"),
        (RelayOptions(users=["a:b"]), True, "are for --relay"),
        (RelayOptions(uris=["turn:a"]), True, "needs the secret"),
        (RelayOptions(relays=True, uris=["turn:a"]), True, "needs the secret"),
        (FLEET, False, "which is off"),
        (RelayOptions(relays=True), False, "nobody could use this relay"),
        (FLEET._replace(uris=["stun:a"]), True, "takes turn:HOST or turns:HOST"),
        (
            FLEET._replace(uris=["turn:" + ".".join(["a" * 60] * 4) + "?transport=udp" + "a" * 60]),
            True,
            "turn",
        ),
        (RelayOptions(relays=True, users=["alice"]), True, "NAME:PASSWORD"),
        (RelayOptions(relays=True, users=[":wonderland"]), True, "NAME:PASSWORD"),
        (RelayOptions(relays=True, secret=""), True, "is empty"),
    ],
)
def test_what_does_not_go_together_is_said(options: RelayOptions, mailbox: bool, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        relay_config(options, mailbox=mailbox, files=1024)


@pytest.mark.parametrize(
    "text", ["", "50000", "50000-", "5-60000", "60000-50000", "50000-70000", "a-b", "50000-50001-2"]
)
def test_ports_are_two_numbers_in_order(text: str) -> None:
    with pytest.raises(UsageError, match="--relay-ports takes two ports"):
        relay_config(RelayOptions(relays=True, ports=text), mailbox=True, files=1024)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(UsageError) as caught:
        relay_config(RelayOptions(relays=True, users=[":secret-word"]), mailbox=True, files=1024)
    assert "secret-word" not in str(caught.value)


class TestSecrets:
    def test_as_given(self) -> None:
        assert read_secret(None) is None
        assert read_secret("in the open") == "in the open"

    def test_the_first_line_of_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("  kept here \nand a remark\n", encoding="utf-8")
        assert read_secret(f"@{tmp_path}/secret") == "kept here"

    @pytest.mark.parametrize(
        ("content", "says"),
        [(None, "cannot read"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff\xfe", "UTF-8")],
    )
    def test_a_file_without_one(self, tmp_path: Path, content: bytes | None, says: str) -> None:
        if content is not None:
            (tmp_path / "secret").write_bytes(content)
        with pytest.raises(UsageError, match=says):
            read_secret(f"@{tmp_path}/secret")


def test_a_secret_has_an_end(tmp_path: Path) -> None:
    """A device has none."""
    (tmp_path / "secret").write_bytes(b"x" * 4097)
    with pytest.raises(UsageError, match="it is longer than 4096 bytes"):
        read_secret(f"@{tmp_path}/secret")
