"""By which ways a relay is reached that a user names or a mailbox offers."""

from __future__ import annotations

import pytest

from nattools.model.serveruri import parse_server
from nattools.protocols.mailbox import RelayOffer
from nattools.traversal.relayaccess import MOST_WAYS, offered, ways_to


@pytest.mark.parametrize(
    ("uri", "ways"),
    [
        ("turn:a", ["turn:a?transport=udp", "turn:a?transport=tcp"]),
        ("turn:a:443?transport=tcp", ["turn:a:443?transport=tcp"]),
        ("turns:a", ["turns:a"]),
    ],
)
def test_over_udp_first_and_then_over_tcp_unless_the_uri_says_which(uri: str, ways: list[str]) -> None:
    assert [way.text for way in ways_to(parse_server(uri), None)] == ways


def test_what_a_mailbox_offers() -> None:
    def texts(*uris: str, tls: bool = False) -> list[str]:
        offer = RelayOffer("9:bob", "secret", 600, uris)
        return [way.text for way in offered(offer, "2a10::1", 443, tls=tls, now=5.0)]

    assert texts() == ["turn:[2a10::1]:443?transport=udp", "turn:[2a10::1]:443?transport=tcp"]
    assert texts(tls=True) == ["turns:[2a10::1]:443?transport=tcp"]
    assert texts("turn:b", "nonsense:", "turns:c?transport=udp", "turns:c") == [
        "turn:b?transport=udp",
        "turn:b?transport=tcp",
        "turns:c",
    ]
    assert len(texts(*(f"turn:r{number}" for number in range(8)))) <= MOST_WAYS
