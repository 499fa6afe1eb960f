"""libp2p peers asked, as it was seen. Addresses of libp2p are in its own form (`/ip4/.../tcp/...`)."""

from __future__ import annotations

from typing import Literal

from nattools.model.observed import Observation

VisitOutcome = Literal[
    "connected",
    "unresolved",  # its name has no address
    "unsupported",  # a transport that is not spoken here
    "timeout",
    "refused",
    "unreachable",
    "prohibited",
    "reset",
    "error",
    "closed",  # it ended the connection during the handshake
    "protocol",  # what answered is no libp2p peer, or another one
]


class PeerVisit(Observation, frozen=True, kw_only=True, tag="libp2p-visit"):
    """A connection to a peer, from the own endpoint `local` to `remote`. `stage`: what was being agreed on
    when it failed ("connect", "security", "handshake", "multiplexer"). `listening`: the own port listens too,
    and has written to nobody else.

    `peer` is who it proved to be, `agent` and `protocols` what it says of itself, `observed` from where it
    sees us; `rtt_s` of its ping.
    """

    address: str
    outcome: VisitOutcome
    stage: str = ""
    detail: str = ""
    remote: str | None = None
    local: str | None = None
    listening: bool = False
    peer: str | None = None
    identified: bool = False
    agent: str = ""
    protocols: tuple[str, ...] = ()
    observed: str | None = None
    connected_s: float | None = None
    rtt_s: float | None = None


class NameAsked(Observation, frozen=True, kw_only=True, tag="libp2p-name"):
    """A name of libp2p's (`/dnsaddr/NAME`) was asked for the addresses that its TXT records have, and so were
    the names that those lead to. `found`: addresses that may be asked; `refused`: how many of the records
    were of another peer, no addresses, or led to where nothing from outside has to lead. `detail`: why there
    is no address at all."""

    address: str
    asked: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    refused: int = 0
    detail: str = ""


class DialAsked(Observation, frozen=True, kw_only=True, tag="libp2p-dial"):
    """The peer at `server` was asked to dial `asked`, behind which the own endpoint `local` listens (AutoNAT
    v2). `status` and `dial` are its answer; `origin`: from where it came here and said the right number, None
    if it did not. `written_to`: the addresses that the own port had written to, which its NAT may know.
    `paid`: bytes that it wanted first."""

    server: str
    peer: str
    asked: str
    local: str
    outcome: Literal["answered", "unsupported", "too-much-data", "silent", "malformed"]
    status: str | None = None
    dial: str | None = None
    origin: str | None = None
    written_to: tuple[str, ...] = ()
    paid: int = 0
    took_s: float = 0.0


class ReservationAsked(Observation, frozen=True, kw_only=True, tag="libp2p-place"):
    """The relay at `relay` was asked for a place. `status`: its answer. `limit_s` and `limit_octets`: what a
    connection through it may last and carry each way (0: no bound, None: it does not say). `carried`: a
    connection through it to this machine's own place was made and answered a ping after `rtt_s`; None: that
    was not tried."""

    relay: str
    peer: str
    outcome: Literal["answered", "unsupported", "silent", "malformed"]
    status: str | None = None
    limit_s: float | None = None
    limit_octets: int | None = None
    carried: bool | None = None
    rtt_s: float | None = None
    detail: str = ""


class QuicAsked(Observation, frozen=True, kw_only=True, tag="libp2p-quic"):
    """A packet of a version that nobody has, sent `sent` times to a peer's QUIC port: did it answer with its
    versions (RFC 9000 6)?"""

    address: str
    remote: str
    sent: int
    answered: bool
    versions: tuple[str, ...] = ()
    rtt_s: float | None = None


class UpgradeTried(Observation, frozen=True, kw_only=True, tag="libp2p-upgrade"):
    """A connection through a relay that was to become a direct one (DCUtR over TCP). `role`: did this machine
    call the peer through the relay, or was it called? `relayed`: the relay's answer to the call, "ok" if it
    came about. `own` and `targets`: where both ends say that they are seen. `end`: "dialled" (one end just
    connected), "met" (both called at once), "failed", "no-addresses" (the peer names none over TCP),
    "not-spoken" (it does not speak DCUtR, or not in time), "silent" (it did not begin). `attempts`: how often
    both called at once. `remote`: of the direct connection, on which a ping took `rtt_s`."""

    relay: str
    peer: str
    role: Literal["caller", "called"]
    relayed: str
    relayed_rtt_s: float | None = None
    end: str | None = None
    attempts: int = 0
    own: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    local: str | None = None
    remote: str | None = None
    rtt_s: float | None = None
    took_s: float = 0.0
