"""What a libp2p node announces about itself: `ipfs id` of kubo's, or a list of addresses as js-libp2p's
`JSON.stringify(node.getMultiaddrs())` and go-libp2p's `Addrs()` give it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from nattools.model.overlay import OverlayProgram, OverlayStatus
from nattools.protocols.overlays import jsonfields as j
from nattools.protocols.overlays.kuboaddresses import address_of_node

_STARTS = ("/ip4/", "/ip6/", "/dns/", "/dns4/", "/dns6/", "/dnsaddr/")


def is_announcement(value: Any) -> bool:
    """Does it look like one of them?"""
    if isinstance(value, dict):
        return isinstance(value.get("ID"), str) and "Addresses" in value and "AgentVersion" in value
    texts = value[:10] if isinstance(value, list) else []
    return bool(texts) and all(isinstance(each, str) and each.startswith(_STARTS) for each in texts)


def announced_addresses(value: Any) -> OverlayStatus:
    """ProtocolError: it is neither."""
    fields = {"Addresses": value} if isinstance(value, list) else j.fields_of(value, "what a node announces")
    agent = j.text_in(fields, "AgentVersion")
    program: OverlayProgram = "kubo" if agent.startswith(("kubo/", "go-ipfs/")) else "libp2p"
    texts = dict.fromkeys(each for each in j.texts_in(fields, "Addresses") if each.startswith(_STARTS))
    peers = tuple(replace(address_of_node(each, None), announced=True) for each in texts)
    return OverlayStatus(
        program=program,
        version=agent.rstrip("/"),
        endpoints=tuple(dict.fromkeys(each.endpoint for each in peers if each.endpoint)),
        peers=peers,
    )
