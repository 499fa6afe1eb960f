"""What a node's uplink does to packets: the types of its keys, and the kinds of links that stand for several.

How a link's queue and its two states carry packets: `lab.linkqueue`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

LinkKind = Literal["wifi", "weak-4g", "satellite"]


class BurstSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Losses that come together: a link with a good and a bad state (Gilbert-Elliott, in time).

    `good_s`, `bad_s`: how long each lasts on average, in seconds; the durations are exponential, and each
    direction has states of its own. `bad_loss`: the probability, 0..1, that a packet is lost in the bad
    state. In the long run a share of `bad_s / (good_s + bad_s) * bad_loss` is lost.
    """

    good_s: float
    bad_s: float
    bad_loss: float = 1.0


class Impairment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node's uplink does to packets, in each direction: delay and jitter in milliseconds one way,
    probabilities 0..1. `more_delay6_ms`: what IPv6 is later than IPv4.

    `rate_mbps`: what passes in 10^6 bits of IP packets a second, None for no bound; `rate_up_mbps`: the same
    away from the node, None for as much. `queue_ms`: how long a packet waits at most for those before it; if
    it had to wait longer, it is dropped. `bursts`: losses that come together, beside `loss`. `link`: the kind
    that a scenario file names; the reader of files fills in what `LINK_KINDS` says of it.
    """

    delay_ms: float = 0.0
    more_delay6_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    mtu: int | None = None
    rate_mbps: float | None = None
    rate_up_mbps: float | None = None
    queue_ms: float = 100.0
    bursts: BurstSpec | None = None
    link: LinkKind | None = None


LINK_KINDS: dict[LinkKind, dict[str, Any]] = {
    "wifi": {
        "delay_ms": 1,
        "rate_mbps": 30,
        "rate_up_mbps": 15,
        "bursts": {"good_s": 10, "bad_s": 0.05, "bad_loss": 0.5},
    },
    "weak-4g": {
        "delay_ms": 75,
        "rate_mbps": 1.6,
        "rate_up_mbps": 0.75,
        "queue_ms": 500,
        "bursts": {"good_s": 5, "bad_s": 0.05, "bad_loss": 1},
    },
    "satellite": {"delay_ms": 279, "rate_mbps": 50, "rate_up_mbps": 10, "queue_ms": 200},
}
"""The keys that each kind of link stands for. Their sources are in docs/reference/scenario-files.md."""


def filled_in(table: dict[str, Any]) -> dict[str, Any]:
    """A node's table of a scenario file with the keys that its `link` stands for. Keys of its own win."""
    link = table.get("link")
    known = LINK_KINDS.get(link) if isinstance(link, str) else None  # type: ignore[call-overload]
    return {**known, **table} if known else table
