"""Verdicts: which technique works here."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

TechniqueId = Literal[
    "direct-ipv4",
    "direct-ipv6",
    "upnp-igd",
    "nat-pmp",
    "pcp",
    "udp-punch",
    "udp-birthday",
    "tcp-punch",
    "pwnat",
    "relay-turn",
    "relay-derp",
    "lan",
    "libp2p",
    "tailscale",
]
TECHNIQUE_IDS: tuple[TechniqueId, ...] = get_args(TechniqueId)
Verdict = Literal["works", "fails", "unknown", "skipped"]


class Technique(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict and what it rests on. `confidence` in 0..1; `evidence` are observation ids.

    `summary` gives the reason in one sentence (for "unknown" and "skipped": what would settle it);
    `advice` says what the user can do, or is empty.
    """

    id: TechniqueId
    verdict: Verdict
    confidence: float
    summary: str
    advice: str = ""
    evidence: tuple[int, ...] = ()
