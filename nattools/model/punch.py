"""What became of connecting two machines, as one of them tells it, and of pairs of machines in a lab."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.model.endpoint import Family, Transport
from nattools.model.punchmtu import PunchMtu
from nattools.model.statement import Reason, Statement

Strategy = Literal[
    "host", "reflexive", "mapped", "low-ttl", "prediction", "birthday", "simultaneous-open", "relay"
]
PunchStage = Literal[
    "mailbox", "token", "beacon", "knock", "behaviour", "mappings", "candidates", "plan", "attempt",
    "nomination", "secured", "lost", "again", "use", "end",
]  # fmt: skip


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the timeline. `at_s` since the command began on this machine, on its clock; `side`: whose
    doing or finding it is. `ok` None: under way, or neither good nor bad. Of an attempt: `strategy`, and the
    packets (over TCP, the attempts to connect) that this side sent and the peer's that arrived. `text` is
    made from `statements`; these are empty if the peer's version tells only the text."""

    at_s: float
    side: Literal["here", "there"]
    stage: PunchStage
    text: str
    ok: bool | None = None
    strategy: Strategy | None = None
    sent: int | None = None
    seen: int | None = None
    statements: tuple[Statement, ...] = ()


class PlannedStep(msgspec.Struct, frozen=True, kw_only=True):
    """What was going to be tried: `odds` in 0..1 (None: only for when something else was missed), `packets`
    (ours, the peer's) at most, `seconds` at most. `why` is the text of `reason`."""

    strategy: Strategy
    transport: Transport
    family: Family = 4
    why: str
    odds: float | None = None
    packets: tuple[int, int] | None = None
    seconds: float | None = None
    reason: Reason = ()


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """A way between the two that works. `rtt_ms` None: not measured."""

    transport: Transport
    local: str
    remote: str
    rtt_ms: float | None = None


class UsedPath(msgspec.Struct, frozen=True, kw_only=True):
    """A path that was used, from `since_s` on the timeline for so many `seconds`. `relay`: the URI of the
    relay that it went over, or its address if the peer did not name it."""

    path: Literal["direct", "relayed"]
    transport: Transport
    family: Family
    strategy: Strategy
    local: str
    remote: str
    since_s: float
    seconds: float = 0.0
    rtt_ms: float | None = None
    relay: str | None = None


class RelayUse(msgspec.Struct, frozen=True, kw_only=True):
    """A relay that was used, the last one of them: at first `since_s` on the timeline, in all for so many
    `seconds`. `rtt_ms`: the round trip to the peer through it."""

    kind: Literal["turn", "derp"]
    uri: str
    rtt_ms: float | None = None
    since_s: float
    seconds: float


class Echoes(msgspec.Struct, frozen=True, kw_only=True):
    """Small messages through the secure connection and back: `rtt_ms` (least, median, most)."""

    sent: int
    received: int
    rtt_ms: tuple[float, float, float] | None = None


class Throughput(msgspec.Struct, frozen=True, kw_only=True):
    """How much the connection carries, one direction after the other: payload over time. `loss`: of
    datagrams sent at a steady rate, in 0..1. `loaded_rtt_ms`: the median round trip meanwhile."""

    up_mbps: float
    down_mbps: float
    loss: float | None = None
    idle_rtt_ms: float | None = None
    loaded_rtt_ms: float | None = None


class Punch(msgspec.Struct, frozen=True, kw_only=True):
    """`elapsed_s`: from both sides' candidates known to the first authenticated answer. `probes_sent` by this
    side, of all attempts. `local` and `remote` are the ends of the path as this side sees them, `spares` the
    other paths that work. `plan` is what was announced before; `stages` the timeline of both sides.
    `why`: why it worked or did not, made from `reasons`; `advice`: what would help, made from `remedies`, or
    empty. `paths`: all that were used, in order, `path` the last of them; `relay`: one that was used.
    `mtu`: of the path, if it is direct and over UDP."""

    connected: bool
    path: Literal["direct", "relayed"] | None = None
    transport: Transport | None = None
    family: Family | None = None
    strategy: Strategy | None = None
    local: str | None = None
    remote: str | None = None
    elapsed_s: float | None = None
    rtt_ms: float | None = None
    probes_sent: int = 0
    stages: tuple[Stage, ...] = ()
    why: str = ""
    advice: str = ""
    odds: float | None = None
    plan: tuple[PlannedStep, ...] = ()
    spares: tuple[Path, ...] = ()
    secured_by: Literal["quic", "tls"] | None = None
    echoes: Echoes | None = None
    throughput: Throughput | None = None
    reasons: tuple[Statement, ...] = ()
    remedies: tuple[Statement, ...] = ()
    paths: tuple[UsedPath, ...] = ()
    relay: RelayUse | None = None
    mtu: PunchMtu | None = None


class PairResult(msgspec.Struct, frozen=True, kw_only=True):
    """Two machines in two networks of these kinds, `runs` times: so many `connected`, of these so many over a
    relay (`relayed`), and in so many it was as the plan said that it would be (`as_planned`; a run is not
    where a direct way was planned and failed).

    `strategy`, `transport` and `family` are those of most connections. `elapsed_s`, least, median and most:
    from both sides' candidates known to the first authenticated answer on both sides. `odds` as planned, in
    0..1 (None: no direct way was known). `packets`: the most that each side sent. `why` and `advice` are
    those of a run that did not connect, `problems` what kept runs from being made at all.
    """

    pair: tuple[str, str]
    runs: int
    connected: int
    relayed: int = 0
    as_planned: int
    strategy: Strategy | None = None
    transport: Transport | None = None
    family: Family | None = None
    elapsed_s: tuple[float, float, float] | None = None
    odds: float | None = None
    packets: tuple[int, int] | None = None
    why: str = ""
    advice: str = ""
    problems: tuple[str, ...] = ()


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """Every kind with itself and every other one. `low_ports`: ports below 1024 were used where that helps,
    if the process may bind them. `relay`: their server relays what finds no direct way."""

    kinds: tuple[str, ...]
    low_ports: bool
    relay: bool = False
    pairs: tuple[PairResult, ...]
