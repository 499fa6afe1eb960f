"""WebRTC statistics: the dump of `chrome://webrtc-internals`, or what `getStats()` gives: a list of its
dictionaries, an object of them, a list of its entries, or a list of such for several connections (W3C,
Identifiers for WebRTC's Statistics API; some browsers and libraries write names of before the standard); or
what Firefox's `about:webrtc` copies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from nattools.model.overlay import OverlayPath, OverlayPeer, OverlayStatus
from nattools.protocols.overlays import jsonfields as j
from nattools.protocols.overlays.firefoxstats import firefox_connections, is_firefox

_KINDS = ("candidate-pair", "local-candidate", "remote-candidate", "transport")
_OLD_KINDS: Final = {
    "candidatepair": "candidate-pair",
    "localcandidate": "local-candidate",
    "remotecandidate": "remote-candidate",
}
_RELAYED: Final = ("relay", "relayed")
_RELAYS_ALONE: Final = re.compile(r"iceTransportPolicy[\"']?\s*:\s*[\"']?relay\b")
_MOST_CONNECTIONS: Final = 100
_MANY = 200_000
"""Characters of a series of values."""
Stats = Mapping[str, dict[str, Any]]
"""By id: the last values of one dictionary."""


def is_webrtc(value: Any) -> bool:
    """Does it look like one of them?"""
    if isinstance(value, dict) and isinstance(value.get("PeerConnections"), dict):
        return True
    return is_firefox(value) or any(_kind(part) for each in _connections(value) for part in _flat(each)[:500])


def _kind(part: j.Fields) -> str:
    """A dictionary's type, by its name of today; "" if it is none of those that tell of paths."""
    kind = part.get("type")
    kind = _OLD_KINDS.get(kind, kind) if isinstance(kind, str) else ""
    return kind if kind in _KINDS else ""


def _flat(value: Any) -> list[dict[str, Any]]:
    """The dictionaries of one connection, however they were put together: by themselves, by their ids, or as
    `[id, dictionary]`."""
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    parts = parts[: j.MOST]
    entries = [each[1] if _is_entry(each) else each for each in parts]
    return [each for each in entries if isinstance(each, dict)]


def _is_entry(part: Any) -> bool:
    return isinstance(part, list) and len(part) == 2 and isinstance(part[0], str)


def _connections(value: Any) -> list[Any]:
    """What was given for each connection."""
    parts = value[:_MOST_CONNECTIONS] if isinstance(value, list) else []
    several = [each for each in parts if isinstance(each, list | dict) and not _is_entry(each)]
    several = [each for each in several if any(map(_kind, _flat(each)[:500]))]
    return several or [value]


def webrtc_stats(value: Any) -> OverlayStatus:
    """A peer for each connection. ProtocolError: there is none in it."""
    agent, found = "", list[tuple[str, j.Fields, Stats]]()
    if isinstance(value, dict) and isinstance(value.get("PeerConnections"), dict):
        agent = j.text_in(value, "UserAgent")
        dumped = list(value["PeerConnections"].items())[:_MOST_CONNECTIONS]
        found = [
            (name, each, _series(j.fields_in(each, "stats")))
            for name, each in dumped
            if isinstance(each, dict)
        ]
    elif is_firefox(value):
        found = [(name, given, _by_id(parts)) for name, given, parts in firefox_connections(value)]
    else:
        given = _connections(value)
        names = [
            f"connection {number}" if len(given) > 1 else "connection" for number in range(1, len(given) + 1)
        ]
        found = [(name, {}, _by_id(_flat(each))) for name, each in zip(names, given, strict=True)]
    return OverlayStatus(
        program="webrtc",
        version=agent,
        endpoints=tuple(dict.fromkeys(at for _, _, stats in found for at in _own(stats))),
        peers=tuple(_peer(name, settings, stats) for name, settings, stats in found),
    )


def _by_id(parts: list[dict[str, Any]]) -> Stats:
    named = [each for each in parts if j.text_in(each, "id")]
    return {j.text_in(each, "id"): {**each, "type": _kind(each)} for each in named}


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
        if at and not _is_relayed(each):
            yield at


def _peer(name: str, settings: j.Fields, stats: Stats) -> OverlayPeer:
    pair = _chosen(stats)
    remote = stats.get(j.text_in(pair, "remoteCandidateId"), {}) if pair else {}
    local = stats.get(j.text_in(pair, "localCandidateId"), {}) if pair else {}
    relayed = _is_relayed(remote) or _is_relayed(local)
    path: OverlayPath = "relay" if relayed else "direct"
    if pair is None or j.text_in(pair, "state") == "failed":
        path = _unchosen(stats)
    rtt = j.number_in(pair, "currentRoundTripTime") if pair else None
    return OverlayPeer(
        name=j.text_in(settings, "url") or name[: j.LONGEST],
        path=path,
        endpoint=_endpoint(remote),
        relay=_relay(local) if _is_relayed(local) else _endpoint(remote) if relayed else "",
        endpoints=tuple(
            at
            for each in _of_kind(stats, "remote-candidate")
            if not _is_relayed(each) and (at := _endpoint(each))
        ),
        latency_ms=None if rtt is None else round(1000 * rtt, 3),
        relayed_alone=_relayed_alone(settings, stats),
    )


def _is_relayed(candidate: j.Fields) -> bool:
    return j.text_in(candidate, "candidateType") in _RELAYED


def _relay(candidate: j.Fields) -> str:
    """The relay, or if a browser does not tell that, how it is spoken to."""
    over = j.text_in(candidate, "relayProtocol")
    return j.text_in(candidate, "url") or (f"TURN over {over.upper()}" if over else "")


def _relayed_alone(settings: j.Fields, stats: Stats) -> bool:
    """Was this side told to offer relayed addresses alone, or did it offer no others? A single one may be all
    that whoever wrote it down kept."""
    offered = list(_of_kind(stats, "local-candidate"))
    told = settings.get("rtcConfiguration")
    if isinstance(told, str) and _RELAYS_ALONE.search(told[:_MANY]):
        return True
    if j.text_in(j.fields_in(settings, "configuration"), "iceTransportPolicy") == "relay":
        return True
    return len(offered) > 1 and all(map(_is_relayed, offered))


def _unchosen(stats: Stats) -> OverlayPath:
    """What came of the pairs where none is in use."""
    states = [j.text_in(each, "state") for each in _of_kind(stats, "candidate-pair")]
    if not states:
        return "none"
    return "failed" if all(state in ("failed", "cancelled") for state in states) else "trying"


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
    return next((each for each in done if j.flag_in(each, "selected")), done[0] if done else None)


def _endpoint(candidate: j.Fields) -> str:
    host = next(filter(None, (j.text_in(candidate, name) for name in ("address", "ip", "ipAddress"))), "")
    port = next(
        (at for name in ("port", "portNumber") if (at := j.number_in(candidate, name)) is not None), None
    )
    if not host or port is None:
        return ""
    return j.endpoint_of(f"[{host}]:{port:.0f}" if ":" in host else f"{host}:{port:.0f}")
