"""Where a peer may have packets sent to. It has the code, no more: what it calls its own address may be
somebody else's, and many packets go there before anything proves that it is the peer's.

What is left to a liar is to name one machine on the internet, which then gets what the plan has announced.
"""

from __future__ import annotations

from collections.abc import Sequence

from nattools.engine.punch.gathering import Base
from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint, parse_address
from nattools.net.base import Network
from nattools.protocols import ice


def why_not_a_place(network: Network, place: Endpoint, own: Endpoint | None) -> str | None:
    """Why no packets of a step may go to where the peer says that a server sees it; None if they may. `own`:
    where a server sees us: if that is on the internet, a peer's place within somebody's network is none."""
    reason = ice.why_not_a_target(place)
    if reason is None and parse_address(place.host).is_loopback:
        reason = "a loopback address"
    if reason is None and own is not None and network.is_public(own.host):
        reason = None if network.is_public(place.host) else "an address within a private network"
    return None if reason is None else f"The peer says that it is at {place}: {reason}."


class Neighbourhood:
    """Which of the peer's candidates may lead anywhere, as seen from our own sockets. `theirs`: what it told
    of at first."""

    def __init__(self, network: Network, bases: list[Base], theirs: Sequence[str]) -> None:
        self._network = network
        self._networks = {_network_of(base.socket.local.host) for base in bases}
        self._outside = {base.seen.host for base in bases if base.seen is not None}
        found = [each for each in map(_parsed, theirs) if each is not None]
        self._same_nat = any(each.kind == "srflx" and each.endpoint.host in self._outside for each in found)

    def of_use(self, text: str, *, wide: bool) -> bool:
        """`wide`: also ports that our NAT would open a new one to."""
        candidate = _parsed(text)
        if candidate is None:
            return False
        host = candidate.endpoint.host
        if candidate.kind != "host" and self._is_elsewhere(host):
            return False
        if candidate.family == 6 or candidate.mapped or wide:
            return True
        return candidate.kind == "host" and (self._network.is_public(host) or self._is_near(host))

    def _is_elsewhere(self, host: str) -> bool:
        """A server on the internet cannot see anybody at a private address."""
        return not self._network.is_public(host) and any(map(self._network.is_public, self._outside))

    def _is_near(self, host: str) -> bool:
        """May a private address of the peer be on a network of ours? So if it looks like one of our own
        addresses, or if both are seen behind the same outside address."""
        return self._same_nat or _network_of(host) in self._networks


def _parsed(text: str) -> ice.Candidate | None:
    try:
        return ice.parse(text)
    except ProtocolError:
        return None


def _network_of(host: str) -> str:
    return host.rpartition(".")[0] or host
