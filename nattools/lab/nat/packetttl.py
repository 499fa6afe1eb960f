"""What a NAT does to the TTL of what it passes on."""

from __future__ import annotations


def ttl_beyond(treatment: str, ttl: int) -> int:
    """The TTL of what a NAT passes on from inside, by `NatSpec.ttl`."""
    return {"kept": ttl, "reset": 64}.get(treatment, ttl - 1)
