"""`ipfs swarm addrs autonat`, as kubo prints it since 0.39, as text or by `--enc=json`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from nattools.model.overlay import OverlayPeer, OverlayStatus
from nattools.protocols.overlays import jsonfields as j

_HEADING: Final = re.compile(r"AutoNAT V2 Status:\s*\Z", re.IGNORECASE)
_LISTS: Final[dict[str, bool | None]] = {"reachable": True, "unreachable": False, "unknown": None}
_ADDRESS: Final = re.compile(
    r"/(?:ip4/(?P<four>[0-9.]{7,15})|ip6/(?P<six>[0-9a-fA-F:.]{2,45}))/(?:tcp|udp)/(?P<port>[0-9]{1,5})"
)


def is_kubo(value: Any) -> bool:
    """Does it look like that program's?"""
    return isinstance(value, dict) and "reachability" in value and "BackendState" not in value


def is_kubo_text(text: str) -> bool:
    """Is this text what the program printed?"""
    return bool(_HEADING.match(text.lstrip().partition("\n")[0]))


def kubo_addresses(value: Any) -> OverlayStatus:
    """ProtocolError: it is no such answer."""
    fields = j.fields_of(value, "kubo's answer")
    return _status(
        j.text_in(fields, "reachability"),
        {known: j.texts_in(fields, name) for name, known in _LISTS.items()},
    )


def kubo_text(text: str) -> OverlayStatus:
    """The status that such a text tells."""
    state, current = "", None
    found: dict[str, list[str]] = {name: [] for name in _LISTS}
    for line in text.splitlines()[: 3 * j.MOST]:
        words = line.strip()[: j.LONGEST]
        name, colon, rest = words.partition(":")
        if name.lower() == "reachability" and colon and rest.strip():
            state = rest.strip()
        elif colon and not rest and name.lower() in found:
            current = name.lower()
        elif words.startswith("/") and current is not None:
            found[current].append(words)
    return _status(state, {_LISTS[name]: lines for name, lines in found.items()})


def _status(state: str, found: dict[bool | None, Iterable[str]]) -> OverlayStatus:
    """An entry for each address, with its own name."""
    peers = [address_of_node(text, reachable) for reachable, texts in found.items() for text in texts]
    return OverlayStatus(
        program="kubo",
        state=state.lower(),
        endpoints=tuple(dict.fromkeys(each.endpoint for each in peers if each.endpoint)),
        peers=tuple(peers[: j.MOST]),
    )


def address_of_node(text: str, reachable: bool | None) -> OverlayPeer:
    """An entry for an address of a node's, as libp2p writes it."""
    at = _ADDRESS.match(text)
    endpoint = ""
    if at is not None:
        endpoint = j.endpoint_of(
            f"{at['four']}:{at['port']}" if at["four"] else f"[{at['six']}]:{at['port']}"
        )
    relayed = "/p2p-circuit" in text
    return OverlayPeer(
        name=text,
        path="relay" if relayed else "unknown",
        endpoint="" if relayed else endpoint,
        relay=endpoint if relayed else "",
        reachable=reachable,
    )
