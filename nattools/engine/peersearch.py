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
    "/dns4/sv15.bootstrap.libp2p.io/tcp/4001/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN",
    "/dns4/am6.bootstrap.libp2p.io/tcp/4001/p2p/QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb",
    "/dns4/ny5.bootstrap.libp2p.io/tcp/4001/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa",
    "/dns4/sg1.bootstrap.libp2p.io/tcp/4001/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt",
    "/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ",
)


def _nobody(address: str) -> None:
    return None


class PeerSearch(msgspec.Struct, frozen=True):
    """`peers`: to be asked. `named`: the user wants exactly these; else those that no route leads to are left
    out, and the measurement's servers are asked too, where they say that they speak libp2p. `wait_s`: for so
    long be called through a relay afterwards; `told` hears by which address."""

    peers: tuple[Multiaddr, ...] = ()
    named: bool = False
    wait_s: float = 0.0
    told: Callable[[str], None] = _nobody

    def routed(self, families: Sequence[Family]) -> list[Multiaddr]:
        """Those to ask where only these families lead out."""
        ends = ((each, each.endpoint) for each in self.peers)
        return [each for each, at in ends if self.named or at is None or at.family in families]


def bootstrap_peers() -> tuple[Multiaddr, ...]:
    """Those of the public network that IPFS nodes begin with."""
    from nattools.protocols.libp2p.multiaddr import parse_multiaddr

    return tuple(map(parse_multiaddr, _BOOTSTRAP))
