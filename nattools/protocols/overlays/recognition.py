"""Which program printed this?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from nattools.errors import ProtocolError
from nattools.model.overlay import OverlayStatus
from nattools.protocols.overlays.kuboaddresses import is_kubo, is_kubo_text, kubo_addresses, kubo_text
from nattools.protocols.overlays.netbirdstatus import is_netbird, netbird_status
from nattools.protocols.overlays.tailscalestatus import is_tailscale, tailscale_status
from nattools.protocols.overlays.webrtcstats import is_webrtc, webrtc_stats
from nattools.protocols.overlays.zerotierpeers import is_zerotier, zerotier_peers

MAX_STATUS: Final = 16 << 20
"""Bytes of a status."""
_PROGRAMS: Final[tuple[tuple[Callable[[Any], bool], Callable[[Any], OverlayStatus]], ...]] = (
    (is_tailscale, tailscale_status),
    (is_netbird, netbird_status),
    (is_zerotier, zerotier_peers),
    (is_webrtc, webrtc_stats),
    (is_kubo, kubo_addresses),
)
_KNOWN: Final = (
    "tailscale status --json, netbird status --json, zerotier-cli peers -j, a dump of "
    "chrome://webrtc-internals, ipfs swarm addrs autonat"
)


def parse_status(data: bytes) -> OverlayStatus:
    """The status in a file, whichever of these programs printed it. ProtocolError: it is none of theirs."""
    if len(data) > MAX_STATUS:
        raise ProtocolError(f"a status of more than {MAX_STATUS >> 20} MiB")
    text = data.decode("utf-8-sig", "replace").strip()
    if not text:
        raise ProtocolError("it is empty")
    if is_kubo_text(text):
        return kubo_text(text)
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(f"it is not JSON: {error}") from None
    for recognises, parse in _PROGRAMS:
        if recognises(value):
            return parse(value)
    raise ProtocolError(f"it is nothing that is known here, which is: {_KNOWN}")
