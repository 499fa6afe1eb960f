"""A relay tried, as it was seen."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.endpoint import Family
from nattools.model.observed import Observation
from nattools.model.relay import RelayKind, RelayStep, RelayTransport

RelayCause = Literal[
    "error",  # its own error code says why
    "timeout",  # no answer
    "unresolved",  # its name has no address
    "refused",  # nothing listens at that port
    "unreachable",
    "prohibited",  # a firewall rejects it
    "not-tls",  # what answers there does not speak TLS, or not as it should
    "certificate",  # its certificate is not valid for its name
    "not-a-relay",  # something else answered
    "captive-portal",  # a network that wants a log-in answered
    "challenge",  # its challenge makes no sense, or asks for what is not supported
    "no-credentials",  # it asks for credentials, and none are at hand
    "expired",  # time-limited credentials whose time is over
    "verifies",  # it lets only known keys in
    "closed",  # it ended the connection
    "private-address",  # nothing came through, and the address that it gives is private
    "nothing-relayed",  # it grants all that is asked for, and nothing comes through
    "not-reached",  # what it relays leaves it, but nothing reaches its relayed address from outside
    "other-address",  # it can be reached, but at another address than the one that it gives
    "inward-only",  # what is sent to the relayed address comes, and nothing leaves by it
    "missing",  # nattools lacks something here
]


class RelayFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why the last of the steps failed. `code`: the server's own error code (RFC 8656 19.2, RFC 6062 6.3)."""

    cause: RelayCause
    code: int | None = None
    detail: str = ""


class RelayTrial(Observation, frozen=True, kw_only=True, tag="relay-trial"):
    """One relay, tried by one transport: the `steps` up to the first that failed, with `failure` saying why.
    `through`: a byte was to be relayed; False: it was only asked for the direct round trip.

    `sent` datagrams were to come back through the relay; `trips_s` are the round trips of those that did, in
    seconds, in the order in which they were sent; `reordered` of them came behind a later one. `back_by`: how
    they came back, by an own port, by a second allocation at the relay, or to the sender itself. `direct_s`:
    round trips to the same host without relaying, `direct_sent` of them asked for. `carried_bytes` arrived
    within `carried_s` when as much as would go was sent. `mtu` as in `Relay`.
    """

    relay: RelayKind
    uri: str
    region: str = ""
    transport: RelayTransport
    family: Family | None = None
    server: str | None = None
    through: bool = True
    steps: tuple[RelayStep, ...] = ()
    failure: RelayFailure | None = None
    relayed: str | None = None
    back_by: Literal["own-port", "second-allocation", "itself"] | None = None
    sent: int = 0
    trips_s: tuple[float, ...] = ()
    reordered: int = 0
    direct_sent: int = 0
    direct_s: tuple[float, ...] = ()
    mtu: int | None = None
    carried_bytes: int = 0
    carried_s: float = 0.0
