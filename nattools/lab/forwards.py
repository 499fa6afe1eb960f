"""Forwardings that a router was told to make: port mappings, and pinholes in a firewall. Pure."""

from __future__ import annotations

from math import inf

from nattools.model.endpoint import Endpoint

ForwardKey = tuple[str, str, int]
"""Protocol, and the destination address and port that packets from outside have."""


class Forwards:
    """Where packets from outside go although nobody inside has sent anything before."""

    def __init__(self) -> None:
        self.targets: dict[ForwardKey, tuple[Endpoint, float]] = {}

    def open(self, protocol: str, outside: Endpoint, inside: Endpoint, expires: float = inf) -> None:
        """Forward until `expires`, on the engine's clock. A pinhole's `outside` and `inside` are the same."""
        self.targets[protocol, outside.host, outside.port] = (inside, expires)

    def close(self, protocol: str, outside: Endpoint) -> None:
        """Forward no new flows. Idempotent."""
        self.targets.pop((protocol, outside.host, outside.port), None)

    def clear(self) -> None:
        """Forget all of them, as a router does that restarts."""
        self.targets.clear()

    def target(self, key: ForwardKey, now: float) -> Endpoint | None:
        """Where it leads; None: nowhere."""
        found = self.targets.get(key)
        return found[0] if found is not None and found[1] > now else None
