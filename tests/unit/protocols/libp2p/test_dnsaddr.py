"""What TXT records of a name lead to: the public network's own form, and what nobody is to follow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nattools.protocols.libp2p.dnsaddr import MOST_FOUND, name_of, read_records
from nattools.protocols.libp2p.multiaddr import parse_multiaddr

PUBLIC: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[3] / "vectors/libp2p/dnsaddr.json").read_text()
)
PEER, OTHER = (
    "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
    "QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
)
ASKED = parse_multiaddr(f"/dnsaddr/bootstrap.libp2p.io/p2p/{PEER}")


def test_the_public_networks_names_lead_to_addresses() -> None:
    first = name_of(ASKED)
    assert first == "_dnsaddr.bootstrap.libp2p.io"
    (inner,) = read_records(PUBLIC[first], ASKED).addresses
    second = name_of(inner)
    assert second == "_dnsaddr.sjc-1.bootstrap.libp2p.io"
    found = read_records(PUBLIC[second], inner)
    assert list(map(str, found.addresses)) == [
        f"/ip6/2604:1380:1000:6000::1/tcp/4001/p2p/{PEER}",
        f"/ip4/147.75.69.143/tcp/4001/p2p/{PEER}",
    ]
    assert found.refused == 0


def test_a_name_alone_takes_all_its_peers() -> None:
    found = read_records(
        PUBLIC["_dnsaddr.bootstrap.libp2p.io"], parse_multiaddr("/dnsaddr/bootstrap.libp2p.io")
    )
    assert len(found.addresses) == 2


@pytest.mark.parametrize(
    "text",
    [
        f"/ip4/127.0.0.1/tcp/4001/p2p/{PEER}",
        f"/ip4/0.0.0.0/tcp/4001/p2p/{PEER}",
        f"/ip4/224.0.0.251/tcp/4001/p2p/{PEER}",
        f"/ip4/169.254.169.254/tcp/80/p2p/{PEER}",
        f"/ip4/255.255.255.255/tcp/80/p2p/{PEER}",
        f"/ip6/::1/tcp/4001/p2p/{PEER}",
        f"/ip6/::ffff:127.0.0.1/tcp/4001/p2p/{PEER}",
        f"/ip6/fe80::1/tcp/4001/p2p/{PEER}",
        f"/ip4/192.0.2.1/tcp/4001/p2p/{OTHER}",
        f"/ip4/192.0.2.1/tcp/4001/p2p/{OTHER}/p2p-circuit/p2p/{PEER}",
        "/ip4/192.0.2.1/tcp/4001",
        f"/p2p/{PEER}",
        "/ip4/192.0.2.1/tcp/99999",
        "nonsense",
        "",
    ],
)
def test_what_is_not_followed(text: str) -> None:
    assert read_records([f"dnsaddr={text}"], ASKED) == ((), 1)


def test_other_records_are_nobodys_fault() -> None:
    assert read_records(["v=spf1 -all", "dnslink=/ipfs/x"], ASKED) == ((), 0)


def test_a_flood_is_cut_off() -> None:
    texts = [
        f"dnsaddr=/ip4/11.0.{number // 250}.{number % 250 + 1}/tcp/4001/p2p/{PEER}" for number in range(999)
    ]
    assert len(read_records(texts, ASKED).addresses) == MOST_FOUND
