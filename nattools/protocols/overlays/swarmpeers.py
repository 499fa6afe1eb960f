"""`ipfs swarm peers`, with `-v` or without, as text or by `--enc=json`; and as text, a node's own addresses,
as `ipfs swarm addrs local` prints them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from nattools.model.overlay import OverlayPeer, OverlayStatus
from nattools.protocols.overlays import jsonfields as j
from nattools.protocols.overlays.announcedaddresses import announced_addresses
from nattools.protocols.overlays.kuboaddresses import address_of_node

_LINE: Final = re.compile(r"(/(?:ip[46]|dns[46]?|dnsaddr)/\S{1,1000})(?: (\S{1,40}))?(?: (?:in|out)bound)?\Z")
_PEER: Final = re.compile(r"/(?:p2p|ipfs)/([0-9A-Za-z]{1,128})\Z")
_LATENCY: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,9})?)(s|ms|[uµ]s)\Z")
_MS: Final = {"s": 1000.0, "ms": 1.0, "us": 0.001, "µs": 0.001}
_CIRCUIT: Final = "/p2p-circuit"


def is_swarm(value: Any) -> bool:
    """Does it look like that in JSON?"""
    peers = value.get("Peers") if isinstance(value, dict) and "BackendState" not in value else None
    return isinstance(peers, list) and all(isinstance(each, dict) and "Addr" in each for each in peers[:10])


def is_swarm_text(text: str) -> bool:
    """Is this text what the program printed, or a list of addresses?"""
    return _LINE.match(text.lstrip().partition("\n")[0].rstrip()) is not None


def swarm_peers(value: Any) -> OverlayStatus:
    """ProtocolError: it is no such list."""
    fields = j.fields_of(value, "a list of IPFS' peers")
    return _status(
        (j.text_in(each, "Addr"), j.text_in(each, "Peer"), j.text_in(each, "Latency"))
        for each in j.objects_in(fields, "Peers")
    )


def swarm_text(text: str) -> OverlayStatus:
    """The peers, or if all lines have the same peer's name or none, the addresses of one node. Streams of a
    peer stand below it, indented."""
    lines = [each.rstrip() for each in text.splitlines()[: 20 * j.MOST] if each[:1] not in (" ", "\t")]
    found = [match for each in lines if (match := _LINE.match(each))]
    named = [_PEER.search(match[1]) for match in found]
    names = {match[1] for match in named if match}
    if len(names) < 2 and not any(match[2] for match in found):
        return announced_addresses([match[1] for match in found])
    return _status(
        (_PEER.sub("", match[1]), peer[1] if peer else "", match[2] or "")
        for match, peer in zip(found, named, strict=True)
    )


def _status(listed: Iterable[tuple[str, str, str]]) -> OverlayStatus:
    """A peer to which there are several connections is direct if one of them is."""
    peers = dict[str, OverlayPeer]()
    for address, name, latency in listed:
        found = _peer(address, name, latency)
        known = peers.get(found.name)
        if known is None or (known.path == "relay" and found.path == "direct"):
            peers[found.name] = found
        if len(peers) >= j.MOST:
            break
    return OverlayStatus(program="ipfs", peers=tuple(peers.values()))


def _peer(address: str, name: str, latency: str) -> OverlayPeer:
    relayed = _CIRCUIT in address
    at = address_of_node(address.partition(_CIRCUIT)[0], None)
    measured = _LATENCY.match(latency)
    return OverlayPeer(
        name=name or address,
        online=True,
        path="relay" if relayed else "direct",
        endpoint="" if relayed else at.endpoint,
        relay=at.endpoint if relayed else "",
        latency_ms=round(float(measured[1]) * _MS[measured[2]], 3) if measured else None,
    )
