"""Names of libp2p looked up: what comes of it, and what a hostile name server cannot make of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from nattools.model.endpoint import Family
from nattools.model.peertrial import NameAsked, PeerVisit
from nattools.net.base import Network
from nattools.probes.libp2p.dnsnames import NameContext, chosen, look_up_names
from nattools.probes.probe import Recorder
from nattools.protocols.libp2p.dnsaddr import DEPTH, MOST_NAMES
from nattools.protocols.libp2p.multiaddr import parse_multiaddr

PEER = "QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN"
OTHER = "QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb"
Texts = Mapping[str, list[str] | str]


class _Names:
    """A network that knows TXT records alone. `count` of it: how often it was asked."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self.asked: list[str] = []

    async def resolve_texts(self, name: str) -> tuple[str, ...] | str:
        self.asked.append(name)
        found = self._texts.get(name.removeprefix("_dnsaddr."), f"there is no name {name}")
        return found if isinstance(found, str) else tuple(f"dnsaddr={each}" for each in found)

    def is_public(self, address: str) -> bool:
        return not address.startswith("10.")


def looked_up(
    texts: Texts, *asked: str, named: bool = True, families: tuple[Family, ...] = (4, 6)
) -> tuple[list[str], Recorder, list[str]]:
    """The addresses, what was recorded, the names that were asked."""

    async def main() -> tuple[list[str], Recorder]:
        recorder = Recorder(0.0)
        context = NameContext(cast(Network, names), recorder, families, named)
        found = await look_up_names(context, [parse_multiaddr(each) for each in asked])
        return list(map(str, found)), recorder

    names = _Names(texts)
    found, recorder = asyncio.run(main())
    return found, recorder, names.asked


def noted(recorder: Recorder, kind: type[Any]) -> Any:
    (found,) = [each for each in recorder.observations if isinstance(each, kind)]
    return found


def test_each_name_has_its_turn_before_any_has_a_second_one() -> None:
    texts = {
        "one.example": [
            f"/ip4/11.0.0.1/udp/4001/quic-v1/p2p/{PEER}",
            f"/ip4/11.0.0.1/tcp/4001/p2p/{PEER}",
            f"/dns4/one.example/tcp/443/wss/p2p/{PEER}",
            f"/ip4/11.0.0.1/tcp/4002/p2p/{PEER}",
        ],
        "two.example": [f"/ip4/11.0.0.2/tcp/4001/p2p/{OTHER}"],
    }
    found, recorder, _ = looked_up(
        texts, "/dnsaddr/one.example", "/dnsaddr/two.example", "/ip4/11.0.0.3/tcp/1"
    )
    assert found == [
        f"/ip4/11.0.0.1/tcp/4001/p2p/{PEER}",
        f"/ip4/11.0.0.2/tcp/4001/p2p/{OTHER}",
        "/ip4/11.0.0.3/tcp/1",
        f"/ip4/11.0.0.1/udp/4001/quic-v1/p2p/{PEER}",
    ]
    assert not [each for each in recorder.observations if isinstance(each, PeerVisit)]


def test_what_is_behind_a_named_relay_stays_behind_it() -> None:
    texts = {"relay.example": [f"/ip4/11.0.0.1/tcp/4001/p2p/{PEER}"]}
    (found,), _, _ = looked_up(texts, f"/dnsaddr/relay.example/p2p/{PEER}/p2p-circuit/p2p/{OTHER}")
    assert found == f"/ip4/11.0.0.1/tcp/4001/p2p/{PEER}/p2p-circuit/p2p/{OTHER}"


@pytest.mark.parametrize(("named", "count"), [(True, 1), (False, 0)])
def test_only_a_name_that_the_user_gave_leads_into_the_own_network(named: bool, count: int) -> None:
    texts = {"cluster.lan": [f"/ip4/10.0.0.7/tcp/4001/p2p/{PEER}"]}
    found, recorder, _ = looked_up(texts, "/dnsaddr/cluster.lan", named=named)
    assert len(found) == count
    assert noted(recorder, NameAsked).refused == 1 - count


def test_a_circle_of_names_ends() -> None:
    texts = {"a.example": ["/dnsaddr/b.example"], "b.example": ["/dnsaddr/A.EXAMPLE", "/dnsaddr/b.example"]}
    found, recorder, asked = looked_up(texts, "/dnsaddr/a.example")
    assert (found, asked) == ([], ["_dnsaddr.a.example", "_dnsaddr.b.example"])
    assert noted(recorder, PeerVisit).outcome == "unresolved"


def test_names_without_end_are_not_followed() -> None:
    texts = {f"n{number}.example": [f"/dnsaddr/n{number + 1}.example"] for number in range(50)}
    _, _, asked = looked_up(texts, "/dnsaddr/n0.example")
    assert len(asked) == DEPTH


def test_very_many_names_are_not_asked() -> None:
    texts = {"a.example": [f"/dnsaddr/b{number}.example" for number in range(500)]}
    _, _, asked = looked_up(texts, "/dnsaddr/a.example")
    assert len(asked) == MOST_NAMES


def test_why_there_is_no_address_is_said() -> None:
    _, recorder, _ = looked_up({"a.example": "no name server answered"}, "/dnsaddr/a.example")
    assert noted(recorder, NameAsked).detail == "no name server answered"
    assert noted(recorder, PeerVisit).detail == "no name server answered"


def test_where_nothing_is_spoken_here_one_is_kept_to_say_so() -> None:
    web = parse_multiaddr(f"/dns4/one.example/tcp/443/wss/p2p/{PEER}")
    assert chosen([web, web], (4,)) == [web]
    six = parse_multiaddr(f"/ip6/2a10::1/tcp/4001/p2p/{PEER}")
    four = parse_multiaddr(f"/ip4/11.0.0.1/tcp/4001/p2p/{PEER}")
    assert chosen([six, four], (4,)) == [four]
