"""Signaling by tokens that people copy: a token holds all that is known of the peer.

Steps that both sides must begin together begin by the wall clock: every `SLOT_S` seconds of UTC one of them
does, the same one on both sides. Clocks may differ: the plan's pauses allow for some seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from nattools.engine.punch.signaling import Signaling, SignalingEnded, StepPosition, Superseded
from nattools.engine.punch.signals import Introduction
from nattools.model.endpoint import Endpoint, Transport
from nattools.model.nat import Nat, NatByTransport
from nattools.model.statement import Statement, statement
from nattools.net.base import TcpStream, UdpSocket
from nattools.protocols import ice
from nattools.traversal.plan.steps import Plan
from nattools.traversal.plan.tcpstrategies import restricted
from nattools.traversal.tokens import CandidateKind, Token, TokenBehaviour, TokenCandidate

SLOT_S: Final = 20.0
APART_MS: Final = 4000.0
"""Taken for the round trip of either side, so that the plan's pauses cover what two clocks may differ by."""


@dataclass(frozen=True, slots=True)
class StepSockets:
    """Where a server sees this side's sockets for the steps: over UDP, and over TCP by a connection that
    stays open. None: it was not seen."""

    udp: tuple[UdpSocket, Endpoint] | None = None
    tcp: tuple[TcpStream, Endpoint] | None = None

    def close(self) -> None:
        """Idempotent."""
        if self.udp is not None:
            self.udp[0].close()
        if self.tcp is not None:
            self.tcp[0].abort()


class TokenSignaling(Signaling):
    """`secret` is known to the two who have each other's token alone; `wall` gives UTC in seconds."""

    apart_s = APART_MS / 1000

    def __init__(self, peer: Token, secret: bytes, told: StepSockets, wall: Callable[[], float]) -> None:
        super().__init__(secret)
        self.told = told
        self._peer = peer
        self._wall = wall
        self._last_slot = -1

    @property
    def apart(self) -> Statement:
        return statement("tokens-once")

    async def introduce(self, own: Introduction) -> Introduction | SignalingEnded | Superseded:
        return introduction_from_token(self._peer)

    async def ready(
        self, attempt: int, turn: StepPosition, told: Endpoint | None
    ) -> Endpoint | SignalingEnded | None:
        now = self._wall()
        slot = int(now // SLOT_S) + 1
        if self._last_slot - slot < turn.of:  # else the clock was set back
            slot = max(slot, self._last_slot + 1)
        while slot % turn.of != turn.step % turn.of:
            slot += 1
        self._last_slot = slot
        await asyncio.sleep(max(0.0, slot * SLOT_S - now))
        return external_endpoint(self._peer, turn.transport)


APART_TCP_MS: Final = 500.0
"""Over TCP the second SYN leaves a second after the first; the peer has to connect before."""
_KINDS: Final[dict[ice.CandidateType, CandidateKind]] = {
    "host": "host",
    "srflx": "server-reflexive",
    "prflx": "peer-reflexive",
    "relay": "relayed",
}
_TYPES: Final = {kind: name for name, kind in _KINDS.items()}


def token_from_introduction(
    introduction: Introduction, public_key: bytes, udp: Endpoint | None, tcp: Endpoint | None
) -> Token:
    """What to tell the peer. `udp` and `tcp`: where the sockets for the steps are seen. A transport that this
    side does not want to use is told as one that does not pass."""
    nat = introduction.nat
    udp4 = (
        nat.udp4
        if nat.udp4 is None or introduction.udp
        else msgspec.structs.replace(nat.udp4, reachable=False)
    )
    seen: list[tuple[Transport, Nat | None, int | None]] = [
        ("udp", udp4, None if udp is None else udp.port),
        ("tcp", nat.tcp4 if introduction.tcp else None, None if tcp is None else tcp.port),
    ]
    behaviours = [
        _behaviour(transport, found, port, low_ports=introduction.low_ports)
        for transport, found, port in seen
        if found is not None
    ]
    candidates = [_candidate(text) for text in introduction.candidates]
    if udp is not None:  # of several outside addresses the one with the ports of the steps comes first
        candidates.sort(key=lambda each: each.kind == "server-reflexive" and each.endpoint.host != udp.host)
    by_tcp = [] if tcp is None else [TokenCandidate("server-reflexive", tcp, "tcp", "simultaneous-open")]
    return Token(
        public_key=public_key,
        ufrag=introduction.ufrag,
        pwd=introduction.password,
        candidates=(*candidates[: 32 - len(by_tcp)], *by_tcp),
        behaviours=tuple(behaviours),
        relaying=introduction.relaying,
    )


def introduction_from_token(token: Token) -> Introduction:
    """What a token says, in the words of an introduction; the public keys decide who leads."""
    hosts = _outside_hosts(token)
    nats: dict[Transport, Nat] = {each.transport: _nat(each, hosts) for each in token.behaviours}
    has6 = any(each.endpoint.family == 6 for each in token.candidates)
    guarded = Nat(reachable=True, present=False, mapping="none", rtt_ms=APART_MS)
    return Introduction(
        nonce=nonce_from_key(token.public_key),
        nat=NatByTransport(udp4=nats.get("udp"), tcp4=nats.get("tcp"), udp6=guarded if has6 else None),
        low_ports=any(each.low_ports for each in token.behaviours),
        ufrag=token.ufrag,
        password=token.pwd,
        candidates=tuple(
            _text(each) for each in token.candidates if each.transport == "udp" and each.endpoint.port
        ),
        tcp="tcp" in nats,
        relaying=token.relaying,
    )


def _outside_hosts(token: Token) -> tuple[str, ...]:
    """The IPv4 addresses of a token's maker as servers see them."""
    seen = [each for each in token.candidates if each.kind == "server-reflexive" and each.transport == "udp"]
    return tuple(dict.fromkeys(each.endpoint.host for each in seen if each.endpoint.family == 4))


def nonce_from_key(public_key: bytes) -> int:
    """What an introduction says instead of a random number."""
    return int.from_bytes(public_key[:7], "big")


def external_endpoint(token: Token, transport: Transport) -> Endpoint | None:
    """Where the peer's socket for the steps over that transport is seen."""
    if transport == "tcp":
        return next((each.endpoint for each in token.candidates if each.tcp == "simultaneous-open"), None)
    port = next((each.last_port for each in token.behaviours if each.transport == transport), None)
    hosts = [
        each.endpoint.host
        for kind in ("server-reflexive", "host")
        for each in token.candidates
        if each.kind == kind and each.endpoint.family == 4
    ]
    return None if port is None or not hosts else Endpoint(hosts[0], port)


def _behaviour(transport: Transport, nat: Nat, port: int | None, *, low_ports: bool) -> TokenBehaviour:
    block = None
    if nat.port_block and nat.port_range is not None:
        block = (nat.port_range[0], nat.port_range[1] - nat.port_range[0] + 1)
    allocation = nat.port_allocation if block is None else "block"
    only_some_ports = transport == "tcp" and restricted(nat) is not None
    return TokenBehaviour(
        transport=transport,
        mapping=nat.mapping,
        filtering=nat.filtering,
        allocation="blocked" if nat.reachable is False or only_some_ports else allocation,
        step=nat.port_step or 0,
        block=block,
        last_port=port,
        low_ports=low_ports and nat.port_mask is None,
        pooled=nat.pooling == "arbitrary",
    )


def _nat(told: TokenBehaviour, hosts: tuple[str, ...]) -> Nat:
    block = None if told.block is None else (told.block[0], told.block[0] + told.block[1] - 1)
    allocation = "random" if told.allocation == "block" else told.allocation
    return Nat(
        reachable=told.allocation != "blocked",
        present=told.mapping != "none",
        mapping=told.mapping,
        filtering="unknown" if told.filtering == "none" else told.filtering,
        port_allocation="unknown" if allocation == "blocked" else allocation,
        port_step=told.step or None,
        port_range=block,
        port_block=True if block is not None else None,
        pooling="arbitrary" if told.pooled else "per-destination" if len(hosts) > 1 else "unknown",
        external=hosts if told.pooled or len(hosts) > 1 else (),
        rtt_ms=APART_MS if told.transport == "udp" else APART_TCP_MS,
    )


def how_far_counted(plan: Plan, *, leads: bool) -> tuple[int, int] | None:
    """How the peer counts on, over UDP, from the port that a token told: in steps of so many ports, and so
    many of them. None: it does not."""
    peers = [
        step.schedules[1 if leads else 0]
        for step in plan.direct_steps
        if step.schedules and step.transport == "udp"
    ]
    reaches = [
        (each.ahead + each.count - 1, each.step) for each in peers if each.ports == "next" and each.step
    ]
    return max(reaches)[::-1] if reaches else None


def out_of_reach(counted: tuple[int, int], told: Endpoint, now: Endpoint) -> Statement | None:
    """Does a peer that counts on so from `told` miss a socket that gets `now`? None: no, or nobody knows."""
    step, reach = counted
    ahead = (now.port - told.port) * (1 if step > 0 else -1) % 65536 // abs(step)
    if told.host != now.host or ahead < reach:
        return None
    return statement("tokens-stale", told=told.port, now=now.port, reach=reach)


def as_read_by_peer(introduction: Introduction, token: Token) -> Introduction:
    """Ours as the peer reads it, so that both draw the same plan; but we know how far our own NAT is."""
    told = introduction_from_token(token)
    own = introduction.nat
    nat = msgspec.structs.replace(
        told.nat, udp4=_as_far(told.nat.udp4, own.udp4), tcp4=_as_far(told.nat.tcp4, own.tcp4)
    )
    return msgspec.structs.replace(introduction, nat=nat, nonce=told.nonce, tcp=told.tcp)


def _as_far(told: Nat | None, own: Nat | None) -> Nat | None:
    if told is None or own is None:
        return told
    return msgspec.structs.replace(told, distance_hops=own.distance_hops)


def _candidate(text: str) -> TokenCandidate:
    found = ice.parse(text)
    return TokenCandidate(_KINDS[found.kind], found.endpoint)


def _text(told: TokenCandidate) -> str:
    kind: ice.CandidateType = "srflx" if told.kind == "mapped" else _TYPES[told.kind]
    return ice.encode(ice.local_candidate(kind, told.endpoint, mapped=told.kind == "mapped"))
