"""WebRTC statistics: the dump of `chrome://webrtc-internals`, or what `getStats()` gives, as a list or an
object of its dictionaries (W3C, Identifiers for WebRTC's Statistics API)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from nattools.model.overlay import OverlayPath, OverlayPeer, OverlayStatus
from nattools.protocols.overlays import jsonfields as j

_KINDS = ("candidate-pair", "local-candidate", "remote-candidate", "transport")
_MANY = 200_000
"""Characters of a series of values."""
Stats = Mapping[str, dict[str, Any]]
"""By id: the last values of one dictionary."""


def is_webrtc(value: Any) -> bool:
    """Does it look like one of them?"""
    if isinstance(value, dict) and isinstance(value.get("PeerConnections"), dict):
        return True
    parts = list(value.values())[:500] if isinstance(value, dict) else value
    parts = parts[:500] if isinstance(parts, list) else []
    return any(isinstance(each, dict) and each.get("type") in _KINDS for each in parts)


def webrtc_stats(value: Any) -> OverlayStatus:
    """A peer for each connection. ProtocolError: there is none in it."""
    if isinstance(value, dict) and isinstance(value.get("PeerConnections"), dict):
        found = [
            (j.text_in(each, "url") or name[: j.LONGEST], _series(j.fields_in(each, "stats")))
            for name, each in list(value["PeerConnections"].items())[:100]
            if isinstance(each, dict)
        ]
        agent = j.text_in(value, "UserAgent")
    else:
        parts = value.values() if isinstance(value, dict) else value
        found, agent = [("connection", _by_id(list(parts)[: j.MOST]))], ""
    return OverlayStatus(
        program="webrtc",
        version=agent,
        endpoints=tuple(dict.fromkeys(at for _, stats in found for at in _own(stats))),
        peers=tuple(_peer(name, stats) for name, stats in found),
    )


def _by_id(parts: list[Any]) -> Stats:
    dictionaries = [each for each in parts if isinstance(each, dict)]
    return {j.text_in(each, "id"): each for each in dictionaries if j.text_in(each, "id")}


def _series(stats: j.Fields) -> Stats:
    """A dump has each value of a dictionary by itself, as `ID-NAME`, with all that it was over time."""
    found: dict[str, dict[str, Any]] = {}
    for key, each in list(stats.items())[: 40 * j.MOST]:
        if not isinstance(each, dict):
            continue
        identity, _, name = key.rpartition("-")
        kind = j.text_in(each, "statsType")
        if identity and kind in _KINDS:
            part = found.setdefault(identity[: j.LONGEST], {"type": kind, "id": identity[: j.LONGEST]})
            part[name] = _last(each.get("values"))
    return found


def _last(values: Any) -> Any:
    if isinstance(values, str) and len(values) <= _MANY:
        try:
            values = msgspec.json.decode(values)
        except (msgspec.DecodeError, RecursionError):
            return None
    return values[-1] if isinstance(values, list) and values else None


def _of_kind(stats: Stats, kind: str) -> Iterator[dict[str, Any]]:
    return (each for each in stats.values() if each.get("type") == kind)


def _own(stats: Stats) -> Iterator[str]:
    """The local candidates that are addresses of this machine's or its NAT's."""
    for each in _of_kind(stats, "local-candidate"):
        at = _endpoint(each)
        if at and j.text_in(each, "candidateType") != "relay":
            yield at


def _peer(name: str, stats: Stats) -> OverlayPeer:
    pair = _chosen(stats)
    remote = stats.get(j.text_in(pair, "remoteCandidateId"), {}) if pair else {}
    local = stats.get(j.text_in(pair, "localCandidateId"), {}) if pair else {}
    kinds = {j.text_in(remote, "candidateType"), j.text_in(local, "candidateType")}
    path: OverlayPath = "none" if pair is None else "relay" if "relay" in kinds else "direct"
    rtt = j.number_in(pair, "currentRoundTripTime") if pair else None
    relay = j.text_in(local, "url") or j.text_in(local, "relayProtocol") if "relay" in kinds else ""
    return OverlayPeer(
        name=name,
        path=path,
        endpoint=_endpoint(remote),
        relay=relay,
        endpoints=tuple(
            at
            for each in _of_kind(stats, "remote-candidate")
            if j.text_in(each, "candidateType") != "relay" and (at := _endpoint(each))
        ),
        latency_ms=None if rtt is None else round(1000 * rtt, 3),
    )


def _chosen(stats: Stats) -> dict[str, Any] | None:
    """The candidate pair in use: the transport's, else one that was nominated and succeeded."""
    pairs = {j.text_in(each, "id"): each for each in _of_kind(stats, "candidate-pair")}
    for transport in _of_kind(stats, "transport"):
        named = j.text_in(transport, "selectedCandidatePairId")
        if named in pairs:
            return pairs[named]
    good = [each for each in pairs.values() if j.text_in(each, "state") in ("succeeded", "in-progress")]
    named_ones = [each for each in good if j.flag_in(each, "nominated") or j.flag_in(each, "selected")]
    done = [each for each in named_ones if j.text_in(each, "state") == "succeeded"]
    return done[0] if done else None


def _endpoint(candidate: j.Fields) -> str:
    host = j.text_in(candidate, "address") or j.text_in(candidate, "ip")
    port = j.number_in(candidate, "port")
    if not host or port is None:
        return ""
    return j.endpoint_of(f"[{host}]:{port:.0f}" if ":" in host else f"{host}:{port:.0f}")
