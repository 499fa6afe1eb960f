"""One end of a connection, as the other end has to deal with it."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.nat import NAT_KINDS, Nat
from nattools.traversal.plan.odds import RANDOM_POOL, pool_size

Moves = Literal["not", "predictably", "in a block", "at random", "somehow"]
Accepts = Literal["all", "address", "port"]
LONGEST_S = 4.0
"""Longer round trips are taken for this one."""
LARGEST_BLOCK = 4096
"""A block larger than this is as good as random."""
SERVICES = frozenset({53, 80, 123, 443, 500, 3478, 4500, 19302})
"""UDP ports that firewalls open one by one: DNS, HTTP/3, NTP, IKE, STUN."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """`moves`: how the external port changes between destinations; `accepts`: who may send in, of those that
    were written to; `reachable` False: this transport does not get out; `translated` False: there is no NAT.

    `by_address`: the port changes with the peer's address, not with its port. `keeps`: a new mapping has the
    inside port, else it is `step` after the last one (for `moves` "predictably"). `pool`: the ports that
    new mappings are drawn from, of these `mask` (mask, value) those with `port & mask == value`. `ttl`:
    what brings a packet through the own outermost NAT and no further (None: not known). `low_ports`: this
    process may bind ports below 1024, and what translates here may be a Linux NAT, as far as known: it
    draws from all ports above. `rtt_s`: to a server on the internet. `addresses`: from so many outside
    addresses each new mapping gets any, so that a peer that knows of one meets few of them. `uplinks`: so
    many outside addresses show, one to each peer, and which one to this peer nobody knows.
    """

    moves: Moves = "not"
    accepts: Accepts = "port"
    reachable: bool = True
    translated: bool = True
    by_address: bool = False
    keeps: bool = False
    step: int = 1
    pool: tuple[int, int] = RANDOM_POOL
    mask: tuple[int, int] | None = None
    ttl: int | None = None
    low_ports: bool = False
    rtt_s: float = 0.1
    addresses: int = 1
    uplinks: int = 1

    @property
    def size(self) -> int:
        """How many ports the pool has."""
        return pool_size(self.pool, self.mask)

    @property
    def open(self) -> bool:
        """Anybody can write to it as it is."""
        return self.moves == "not" and self.accepts == "all"


_ACCEPTS: dict[str, Accepts] = {"endpoint-independent": "all", "address-dependent": "address"}


def moving(nat: Nat) -> bool | None:
    """Does the external port depend on the destination? Known also where it is not known on what of it."""
    if nat.mapping in ("none", "endpoint-independent"):
        return False
    if nat.mapping != "unknown" or nat.classic == "symmetric":
        return True
    return None


def side_of(nat: Nat | None, *, low_ports: bool = False) -> Side | None:
    """A measured side; None if not enough is known to say anything. Where only the filtering is unknown, the
    strictest is taken: what works with it works with all. `low_ports`: as in `Side`."""
    if nat is None:
        return None
    if nat.reachable is False:
        return Side(reachable=False)
    moves = moving(nat)
    if moves is None:
        return None
    known = nat.distance_hops is not None and nat.distance_hops < 32
    pool = nat.port_range if nat.port_range is not None else RANDOM_POOL
    mask = nat.port_mask if pool_size(pool, nat.port_mask) > 0 else None
    return Side(
        moves=_moves(nat) if moves else "not",
        accepts=_ACCEPTS.get(nat.filtering, "port"),
        translated=nat.present is not False,
        by_address=nat.mapping == "address-dependent",
        keeps=nat.port_allocation == "preserving",
        step=nat.port_step or 1,
        pool=pool if 0 < pool[0] <= pool[1] < 65536 else RANDOM_POOL,
        ttl=max(1, nat.distance_hops) + 1 if known and nat.distance_hops is not None else None,
        mask=mask,
        low_ports=low_ports and nat.present is not False and pool == RANDOM_POOL and mask is None,
        rtt_s=min(LONGEST_S, max(0.0, nat.rtt_ms / 1000)) if nat.rtt_ms is not None else 0.1,
        addresses=max(2, len(nat.external)) if moves and nat.pooling == "arbitrary" else 1,
        uplinks=max(2, len(nat.external)) if nat.pooling == "per-destination" else 1,
    )


def only_services(nat: Nat | None) -> bool:
    """Does UDP get out to ports of well-known services alone, as where a firewall has opened those? Then STUN
    is answered, and no port of a peer's is reached."""
    if nat is None or not nat.open_ports or not nat.blocked_ports:
        return False
    return SERVICES.issuperset(nat.open_ports) and not SERVICES.issuperset(nat.blocked_ports)


def _moves(nat: Nat) -> Moves:
    if nat.port_allocation in ("sequential", "preserving"):
        return "predictably"
    if nat.port_allocation == "unknown":
        return "somehow"
    known = nat.port_block or nat.port_mask is not None
    pool = nat.port_range
    known = known and pool is not None and 0 < pool_size(pool, nat.port_mask) <= LARGEST_BLOCK
    return "in a block" if known else "at random"


KINDS: dict[str, Side] = {name: side_of(nat) or Side() for name, nat in NAT_KINDS.items()}
"""Common kinds of networks. Whether a given one is of that kind is for its own diagnosis to say."""
