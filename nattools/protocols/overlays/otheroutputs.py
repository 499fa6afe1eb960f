"""What the same programs print that is no status, so that whoever gives it is told what to give instead."""

from __future__ import annotations

import re
from typing import Any, Final

_TAILSCALE: Final = "tailscale status --json"
_NETBIRD: Final = "netbird status --json"
_ZEROTIER: Final = "zerotier-cli peers -j"
_TEXTS: Final[tuple[tuple[str, str, str], ...]] = (
    (r"200 (list)?peers\b", "what zerotier-cli prints for people", _ZEROTIER),
    (r"200 (info|listnetworks)\b", "what zerotier-cli says of itself and its networks", _ZEROTIER),
    (
        r"(Peers detail:|Daemon (status|version):|OS: |Management: )",
        "what netbird status prints for people",
        _NETBIRD,
    ),
    (r"(peers|cliVersion|daemonVersion):\s", "what netbird status prints as YAML", _NETBIRD),
    (
        r"(100\.\d+\.\d+\.\d+\s+\S|Tailscale is stopped|Logged out|# Health check)",
        "what tailscale status prints for people",
        _TAILSCALE,
    ),
    (r"(\d{4}/\d\d/\d\d .*\n)*\s*Report:", "what tailscale netcheck prints for people", _TAILSCALE),
    (r"pong from ", "what tailscale ping prints", _TAILSCALE),
    (r"(?i)<(!doctype )?html", "a page of HTML", "what getStats() gives, as JSON"),
)
"""How each begins; what that is; what is read here instead."""
_FIELDS: Final[tuple[tuple[str, str, str], ...]] = (
    ("RegionLatency", "what tailscale netcheck prints", _TAILSCALE),
    ("Regions", "a DERP map (--derp-map takes it)", _TAILSCALE),
    ("planetWorldId", "what zerotier-cli info prints", _ZEROTIER),
    ("nwid", "what zerotier-cli listnetworks prints", _ZEROTIER),
    ("schema", "a report, as nattools saves it", "what the other program prints"),
)
"""A field of JSON that only it has; what that is; what is read here instead."""


def other_text(text: str) -> str:
    """What a text is and what to give instead, "" where that is not known."""
    return next((_instead(what, wanted) for begin, what, wanted in _TEXTS if re.match(begin, text)), "")


def other_json(value: Any) -> str:
    """What another command's JSON is, and what is read in its place; "" if it is not known."""
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, dict):
        return ""
    return next((_instead(what, wanted) for field, what, wanted in _FIELDS if field in first), "")


def _instead(what: str, wanted: str) -> str:
    return f"it is {what}; what is read here is: {wanted}"
