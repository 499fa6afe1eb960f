"""`zerotier-cli peers -j` (or `listpeers -j`), as ZeroTier One prints it since 1.4."""

from __future__ import annotations

from typing import Any

from nattools.errors import ProtocolError
from nattools.model.overlay import OverlayPath, OverlayPeer, OverlayStatus
from nattools.protocols.overlays import jsonfields as j

_ROOTS = ("PLANET", "MOON")
"""Who relays; they are no peers of anybody's network."""
_UNHEARD = "-1.-1.-1"
"""The version of one that has not said which it is, with a latency of -1."""


def is_zerotier(value: Any) -> bool:
    """Does it look like that program's?"""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) and "role" in each and "paths" in each for each in value[:10])
    )


def zerotier_peers(value: Any) -> OverlayStatus:
    """ProtocolError: it is no such list."""
    if not isinstance(value, list):
        raise ProtocolError("a list of ZeroTier's peers is not a list")
    found = [each for each in value[: j.MOST] if isinstance(each, dict)]
    roots = [each for each in found if j.text_in(each, "role") in _ROOTS]
    reached = any(_active(each) for each in roots)
    return OverlayStatus(
        program="zerotier",
        state="online" if reached else "no root answers" if roots else "",
        relay=next((j.text_in(each, "address") for each in roots if _active(each)), ""),
        problems=("its traffic goes over TCP by a relay",) if any(_tunneled(each) for each in found) else (),
        peers=tuple(_peer(each) for each in found if each not in roots),
    )


def _active(fields: j.Fields) -> list[j.Fields]:
    """The paths in use, the preferred one first."""
    paths = [each for each in j.objects_in(fields, "paths") if j.flag_in(each, "active")]
    alive = [each for each in paths if not j.flag_in(each, "expired")]
    return sorted(alive, key=lambda each: not j.flag_in(each, "preferred"))


def _tunneled(fields: j.Fields) -> bool:
    return j.flag_in(fields, "tunneled") is True


def _peer(fields: j.Fields) -> OverlayPeer:
    active, latency = _active(fields), j.number_in(fields, "latency")
    path: OverlayPath = "direct" if active and not _tunneled(fields) else "relay"
    heard = bool(active) or latency is not None or j.text_in(fields, "version") not in ("", _UNHEARD)
    return OverlayPeer(
        name=j.text_in(fields, "address") or "?",
        path=path if heard else "unknown",
        answers=None if heard else False,
        endpoint=_endpoint(active[0]) if active else "",
        endpoints=tuple(at for each in j.objects_in(fields, "paths") if (at := _endpoint(each))),
        latency_ms=latency or None,
    )


def _endpoint(path: j.Fields) -> str:
    """ZeroTier writes `192.0.2.1/9993`."""
    host, _, port = j.text_in(path, "address").rpartition("/")
    return j.endpoint_of(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
