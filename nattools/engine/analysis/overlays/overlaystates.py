"""What a program says of itself: whether it runs at all, and what it complains of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nattools.model.overlay import OverlayProgram, OverlayStatus
from nattools.model.statement import Reason, statement

_NO_ROOTS: Final = "no root answers"
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
    "zerotier": {_NO_ROOTS: ("client-without-roots", "")},
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
    if not code and own.exit_node and own.exit_online is False:
        said = (statement("client-exit-away", name=_exit_name(own)),)
        remedy = (statement("client-leave-exit"),)
    elif not code and not own.peers:
        said = (statement("client-without-peers"),)
    complaints = (each.rstrip(". ") for each in own.problems[:_MOST])
    return (*said, *(statement("client-complains", text=each) for each in complaints if each)), remedy


def _exit_name(own: OverlayStatus) -> str:
    """The peer's name, or if it is not listed its address."""
    found = (each.name for each in own.peers if own.exit_node in (each.name, *each.addresses))
    return next(found, own.exit_node)


def lacks_roots(own: OverlayStatus) -> bool:
    """Does nobody relay for ZeroTier?"""
    return own.program == "zerotier" and own.state == _NO_ROOTS


def is_down(own: OverlayStatus) -> bool:
    """Is no peer reached because the program itself is not running, or not logged in?"""
    code, _ = _STATES.get(own.program, {}).get(own.state, ("", ""))
    return bool(code) and code not in ("client-without-roots", "client-without-management")
