"""Two ICE agents and the network between them, on a clock of numbers: links with delay and loss, NATs as
functions that rewrite or swallow."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

from nattools.model.endpoint import Endpoint
from nattools.protocols import ice
from nattools.protocols.ice import Agent, Candidate, IceEvent, Transmit

A1, A2, A3 = (Endpoint(f"10.0.0.{n}", 4000) for n in (1, 2, 3))
B1, B2, B3 = (Endpoint(f"10.0.1.{n}", 5000) for n in (1, 2, 3))

Fate = Callable[[Endpoint, Endpoint, int | None], float | None]
"""(from, to, ttl) to the delay in seconds; None swallows the datagram."""


def host(endpoint: Endpoint, **options: Any) -> Candidate:
    """A host candidate."""
    return ice.local_candidate("host", endpoint, **options)


def always(delay_s: float) -> Fate:
    """Every path has this delay."""
    return lambda source, destination, ttl: delay_s


class Pipe:
    """`a` and `b` know each other's credentials. `fate` may be replaced at any time; `outside` says as what
    an own address is seen by others, while it is so."""

    def __init__(
        self,
        fate: Fate,
        *,
        roles: tuple[ice.Role, ice.Role] = ("controlling", "controlled"),
        seed: int = 0,
        **options: Any,
    ) -> None:
        self.fate = fate
        self.now = 0.0
        self.a = Agent(roles[0], rng=Random(f"{seed} a"), **options)
        self.b = Agent(roles[1], rng=Random(f"{seed} b"), **options)
        self.owner: dict[Endpoint, Agent] = {}
        self.outside: dict[Endpoint, Endpoint] = {}
        self.sent: list[tuple[float, Agent, Transmit]] = []
        self.told: dict[Agent, list[IceEvent]] = {self.a: [], self.b: []}
        self._flying: list[tuple[float, int, Endpoint, Transmit]] = []
        self._numbers = itertools.count()

    def introduce(self) -> None:
        """Exchange credentials."""
        self.a.set_remote_credentials(*self.b.credentials, self.now)
        self.b.set_remote_credentials(*self.a.credentials, self.now)

    def add(self, agent: Agent, *endpoints: Endpoint, tell: bool = True) -> None:
        """Host candidates of one side, told to the other."""
        for endpoint in endpoints:
            self.owner[endpoint] = agent
            candidate = host(endpoint)
            agent.add_local_candidate(candidate, self.now)
            if tell:
                self.peer(agent).add_remote_candidate(ice.parse(ice.encode(candidate)), self.now)

    def start(self, ours: tuple[Endpoint, ...] = (A1,), theirs: tuple[Endpoint, ...] = (B1,)) -> None:
        """Candidates and credentials of both sides."""
        self.add(self.a, *ours)
        self.add(self.b, *theirs)
        self.introduce()

    def peer(self, agent: Agent) -> Agent:
        """The other one."""
        return self.b if agent is self.a else self.a

    def run(self, until: float, stop: Callable[[], bool] = lambda: False) -> float:
        """Let time pass, at most until then; returns the time."""
        for _ in range(200_000):
            self._send()
            if stop():
                return self.now
            times = [t for t in (self.a.next_timeout(), self.b.next_timeout()) if t is not None]
            times += [self._flying[0][0]] if self._flying else []
            when = min(times, default=until)
            if when >= until:
                self.now = until
                return until
            self.now = max(self.now, when)
            self._step()
        raise AssertionError("the agents do not come to rest")

    def connected(self) -> bool:
        """Do both have chosen the same pair?"""
        one, other = self.a.selected, self.b.selected
        return one is not None and other is not None and one.path[1:] == other.path[:0:-1]

    def _send(self) -> None:
        for agent in (self.a, self.b):
            for item in agent.datagrams_to_send(self.now):
                self.sent.append((self.now, agent, item))
                delay = self.fate(item.local, item.destination, item.ttl)
                if delay is not None:
                    source = self.outside.get(item.local, item.local)
                    heappush(self._flying, (self.now + delay, next(self._numbers), source, item))
            self.told[agent] += agent.events()

    def _step(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, _, source, item = heappop(self._flying)
            inside = {seen: own for own, seen in self.outside.items()}
            local = inside.get(item.destination, item.destination)
            hidden = local == item.destination and local in self.outside
            receiver = None if hidden else self.owner.get(local)
            if receiver is not None:
                receiver.receive_datagram(item.data, local, source, self.now)
        for agent in (self.a, self.b):
            agent.handle_timeout(self.now)
