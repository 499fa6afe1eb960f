"""Which program printed this?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from nattools.errors import ProtocolError
from nattools.model.overlay import OverlayStatus
from nattools.protocols.overlays.tailscalestatus import is_tailscale, tailscale_status

MAX_STATUS: Final = 16 << 20
"""Bytes of a status."""
_PROGRAMS: tuple[tuple[Callable[[Any], bool], Callable[[Any], OverlayStatus]], ...] = (
    (is_tailscale, tailscale_status),
)
_KNOWN: Final = "tailscale status --json"


def parse_status(data: bytes) -> OverlayStatus:
    """The status in a file, whichever of these programs printed it. ProtocolError: it is none of theirs."""
    if len(data) > MAX_STATUS:
        raise ProtocolError(f"a status of more than {MAX_STATUS} bytes")
    value = _decoded(data)
    for recognises, parse in _PROGRAMS:
        if recognises(value):
            return parse(value)
    raise ProtocolError(f"it is not what a program known here prints: {_KNOWN}")


def _decoded(data: bytes) -> Any:
    """JSON."""
    text = data.decode("utf-8-sig", "replace").strip()
    if not text:
        raise ProtocolError("it is empty")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(f"it is not JSON: {error}") from None
