"""Which libp2p peers to ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from nattools.model.endpoint import Family

if TYPE_CHECKING:
    from nattools.protocols.libp2p.multiaddr import Multiaddr

MOST_PEERS: Final = 12
_BOOTSTRAP: Final = (
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
    "/dnsaddr/bootstrap.libp2p.io/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
    "/dnsaddr/va1.bootstrap.libp2p.io/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8",
    "/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
)
"""As kubo's default configuration has them."""
_WITHOUT_TEXTS: Final = (
    "/dns4/sv15.bootstrap.libp2p.io/tcp/4001/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
    "/dns4/am6.bootstrap.libp2p.io/tcp/4001/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
    "/dns4/ny5.bootstrap.libp2p.io/tcp/4001/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
    "/dns4/sg1.bootstrap.libp2p.io/tcp/4001/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
)
"""The same peers by names that have addresses, for where nobody answers for TXT records."""


def _nobody(address: str) -> None:
    return None


class PeerSearch(msgspec.Struct, frozen=True):
    """`peers`: to be asked. `named`: the user wants exactly these; else those that no route leads to are left
    out, and the measurement's servers are asked too, where they say that they speak libp2p. `instead`: to be
    asked as well where no name of `peers` leads to addresses. `wait_s`: for so long be called through a relay
    afterwards; `told` hears by which address."""

    peers: tuple[Multiaddr, ...] = ()
    instead: tuple[Multiaddr, ...] = ()
    named: bool = False
    wait_s: float = 0.0
    told: Callable[[str], None] = _nobody

    def routed(self, families: Sequence[Family]) -> list[Multiaddr]:
        """The peers to ask where only these families lead out."""
        return list(self.peers) if self.named else _led_to(self.peers, families)

    def routed_instead(self, families: Sequence[Family]) -> list[Multiaddr]:
        """The peers to ask in their place where names lead nowhere."""
        return _led_to(self.instead, families)


def _led_to(peers: Sequence[Multiaddr], families: Sequence[Family]) -> list[Multiaddr]:
    ends = ((each, each.endpoint) for each in peers)
    return [each for each, at in ends if at is None or at.family in families]


def bootstrap_peers() -> PeerSearch:
    """The peers of the public network that IPFS nodes begin with."""
    from nattools.protocols.libp2p.multiaddr import parse_multiaddr

    peers, instead = (tuple(map(parse_multiaddr, each)) for each in (_BOOTSTRAP, _WITHOUT_TEXTS))
    return PeerSearch(peers, instead)
