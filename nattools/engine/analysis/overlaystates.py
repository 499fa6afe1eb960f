"""What a program says of itself: whether it runs at all, and what it complains of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nattools.model.overlay import OverlayProgram, OverlayStatus
from nattools.model.statement import Reason, statement

_STATES: Final[Mapping[OverlayProgram, Mapping[str, tuple[str, str]]]] = {
    "tailscale": {
        "Stopped": ("client-stopped", "tailscale up"),
        "NeedsLogin": ("client-logged-out", "tailscale up"),
        "NeedsMachineAuth": ("client-unapproved", ""),
        "InUseOtherUser": ("client-of-another-user", ""),
        "NoState": ("client-starting", ""),
        "Starting": ("client-starting", ""),
    },
    "netbird": {
        "NeedsLogin": ("client-logged-out", "netbird up"),
        "LoginFailed": ("client-logged-out", "netbird up"),
        "SessionExpired": ("client-logged-out", "netbird up"),
        "Idle": ("client-stopped", "netbird up"),
        "Connecting": ("client-starting", ""),
        "Disconnected": ("client-without-management", ""),
    },
    "zerotier": {"no root answers": ("client-without-roots", "")},
}
"""By program and by its word, if it is another than that all is well: what that means, and the command that
mends it."""
_MOST: Final = 3


def own_state(own: OverlayStatus) -> tuple[Reason, Reason]:
    """Why it reaches no peer whatever this network is, and what to do; then its own complaints. Nothing where
    it runs and complains of nothing."""
    code, command = _STATES.get(own.program, {}).get(own.state, ("", ""))
    said = (statement(code),) if code else ()
    remedy = (statement("client-start", command=command),) if command else ()
    if code == "client-unapproved":
        remedy = (statement("client-approve"),)
    if code == "client-without-roots":
        remedy = (statement("client-let-roots"),)
    return (*said, *(statement("client-complains", text=each) for each in own.problems[:_MOST])), remedy


def is_down(own: OverlayStatus) -> bool:
    """Is no peer reached because the program itself is not running, or not logged in?"""
    code, _ = _STATES.get(own.program, {}).get(own.state, ("", ""))
    return bool(code) and code not in ("client-without-roots", "client-without-management")
