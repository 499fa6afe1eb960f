"""Observations as the probes would record them, from a NAT that is described by RFC 4787's axes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from nattools.model.confidence import copies_needed, loss_upper_bound
from nattools.model.endpoint import Endpoint
from nattools.model.host import Gateway, Host, Interface
from nattools.model.observation import AnyObservation, Binding, DialBack, Hairpin, Hop, Idle, Opener
from nattools.model.report import Measurement, Server

DEPTH = {"endpoint-independent": 0, "address-dependent": 1, "address-and-port-dependent": 2}
A1P1, A1P2 = Endpoint("11.201.0.2", 3478), Endpoint("11.201.0.2", 3479)
A2P1, A2P2 = Endpoint("11.201.0.3", 3478), Endpoint("11.201.0.3", 3479)
CORNERS = (A1P1, A2P1, A2P2, A1P2)
PLAIN = Endpoint("11.202.0.2", 3478)
HOST = Host(
    os="test",
    interfaces=(Interface(name="eth0", kind="ethernet", addresses=("10.0.1.2",)),),
    gateways=(Gateway(interface="eth0", family=4, address="10.0.1.1"),),
)
PUBLIC_HOST = Host(
    os="test",
    interfaces=(Interface(name="eth0", kind="ethernet", addresses=("11.101.0.2",)),),
    gateways=(Gateway(interface="eth0", family=4, address="11.101.0.1"),),
)
Alloc = Literal["preserving", "sequential", "random", "block"]


@dataclass
class World:
    """One machine, its NAT (none: `nat` False), a server with two addresses, and a lossy path."""

    nat: bool = True
    mapping: str = "endpoint-independent"
    filtering: str = "address-and-port-dependent"
    allocation: Alloc = "preserving"
    step: int = 1
    start: int = 20000
    block: tuple[int, int] = (40960, 41471)
    hairpinning: bool = False
    loss: float = 0.0
    seed: int = 1
    outside: tuple[str, ...] = ("11.1.0.2",)
    mangle: Callable[[Binding], Binding] = lambda binding: binding
    seen: list[AnyObservation] = field(default_factory=list)
    _mappings: dict[tuple[Any, ...], Endpoint] = field(default_factory=dict)
    _sent: int = 0
    _lost: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.next = self.start
        self.host = HOST if self.nat else PUBLIC_HOST
        self.own = self.host.interfaces[0].addresses[0]

    def fresh(self) -> Endpoint:
        return Endpoint(self.own, self.rng.randrange(32768, 61000))

    def mapped(self, local: Endpoint, to: Endpoint) -> Endpoint:
        if not self.nat:
            return local
        key = (local, *to[: DEPTH[self.mapping]])
        if key not in self._mappings:
            self._mappings[key] = Endpoint(self.rng.choice(self.outside), self._port(local.port))
        return self._mappings[key]

    def _port(self, inside: int) -> int:
        """No port is given out twice."""
        taken = {mapped.port for mapped in self._mappings.values()}
        if self.allocation == "preserving":
            return inside if inside not in taken else self.rng.randrange(1024, 65536)
        if self.allocation == "sequential":
            self.next += self.step
            return 1024 + (self.next - self.step - 1024) % 64512
        bounds = self.block if self.allocation == "block" else (1024, 65535)
        port = self.rng.randrange(bounds[0], bounds[1] + 1)
        return self._port(inside) if port in taken else port

    def survives(self) -> bool:
        return self.rng.random() >= self.loss and self.rng.random() >= self.loss

    def lets_in(self, asked: Endpoint, source: Endpoint) -> bool:
        depth = DEPTH[self.filtering]
        return source[:depth] == asked[:depth]

    def add(self, observation: AnyObservation) -> None:
        number = len(self.seen) + 1
        made = msgspec.structs.replace(observation, id=number, at_s=number / 100)
        self.seen.append(self.mangle(made) if isinstance(made, Binding) else made)

    def ask(self, purpose: str, local: Endpoint, asked: Endpoint, *, other: Endpoint | None = A2P2) -> None:
        """A question that a working path answers; up to eight copies."""
        sent = 1
        while sent < 8 and not self.survives():
            sent += 1
            self._lost += 1
        self._sent += sent
        self.add(self.binding(purpose, local, asked, sent=sent, other=other))

    def binding(
        self, purpose: str, local: Endpoint, asked: Endpoint, *, sent: int = 1, other: Endpoint | None = A2P2
    ) -> Binding:
        return Binding(
            purpose=purpose,  # type: ignore[arg-type]
            transport="udp",
            family=4,
            local=str(local),
            asked=str(asked),
            outcome="answered",
            sent=sent,
            received=1,
            rtt_s=0.02,
            source=str(asked),
            mapped=str(self.mapped(local, asked)),
            other_address=str(opposite(asked)) if other else None,
            response_origin=str(asked) if other else None,
            nattools_server=other is not None,
        )

    def filter_test(self, purpose: str, source: Endpoint, copies: int | None = None) -> None:
        local = self.fresh()
        self.ask("control", local, A1P1)
        needed = copies_needed(loss_upper_bound(self._sent, self._lost)) if copies is None else copies
        needed = min(40, max(5, needed)) if copies is None else copies
        arrived = self.lets_in(A1P1, source) and any(self.survives() for _ in range(needed))
        self.add(
            Binding(
                purpose=purpose,  # type: ignore[arg-type]
                transport="udp",
                family=4,
                local=str(local),
                asked=str(A1P1),
                change_address=source.host != A1P1.host,
                change_port=True,
                outcome="answered" if arrived else "timeout",
                sent=needed,
                received=1 if arrived else 0,
                source=str(source) if arrived else None,
                mapped=str(self.mapped(local, A1P1)) if arrived else None,
                other_address=str(A2P2) if arrived else None,
                response_origin=str(source) if arrived else None,
            )
        )

    def hairpin_test(self, sent: int = 9) -> None:
        pair = [self.fresh(), self.fresh()]
        for local in pair:
            self.ask("control", local, A1P1)
        outside = [self.mapped(local, A1P1) for local in pair]
        for mine, theirs in ((0, 1), (1, 0)):
            came = sum(self.survives() for _ in range(sent)) if self.hairpinning else 0
            self.add(
                Hairpin(
                    transport="udp",
                    family=4,
                    local=str(pair[mine]),
                    target=str(outside[theirs]),
                    sent=sent,
                    received=came,
                    source=str(outside[mine]) if came else None,
                )
            )

    def measure(self) -> World:
        """Everything that one run of the probes records over UDP."""
        self.ask("reach", self.fresh(), A1P1)
        local = self.fresh()
        for corner in CORNERS:
            self.ask("mapping", local, corner)
        for _ in range(8):
            self.ask("allocation", self.fresh(), A1P1)
        self.filter_test("filter-address", A2P2)
        self.filter_test("filter-port", A1P2)
        if self.nat:
            for _ in range(3):
                self.hairpin_test()
        return self

    def measurement(self, **extra: Any) -> Measurement:
        return measurement(tuple(self.seen), host=self.host, **extra)


def opposite(asked: Endpoint) -> Endpoint:
    """The server's other address and port, seen from one of its four endpoints (RFC 5780 7.4)."""
    return CORNERS[(CORNERS.index(asked) + 2) % 4] if asked in CORNERS else A2P2


def silent(binding: Binding, *, sent: int, **extra: Any) -> Binding:
    """The same question without an answer."""
    nothing: dict[str, Any] = dict.fromkeys(("rtt_s", "source", "mapped", "other_address", "response_origin"))
    nothing |= {
        "outcome": "timeout",
        "sent": sent,
        "received": 0,
        "change_address": True,
        "change_port": True,
    }
    return msgspec.structs.replace(binding, **(nothing | extra))


def measurement(observations: tuple[AnyObservation, ...] = (), **extra: Any) -> Measurement:
    """A measurement with these observations, of the ordinary server."""
    ordinary: dict[str, Any] = {
        "command": "diagnose",
        "started": "2026-01-01T00:00:00Z",
        "duration_s": 1.0,
        "substrate": "sim",
        "host": HOST,
        "servers": (Server(uri="stun:11.201.0.2", address="11.201.0.2"),),
        "observations": observations,
    }
    return Measurement(**(ordinary | extra))


def dial_back(transport: str, outcome: str, **extra: Any) -> DialBack:
    """A fresh dial-back from another address."""
    ordinary: dict[str, Any] = {
        "transport": transport,
        "family": 4,
        "target": "11.1.0.2:5000",
        "origin": str(A2P2),
        "change_address": True,
        "change_port": True,
        "fresh": True,
        "outcome": outcome,
        "sent": 20,
    }
    return DialBack(**(ordinary | extra))


def hop(ttl: int, address: str | None, **extra: Any) -> Hop:
    """A hop on the way to the server."""
    return Hop(family=4, destination=str(A1P1), ttl=ttl, address=address, sent=3, **extra)


def opener(ttl: int, opened: bool | None) -> Opener:
    """Did a packet of that TTL open the way?"""
    return Opener(family=4, local="10.0.1.2:5000", towards=str(A2P2), ttl=ttl, sent=3, opened=opened)


def idle(idle_s: float, alive: bool | None, by: str = "nothing", sent: int = 10) -> Idle:
    """A mapping tried after a silence."""
    return Idle(
        transport="udp",
        family=4,
        local="10.0.1.2:5000",
        mapped="11.1.0.2:5000",
        idle_s=idle_s,
        refreshed_by=by,  # type: ignore[arg-type]
        sent=sent,
        alive=alive,
    )
