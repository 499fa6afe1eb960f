"""What makes more peers direct of other programs than Tailscale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nattools.model.overlay import OverlayProgram
from nattools.model.statement import Reason, Statement, statement

_PORTS: Final[Mapping[OverlayProgram, int]] = {
    "netbird": 51820,
    "zerotier": 9993,
    "kubo": 4001,
    "libp2p": 4001,
    "ipfs": 4001,
}
"""Where they listen unless told otherwise."""


def helps_with(program: OverlayProgram) -> Reason:
    """What makes more peers of another program than Tailscale direct, whatever their networks are."""
    if program == "webrtc":
        return (statement("webrtc-opens-no-ports"),)
    return (statement("open-port-of-program", port=_PORTS[program]),)


def look_at_lan(program: OverlayProgram) -> Reason:
    """What to do where a peer on this very network is relayed."""
    if program == "tailscale":
        return (statement("look-at-lan"),)
    if program == "webrtc":
        return (statement("look-at-lan-alone"),)
    return (statement("look-at-lan-port", port=_PORTS[program]),)


def measure_there(program: OverlayProgram) -> Statement:
    """What to do where the reason is the peer's network."""
    return statement("measure-at-peer" if program == "tailscale" else "measure-nat-at-peer")
