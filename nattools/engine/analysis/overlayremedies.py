"""What makes more peers direct of other programs than Tailscale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nattools.model.overlay import OverlayProgram
from nattools.model.statement import Reason, statement

_PORTS: Final[Mapping[OverlayProgram, int]] = {
    "netbird": 51820,
    "zerotier": 9993,
    "kubo": 4001,
    "libp2p": 4001,
}
"""Where they listen unless told otherwise."""


def helps_with(program: OverlayProgram) -> Reason:
    """What makes more peers of another program than Tailscale direct, whatever their networks are."""
    if program == "webrtc":
        return (statement("webrtc-opens-no-ports"),)
    return (statement("open-port-of-program", port=_PORTS[program]),)
