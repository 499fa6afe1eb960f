"""Which program printed this?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from nattools.errors import ProtocolError
from nattools.model.overlay import OverlayStatus
from nattools.protocols.givenfiles import as_utf8, unpacked
from nattools.protocols.overlays.announcedaddresses import announced_addresses, is_announcement
from nattools.protocols.overlays.kuboaddresses import is_kubo, is_kubo_text, kubo_addresses, kubo_text
from nattools.protocols.overlays.netbirdstatus import is_netbird, netbird_status
from nattools.protocols.overlays.otheroutputs import other_json, other_text
from nattools.protocols.overlays.swarmpeers import is_swarm, is_swarm_text, swarm_peers, swarm_text
from nattools.protocols.overlays.tailscalestatus import is_tailscale, tailscale_status
from nattools.protocols.overlays.webrtcstats import is_webrtc, webrtc_stats
from nattools.protocols.overlays.zerotierpeers import is_zerotier, zerotier_peers

MAX_STATUS: Final = 16 << 20
"""Bytes of a status, also of one that was compressed."""
_PROGRAMS: Final[tuple[tuple[Callable[[Any], bool], Callable[[Any], OverlayStatus]], ...]] = (
    (is_tailscale, tailscale_status),
    (is_netbird, netbird_status),
    (is_zerotier, zerotier_peers),
    (is_webrtc, webrtc_stats),
    (is_kubo, kubo_addresses),
    (is_swarm, swarm_peers),
    (is_announcement, announced_addresses),
)
_KNOWN: Final = (
    "tailscale status --json, netbird status --json, zerotier-cli peers -j, a dump of "
    "chrome://webrtc-internals or about:webrtc, ipfs swarm addrs autonat, ipfs swarm peers -v, ipfs id"
)
_PREAMBLE: Final = 50
"""Lines before the JSON in which a program warns of something."""


def parse_status(data: bytes) -> OverlayStatus:
    """The status in a file, whichever of these programs printed it: as UTF-8, or as UTF-16 (a redirection in
    PowerShell), compressed by gzip or not, with warnings before it or without. ProtocolError: it is none of
    theirs."""
    text = _text(data)
    if not text:
        raise ProtocolError("it is empty")
    if is_kubo_text(text):
        return kubo_text(text)
    if is_swarm_text(text):
        return swarm_text(text)
    value = _value(text)
    if value == []:
        raise ProtocolError("it is an empty list: whoever printed it knew of no peers")
    for recognises, parse in _PROGRAMS:
        if recognises(value):
            return parse(value)
    raise ProtocolError(other_json(value) or f"it is nothing that is known here, which is: {_KNOWN}")


def _text(data: bytes) -> str:
    data = unpacked(data, MAX_STATUS)
    if len(data) > MAX_STATUS:
        raise ProtocolError(f"a status of more than {MAX_STATUS >> 20} MiB")
    return as_utf8(data).decode(errors="replace").strip()


def _value(text: str) -> Any:
    """What the JSON in a text says. ProtocolError: there is none."""
    first: Exception | None = None
    for part in _parts(text):
        try:
            return msgspec.json.decode(part)
        except (msgspec.DecodeError, RecursionError) as error:
            first = first or error
    raise ProtocolError(other_text(text) or f"it is not JSON: {first}; what is read here is: {_KNOWN}")


def _parts(text: str) -> Iterator[str]:
    """The whole, and what is left of it without lines of another kind before and after."""
    yield text
    lines = text.split("\n", _PREAMBLE)
    begin = next((number for number, line in enumerate(lines) if line.lstrip().startswith(("{", "["))), 0)
    kept = "\n".join(lines[begin:])
    end = max(kept.rfind("}"), kept.rfind("]")) + 1
    if end and (begin or end < len(kept)):
        yield kept[:end]
