"""A verdict for every technique that the report promises, in its order."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from nattools.engine.analysis.direct import direct
from nattools.engine.analysis.mapped import nat_pmp, pcp, upnp_igd
from nattools.engine.analysis.punching import tcp_punch, udp_birthday, udp_punch
from nattools.engine.analysis.situation import Situation
from nattools.model.technique import TECHNIQUE_IDS, Technique, TechniqueId

_MEASURED: dict[TechniqueId, Callable[[Situation], Technique]] = {
    "direct-ipv4": partial(direct, family=4),
    "direct-ipv6": partial(direct, family=6),
    "upnp-igd": upnp_igd,
    "nat-pmp": nat_pmp,
    "pcp": pcp,
    "udp-punch": udp_punch,
    "udp-birthday": udp_birthday,
    "tcp-punch": tcp_punch,
}
_MEANWHILE: dict[TechniqueId, str] = {
    "pwnat": "The pwnat program tries it; both ends need it.",
    "relay-turn": "turnutils_uclient (coturn) tries a TURN server.",
    "relay-derp": "tailscale netcheck shows the latency to its DERP relays.",
    "lan": "ping tells whether a machine on your own network answers.",
    "libp2p": "A libp2p node's own AutoNAT tells whether others reach it.",
    "tailscale": "tailscale netcheck and tailscale ping tell.",
}


_OF_MAP: tuple[TechniqueId, ...] = ("upnp-igd", "nat-pmp", "pcp")


def techniques(situation: Situation) -> tuple[Technique, ...]:
    """All of them, but of `map` its own. What this version has no probe for is skipped, and says so."""
    asked: tuple[TechniqueId, ...] = TECHNIQUE_IDS
    if situation.measurement.command == "map":
        asked = _OF_MAP if situation.measurement.action == "probe" else ()
    return tuple([_MEASURED[name](situation) if name in _MEASURED else _skipped(name) for name in asked])


@cache
def _skipped(name: TechniqueId) -> Technique:
    return Technique(
        id=name,
        verdict="skipped",
        confidence=1.0,
        summary="This version has no probe for it yet.",
        advice=_MEANWHILE[name],
    )
