"""`tailscale status --json`, as Tailscale's clients print it (package ipnstate; headscale's are the same
programs). In early versions a machine has one address, `TailAddr`, and nothing says whether packets go to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from nattools.model.overlay import OverlayPath, OverlayPeer, OverlayStatus
from nattools.protocols.overlays import jsonfields as j

_ALL: Final = ("0.0.0.0/0", "::/0")
_NEVER: Final = "0001-01-01"
"""How Go writes that something never happened."""


def is_tailscale(value: Any) -> bool:
    """Does it look like that program's?"""
    return isinstance(value, dict) and "BackendState" in value and ("Self" in value or "Peer" in value)


def tailscale_status(value: Any) -> OverlayStatus:
    """ProtocolError: it is no such status."""
    fields = j.fields_of(value, "a Tailscale status")
    own, tailnet = j.fields_in(fields, "Self"), j.fields_in(fields, "CurrentTailnet")
    listed = [each for each in j.fields_in(fields, "Peer").values() if isinstance(each, dict)]
    peers = [each for each in listed if not _is_for_hire(each) and not _is_guest(each)][: j.MOST]
    suffix = j.text_in(tailnet, "MagicDNSSuffix") or j.text_in(fields, "MagicDNSSuffix")
    exit_node = j.fields_in(fields, "ExitNodeStatus")
    return OverlayStatus(
        program="tailscale",
        version=j.text_in(fields, "Version"),
        name=j.text_in(tailnet, "Name") or suffix,
        state=j.text_in(fields, "BackendState"),
        addresses=_addresses(own) or j.addresses_in(fields, "TailscaleIPs"),
        endpoints=j.endpoints_in(own, "Addrs"),
        relay=j.text_in(own, "Relay"),
        routes=j.networks_in(own, "PrimaryRoutes"),
        exit_node=_exit_node(exit_node, peers),
        exit_online=_exit_online(exit_node, peers),
        kernel=j.flag_in(fields, "TUN"),
        problems=j.texts_in(fields, "Health")[:20],
        peers=tuple(_peer(each) for each in peers),
    )


def _is_for_hire(fields: j.Fields) -> bool:
    """An exit node that a provider has somewhere, which no tailnet's own machine is: there are hundreds, and
    `tailscale status` for people leaves them out too unless one is in use."""
    placed = isinstance(fields.get("Location"), dict) and bool(j.flag_in(fields, "ExitNodeOption"))
    return placed and not j.flag_in(fields, "ExitNode")


def _is_guest(fields: j.Fields) -> bool:
    """A machine of somebody with whom one of this tailnet's is shared: it may call here and cannot be called,
    and `tailscale status` for people leaves it out too."""
    return j.flag_in(fields, "ShareeNode") is True and not j.flag_in(fields, "Active")


def _addresses(fields: j.Fields) -> tuple[str, ...]:
    """A machine's own in the tailnet."""
    before = j.address_of(j.text_in(fields, "TailAddr"))
    return j.addresses_in(fields, "TailscaleIPs") or ((before,) if before else ())


def _exit_node(status: j.Fields, peers: Sequence[j.Fields]) -> str:
    """An address of the peer that all traffic goes through; "" if there is none."""
    named = j.addresses_in(status, "TailscaleIPs")
    chosen = next((each for each in peers if j.flag_in(each, "ExitNode")), None)
    if not named and chosen is not None:
        named = _addresses(chosen) or (_name(chosen),)
    return named[0] if named else ""


def _exit_online(status: j.Fields, peers: Sequence[j.Fields]) -> bool | None:
    """Is the peer there that all traffic goes through? None: not told, or there is none."""
    chosen: j.Fields = next((each for each in peers if j.flag_in(each, "ExitNode")), {})
    told = j.flag_in(status, "Online")
    return j.flag_in(chosen, "Online") if told is None else told


def _name(fields: j.Fields) -> str:
    """As `tailscale ping` takes it."""
    return j.text_in(fields, "DNSName").split(".")[0] or j.text_in(fields, "HostName")


def _peer(fields: j.Fields) -> OverlayPeer:
    own = _addresses(fields)
    routes = (*j.networks_in(fields, "PrimaryRoutes"), *j.networks_in(fields, "AllowedIPs"))
    hosts = {f"{address}/{128 if ':' in address else 32}" for address in own}
    return OverlayPeer(
        name=_name(fields) or (own[0] if own else "?"),
        addresses=own,
        online=j.flag_in(fields, "Online"),
        active=j.flag_in(fields, "Active"),
        expired=j.flag_in(fields, "Expired") is True,
        path=_path(fields),
        handshake=_handshake(fields),
        endpoint=j.endpoint_of(j.text_in(fields, "CurAddr")),
        relay=j.text_in(fields, "PeerRelay") or j.text_in(fields, "Relay"),
        endpoints=j.endpoints_in(fields, "Addrs"),
        routes=tuple(dict.fromkeys(each for each in routes if each not in hosts and each not in _ALL)),
    )


def _handshake(fields: j.Fields) -> bool | None:
    """Have keys been agreed on since the client was started? It counts what it received since then, too."""
    written, received = j.text_in(fields, "LastHandshake"), j.number_in(fields, "RxBytes")
    if received:
        return True
    return not written.startswith(_NEVER) if written and received is not None else None


def _path(fields: j.Fields) -> OverlayPath:
    """What `tailscale status` makes of the same fields: a current address means direct, none and a relay mean
    relayed, as long as there is traffic."""
    if j.endpoint_of(j.text_in(fields, "CurAddr")):
        return "direct"
    if j.text_in(fields, "PeerRelay"):
        return "peer-relay"
    if not j.flag_in(fields, "Active"):
        return "none" if "Active" in fields else "unknown"
    written = j.text_in(fields, "LastWrite")
    if written.startswith(_NEVER):
        return "none"
    return "relay" if j.text_in(fields, "Relay") else "unknown"
