"""Relays: how each was measured, and at which step one failed."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.endpoint import Family
from nattools.model.statement import Reason

RelayKind = Literal["turn", "derp"]
RelayTransport = Literal["udp", "tcp", "tls"]
RelayStepName = Literal["resolve", "connect", "tls", "authenticate", "allocate", "permit", "relay"]


class RelayStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step on the way to a relayed byte. `ms`: how long it took, None where there was nothing to do.
    `detail`: what came of it, or the words in which it failed."""

    step: RelayStepName
    ok: bool
    ms: float | None = None
    detail: str = ""


class RoundTrips(msgspec.Struct, frozen=True, kw_only=True):
    """Round trips through a relay, in milliseconds. `p95`: 95 of 100 were no longer."""

    min: float
    median: float
    p95: float


class RelayError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a relay does not relay. `step`: the first that failed. `code`: the server's own error code, if it
    gave one, and `name` its words, or a short name for what happened. `meaning` and `advice` are the texts of
    `reason` and `remedy`."""

    step: RelayStepName
    code: int | None = None
    name: str
    meaning: str = ""
    advice: str = ""
    reason: Reason = ()
    remedy: Reason = ()


class Relay(msgspec.Struct, frozen=True, kw_only=True):
    """A relay, by one way to it, and what it costs to go through it.

    `region` is a DERP region's name, "" for TURN. `transport`: how the client reached it. `rtt_ms` is of
    bytes that were relayed, None if none were; `jitter_ms` the mean difference between one round trip and the
    next; `loss` in 0..1; `reordered` counts those that came back behind a later one. `relayed` is the address
    that it gives (for DERP, the key), `address` its own. `direct_rtt_ms`: the round trip to the same host
    without relaying, so that the difference is the relay's. `mtu`: the largest datagram, in bytes of payload,
    that passed unfragmented. `works`: bytes were relayed; None: it was only asked how far away it is, or
    (with an `error`) this machine left the network meanwhile. `rank`: 1 is the best; None: it does not work,
    or did not answer. `evidence` are observation ids.
    """

    kind: RelayKind
    uri: str
    region: str = ""
    transport: RelayTransport
    family: Family | None = None
    address: str | None = None
    works: bool | None = None
    rtt_ms: RoundTrips | None = None
    jitter_ms: float | None = None
    loss: float | None = None
    reordered: int | None = None
    throughput_mbps: float | None = None
    error: RelayError | None = None
    relayed: str | None = None
    direct_rtt_ms: float | None = None
    mtu: int | None = None
    steps: tuple[RelayStep, ...] = ()
    rank: int | None = None
    evidence: tuple[int, ...] = ()
