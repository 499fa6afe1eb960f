"""`netbird status --json`, as NetBird's clients print it since 0.25."""

from __future__ import annotations

from typing import Any, Final

from nattools.model.overlay import OverlayPath, OverlayPeer, OverlayStatus
from nattools.protocols.overlays import jsonfields as j

_NANOSECONDS_A_MS: Final = 1e6
_WAYS: dict[str, OverlayPath] = {"p2p": "direct", "relayed": "relay", "relayed (turn)": "relay"}


def is_netbird(value: Any) -> bool:
    """Does it look like that program's?"""
    return isinstance(value, dict) and "daemonVersion" in value and isinstance(value.get("peers"), dict)


def netbird_status(value: Any) -> OverlayStatus:
    """ProtocolError: it is no such status."""
    fields = j.fields_of(value, "a NetBird status")
    own = j.address_of(j.text_in(fields, "netbirdIp"))
    management, signal = j.fields_in(fields, "management"), j.fields_in(fields, "signal")
    return OverlayStatus(
        program="netbird",
        version=j.text_in(fields, "daemonVersion"),
        name=j.text_in(fields, "fqdn").partition(".")[2],
        state=_state(fields, management),
        addresses=(own,) if own else (),
        routes=j.networks_in(fields, "networks") or j.networks_in(fields, "routes"),
        kernel=j.flag_in(fields, "usesKernelInterface"),
        problems=tuple(
            f"{name}: {problem}"
            for name, part in (("management", management), ("signal", signal))
            if (problem := j.text_in(part, "error"))
        )
        + _relay_problems(fields),
        peers=tuple(_peer(each) for each in j.objects_in(j.fields_in(fields, "peers"), "details")),
    )


def _state(fields: j.Fields, management: j.Fields) -> str:
    """The daemon's own word, which it says since 0.49; before, whether its management answers."""
    own = j.text_in(fields, "daemonStatus")
    connected = j.flag_in(management, "connected")
    if own and (own != "Connected" or connected is not False):
        return own
    return "Connected" if connected else "Disconnected"


def _relay_problems(fields: j.Fields) -> tuple[str, ...]:
    """Relays and STUN servers that it does not reach."""
    relays = list(j.objects_in(j.fields_in(fields, "relays"), "details"))[:20]
    failed = [each for each in relays if j.flag_in(each, "available") is False and j.text_in(each, "uri")]
    return tuple(
        f"{j.text_in(each, 'uri')}: {j.text_in(each, 'error') or 'not available'}" for each in failed
    )


def _peer(fields: j.Fields) -> OverlayPeer:
    address = j.address_of(j.text_in(fields, "netbirdIp"))
    state = j.text_in(fields, "status").lower()
    connected = state == "connected"
    written = j.text_in(fields, "lastWireguardHandshake")
    path: OverlayPath = _WAYS.get(j.text_in(fields, "connectionType").lower(), "unknown")
    if path == "direct" and _relays(fields):
        path = "relay"
    latency = j.number_in(fields, "latency")
    away = state == "disconnected"
    return OverlayPeer(
        name=j.text_in(fields, "fqdn") or address or "?",
        addresses=(address,) if address else (),
        online=True if connected else None,
        path=path if connected else "trying" if state == "connecting" else "unknown" if away else "none",
        answers=False if away else None,
        handshake=not written.startswith("0001-01-01") if written else None,
        endpoint=j.endpoint_of(j.text_in(j.fields_in(fields, "iceCandidateEndpoint"), "remote")),
        relay=j.text_in(fields, "relayAddress"),
        routes=j.networks_in(fields, "networks") or j.networks_in(fields, "routes"),
        latency_ms=None if not latency else round(latency / _NANOSECONDS_A_MS, 3),
    )


def _relays(fields: j.Fields) -> bool:
    """Is one of the two candidates a relay's?"""
    kinds = j.fields_in(fields, "iceCandidateType")
    return "relay" in (j.text_in(kinds, "local"), j.text_in(kinds, "remote"))
