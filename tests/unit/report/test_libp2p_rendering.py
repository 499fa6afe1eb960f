"""What the page of `libp2p` says of peers that can prove nothing, and of relays' limits."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from report_samples import home_router

from nattools.model.libp2p import Libp2p, Libp2pAddress, Libp2pPeer, Libp2pRelay
from nattools.report.terminal import render_text

PEER = "/ip4/11.201.0.2/tcp/4001"
SEEN = ("/ip4/11.1.0.2/tcp/5000",)


def page(found: Libp2p) -> str:
    """The page at 200 columns, its spaces once each."""
    report = replace(home_router(), command="libp2p", libp2p=found)
    return " ".join(render_text(report, columns=200).split())


def peer(autonat: bool | None, observed: tuple[str, ...] = SEEN, *, identified: bool = True) -> Libp2pPeer:
    return Libp2pPeer(address=PEER, identified=identified, autonat=autonat, observed=observed)


NO_AUTONAT, NOT_SEEN = "None of these peers has AutoNAT v2", "says from where it sees this machine"


@pytest.mark.parametrize(
    ("peers", "words"),
    [
        ((peer(False),), NO_AUTONAT),
        ((peer(False), peer(None, (), identified=False)), NO_AUTONAT),
        ((peer(True, ()),), NOT_SEEN),
        ((peer(True, ()), peer(False)), NOT_SEEN),
    ],
)
def test_why_nobody_could_be_asked_to_connect(peers: tuple[Libp2pPeer, ...], words: str) -> None:
    said = page(Libp2p(peers=peers))
    assert "is not known" in said
    assert words in said


@pytest.mark.parametrize(
    "found",
    [
        Libp2p(peers=(peer(True),)),
        Libp2p(peers=(peer(None, (), identified=False),)),
        Libp2p(peers=(peer(False),), autonat=(Libp2pAddress(address=SEEN[0], reachable=True),)),
    ],
)
def test_nothing_is_said_where_that_is_not_why(found: Libp2p) -> None:
    said = page(found)
    assert NO_AUTONAT not in said
    assert NOT_SEEN not in said


@pytest.mark.parametrize(
    ("octets", "words"),
    [(10, "10 bytes each way"), (1023, "1023 bytes"), (1024, "1 KiB"), (131072, "128 KiB")],
)
def test_a_small_limit_is_not_none(octets: int, words: str) -> None:
    relay = Libp2pRelay(address=PEER, reserved=True, carries=True, limit_bytes=octets)
    assert words in page(Libp2p(peers=(peer(True),), relays=(relay,)))
