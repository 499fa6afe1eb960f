"""One direction of an uplink with a bounded rate or with bursts of losses. Pure: the time is given."""

from __future__ import annotations

import math
import random

from nattools.lab.impairment import BurstSpec, Impairment


def is_queued(impairment: Impairment) -> bool:
    """Does it take a `LinkQueue` to carry packets over this uplink?"""
    return impairment.rate_mbps is not None or impairment.bursts is not None


class LinkQueue:
    """Packets leave one after the other at the link's rate, and are lost then if the link is in a bad state.

    `up`: away from the node whose uplink it is. Ask in the order in which packets come.
    """

    __slots__ = ("_bursts", "_free_s", "_longest_s", "_rng", "_seconds_a_byte")

    def __init__(self, impairment: Impairment, rng: random.Random, *, up: bool) -> None:
        rate = impairment.rate_mbps
        if up and rate is not None and impairment.rate_up_mbps is not None:
            rate = impairment.rate_up_mbps
        self._seconds_a_byte = 0.0 if rate is None else 8 / (rate * 1e6)
        self._longest_s = impairment.queue_ms / 1000
        self._free_s = -math.inf
        self._bursts = None if impairment.bursts is None else _Bursts(impairment.bursts, rng)

    def carry(self, size: int, now_s: float) -> float | None:
        """When an IP packet of `size` bytes that comes at `now_s` has left, both in seconds; None: it is
        lost, for the queue is full or the link bad."""
        left_s = now_s
        if self._seconds_a_byte:
            begins_s = max(now_s, self._free_s)
            if begins_s - now_s > self._longest_s:
                return None
            left_s = self._free_s = begins_s + size * self._seconds_a_byte
        if self._bursts is not None and self._bursts.takes(left_s):
            return None
        return left_s


class _Bursts:
    """The two states of a link. Their durations have no memory, so that the state at a packet's time follows
    from the last one and the time between them by one draw, however long that was."""

    def __init__(self, spec: BurstSpec, rng: random.Random) -> None:
        self._share_bad = spec.bad_s / (spec.good_s + spec.bad_s)
        self._changes_a_second = 1 / spec.good_s + 1 / spec.bad_s
        self._loss = spec.bad_loss
        self._rng = rng
        self._seen_s = -math.inf
        self._bad = False

    def takes(self, now_s: float) -> bool:
        """Is a packet lost that is on the link now?"""
        passed_s = max(0.0, now_s - self._seen_s)
        self._seen_s = max(now_s, self._seen_s)
        remembered = math.exp(-passed_s * self._changes_a_second)
        odds_bad = self._share_bad + (self._bad - self._share_bad) * remembered
        self._bad = self._rng.random() < odds_bad
        return self._bad and self._rng.random() < self._loss
