"""What one command may spend on places that have not proved to be the peer's. Pure.

Whatever a peer, a token or a mailbox says comes to packets here, over UDP and TCP, of all attempts. An
address that proves to be the peer's pays back what went to it, some times a day: so a connection that lasts
can be found again and again, and nobody else gets more than was announced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

from nattools.model.endpoint import Endpoint

ADDRESSES: Final = 24
"""A machine with several interfaces tells of ten; the rest is for networks that it comes into later."""
TIMES: Final = 3
"""So often a plan can be carried out in vain."""
MOST: Final = 8000
"""Of packets, however much is planned."""
PROOFS: Final = 24
DAY_S: Final = 86_400.0


class Spending(NamedTuple):
    """Of packets (over TCP: SYNs, the system's repeated ones too), and of addresses that they go to."""

    packets: int
    addresses: int


class Budget:
    """Driving contract: `announce` before the first packet of a plan; `take` before each packet, which is not
    sent if the answer is False; `proven` when the peer has proved to be at an address. A day after the first
    packet it begins anew."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._began: float | None = None
        self._spent: Counter[str] = Counter()
        self._total = self._proofs = 0
        self.limit = Spending(0, ADDRESSES)
        self.exceeded = False
        """Has something not been sent?"""

    def announce(self, planned: int, checks: int) -> Spending:
        """A plan of so many own packets, beside checks that run all the time; returns what to tell the
        person. It is never less than what was told before."""
        packets = min(MOST, max(self.limit.packets, TIMES * planned + checks))
        self.limit = self.limit._replace(packets=packets)
        return self.limit

    def take(self, to: Endpoint, packets: int = 1) -> bool:
        """May so many packets be sent there?"""
        now = self._now()
        if self._began is None or now - self._began >= DAY_S:
            self._began, self._total, self._proofs = now, 0, 0
            self._spent.clear()
        host = to.host.partition("%")[0]
        known = host in self._spent or len(self._spent) < self.limit.addresses
        if not known or self._total + packets > self.limit.packets:
            self.exceeded = True
            return False
        self._spent[host] += packets
        self._total += packets
        return True

    def proven(self, at: Endpoint) -> None:
        """The peer is there."""
        if self._proofs < PROOFS:
            self._proofs += 1
            self._total -= self._spent.pop(at.host.partition("%")[0], 0)
