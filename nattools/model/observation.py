"""What was sent and what was seen. Verdicts are drawn from these alone, so a saved report can be
analysed again by a later version.

Addresses are in the form of `str(Endpoint)`; times are seconds since the measurement began.
"""

from __future__ import annotations

from typing import Literal

from nattools.model.endpoint import Family, Transport
from nattools.model.errortrialseen import ErrorTrial
from nattools.model.ipv6trial import InboundCheck, MtuTrial, SourceTrial
from nattools.model.lanseen import LanObservation
from nattools.model.mappingseen import MapAttempt, MapCheck, MapEntry, MapOffer, MapTable
from nattools.model.networkleft import NetworkLeft
from nattools.model.observed import Observation
from nattools.model.packetform import FormTrial
from nattools.model.peertrial import (
    DialAsked,
    NameAsked,
    PeerVisit,
    QuicAsked,
    ReservationAsked,
    UpgradeTried,
)
from nattools.model.quotedchecksumseen import QuotedChecksum
from nattools.model.relaytrial import RelayTrial
from nattools.model.tailnetseen import TailnetObservation

Purpose = Literal[
    "reach",  # does this server answer at all?
    "mapping",  # one local port, several destinations
    "filter-address",  # an answer from another address (and port)
    "filter-port",  # an answer from the same address, another port
    "control",  # sent beside a filtering test over the same path, to know the loss
    "allocation",  # fresh local ports, one destination
    "ports",  # is this destination port open?
    "round-trip",  # asked alone, when nothing else is under way
]
Outcome = Literal[
    "answered", "timeout", "refused", "unreachable", "reset", "prohibited", "malformed", "tls", "error"
]


FORBIDDEN_HERE = "this machine's own firewall does not let it out"
"""The detail of an outcome "prohibited" that the own system gave; else an ICMP error did."""


class Binding(Observation, frozen=True, kw_only=True, tag="binding"):
    """A STUN Binding question to one server, sent `sent` times in all, from one local port.

    `asked` is the destination, `source` where the first valid answer truly came from, `mapped` what it said
    of us. `change_*` are CHANGE-REQUEST's flags (RFC 5780 7.2). `received` counts the valid answers,
    `pending` the copies behind the first one answered whose answers might still have come; `copy_s`: how long
    after the first copy the one was sent to which the answer came first.
    `unmasked`: what MAPPED-ADDRESS said, where no XOR-MAPPED-ADDRESS was there or it said otherwise (gateways
    rewrite the former, RFC 8489 14.2). `offender`: who sent the ICMP error that came instead of an answer.
    """

    purpose: Purpose
    transport: Transport
    family: Family
    local: str | None
    asked: str
    change_address: bool = False
    change_port: bool = False
    outcome: Outcome
    sent: int = 1
    received: int = 0
    pending: int = 0
    waited_s: float = 0.0
    copy_s: float = 0.0
    rtt_s: float | None = None
    source: str | None = None
    mapped: str | None = None
    unmasked: str | None = None
    other_address: str | None = None
    response_origin: str | None = None
    nattools_server: bool = False
    error_code: int | None = None
    offender: str | None = None
    detail: str = ""


class Hairpin(Observation, frozen=True, kw_only=True, tag="hairpin"):
    """Packets from one own port to the external address of another own port: `received` of `sent` came.

    `source` is the source address that the receiver saw (RFC 4787 REQ-9 wants the external one).
    """

    transport: Transport
    family: Family
    local: str
    target: str
    sent: int
    received: int
    source: str | None = None


class Idle(Observation, frozen=True, kw_only=True, tag="idle"):
    """A mapping left alone for `idle_s` and then tried from outside with `sent` packets.

    `alive` is None when that could not be told (the path was lossy or the helper was silent).
    `refreshed_by`: what passed through it meanwhile.
    """

    transport: Transport
    family: Family
    local: str
    mapped: str
    idle_s: float
    refreshed_by: Literal["nothing", "inbound", "outbound"]
    sent: int
    alive: bool | None


class Hop(Observation, frozen=True, kw_only=True, tag="hop"):
    """Who answered Time Exceeded to packets of this TTL; None when nobody did. Where `destination` is the own
    outside address, None is of a router that answers so to other packets: it has that address."""

    family: Family
    destination: str
    ttl: int
    address: str | None
    sent: int
    rtt_s: float | None = None


class Opener(Observation, frozen=True, kw_only=True, tag="opener"):
    """A packet with a small TTL was sent towards an address that then sent to us: did it get in?

    `opened` True means that the packet passed every NAT and firewall that filters (none of them is further
    away than `ttl` - 1 hops).
    """

    family: Family
    local: str
    towards: str
    ttl: int
    sent: int
    opened: bool | None


class DialBack(Observation, frozen=True, kw_only=True, tag="dial-back"):
    """A server sent to (UDP) or connected to (TCP) our external address `target` from `origin`.

    `fresh`: the port had sent nothing to `origin` before, so that a filter would have stopped it.
    `untouched`: it had sent nothing to anybody, so that no NAT had a mapping for it. `reached_card`: did it
    come to this machine's interface, before any firewall of its own? None: nobody looked.
    """

    transport: Transport
    family: Family
    target: str
    origin: str
    change_address: bool
    change_port: bool
    fresh: bool
    untouched: bool = False
    outcome: Literal["arrived", "refused", "timeout", "unreachable", "error", "denied"]
    sent: int = 1
    local: str | None = None
    reached_card: bool | None = None
    detail: str = ""


class PunchTrial(Observation, frozen=True, kw_only=True, tag="punch-trial"):
    """A hole punched, or not, to `towards`, a server's second address that the own port `local` had not
    written to. The server's first address `asked` told that port's external endpoint, `mapped`.

    The port sent `openers` packets (SYNs over TCP) towards it with the TTL `ttl` (None: the ordinary one),
    which is `sure` to pass whatever filters here if other packets with it are known to; meanwhile `towards`
    sent (UDP) or connected (TCP) `sent` times to each of the external ports `aimed`. `outcome` "punched": it
    got in; over TCP both ends had sent a SYN, and no other connection counts. "reached": our SYN found the
    server's listening port instead, which proves nothing. "not tried": `detail` says why. `answered`: an
    ordinary packet to `towards` was answered afterwards, as from the external endpoint `seen` (None: no
    answer, or not asked).
    """

    transport: Transport
    family: Family
    local: str | None = None
    asked: str
    mapped: str | None = None
    towards: str
    ttl: int | None = None
    sure: bool = False
    openers: int = 0
    aimed: tuple[int, ...] = ()
    sent: int = 0
    outcome: Literal["punched", "silent", "refused", "reached", "denied", "error", "not tried"]
    answered: bool | None = None
    seen: str | None = None
    took_s: float = 0.0
    detail: str = ""


class BirthdayTrial(Observation, frozen=True, kw_only=True, tag="birthday-trial"):
    """Many own ports wrote to `towards`, a server's second address, which then wrote to ports of `host`, the
    own external address, picked at random from `pool` (lowest and highest), none twice: did one get in?

    `sockets` own ports, of `wanted`, sent `openers` packets in all, the first with the TTL `ttl` (None: the
    ordinary one). `sent` counts the packets that the server sent, of `planned`: up to the one that got in, or
    as many as it says that it sent. `outcome` "punched": a nonce that only the asker knew came to the own
    port `local` by the external port `hit`. "silent": packets were sent, and none got in. "denied", "error":
    none was sent; `detail` says why.

    Afterwards, if none got in, ordinary packets from `checked` of the ports asked `towards` for their outside
    ports; `open` were told, from `pool` and on `host`. The server wrote to those once more: `entered` got in.
    `answered` and `seen`: for the port that was hit, the answer to an ordinary packet, and which outside
    endpoint it told.
    """

    family: Family
    asked: str
    host: str | None = None
    towards: str
    pool: tuple[int, int]
    ttl: int | None = None
    wanted: int = 0
    sockets: int = 0
    openers: int = 0
    planned: int = 0
    sent: int = 0
    outcome: Literal["punched", "silent", "denied", "error"]
    local: str | None = None
    hit: int | None = None
    answered: bool | None = None
    seen: str | None = None
    checked: int = 0
    open: int = 0
    entered: int = 0
    took_s: float = 0.0
    detail: str = ""


class Connection(Observation, frozen=True, kw_only=True, tag="connection"):
    """A TCP connection attempt."""

    family: Family
    local: str | None
    remote: str
    outcome: Outcome
    rtt_s: float | None = None
    detail: str = ""


class Resolution(Observation, frozen=True, kw_only=True, tag="resolution"):
    """A name looked up. No addresses and an error: it does not resolve."""

    name: str
    addresses: tuple[str, ...] = ()
    error: str | None = None


PrefixSource = Literal["router", "dns", "guess"]


class Nat64(Observation, frozen=True, kw_only=True, tag="nat64"):
    """A prefix by which a machine without IPv4 reaches IPv4 (RFC 6146, RFC 6052). `learnt`: a router
    advertises it (RFC 8781), the name server made addresses with it (RFC 7050), or nobody said so and it was
    tried. `dns64`: the name server made addresses with it, whoever else said so. `works`: a server answered
    through it; None: there was nobody to ask, or it was not waited for.
    `used`: what was asked over IPv4 afterwards went that way."""

    prefix: str
    learnt: PrefixSource
    dns64: bool = False
    works: bool | None = None
    used: bool = False


class Portal(Observation, frozen=True, kw_only=True, tag="portal"):
    """Somebody answered over HTTP in the name of `asked`, whom nobody can have, or whose address is not the
    right one: a captive portal. `location`: where it sends browsers. `status` None: it was no HTTP.
    `udp_passes`: servers were reached over UDP all the same."""

    asked: str
    status: int | None = None
    location: str | None = None
    udp_passes: bool = False


class SecondOpinion(Observation, frozen=True, kw_only=True, tag="second-opinion"):
    """What another tool says of the same network (`--cross-check`)."""

    tool: str
    version: str
    says: str
    duration_s: float
    detail: str = ""


class Gap(Observation, frozen=True, kw_only=True, tag="gap"):
    """A question that could not be asked here, why not, and what would settle it. `server`: the one that it
    is about, if it is about one; the texts hold no address."""

    question: str
    reason: str
    settle: str
    server: str | None = None


AnyObservation = (
    Binding
    | Hairpin
    | Idle
    | Hop
    | Opener
    | DialBack
    | PunchTrial
    | BirthdayTrial
    | ErrorTrial
    | QuotedChecksum
    | Connection
    | Resolution
    | Nat64
    | Portal
    | SecondOpinion
    | Gap
    | MapOffer
    | MapAttempt
    | MapCheck
    | MapEntry
    | MapTable
    | RelayTrial
    | InboundCheck
    | MtuTrial
    | SourceTrial
    | FormTrial
    | PeerVisit
    | NameAsked
    | DialAsked
    | ReservationAsked
    | QuicAsked
    | UpgradeTried
    | TailnetObservation
    | LanObservation
    | NetworkLeft
)
