"""What a punch was asked to do, who is told of it while it goes on, and what the connection is used for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nattools.engine.measureoptions import Emit, MeasureOptions
from nattools.model.punch import Echoes, PlannedStep, Stage, Throughput
from nattools.model.report import Report
from nattools.model.statement import Reason, Statement
from nattools.traversal.codes import Code

if TYPE_CHECKING:
    from nattools.traversal.mailboxconnection import MailboxAddress
    from nattools.traversal.relayaccess import AnyAccess
    from nattools.traversal.tokens import Relaying
    from nattools.traversal.tunnel import Tunnel

WAIT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PunchOptions:
    """`measuring`: the servers to ask, the families, the interface, the time for everything.

    `code` None: make a new one; one without a nameplate is new too. `mailbox` None: the first of the servers
    that is a nattools one. `wait_s`: how long to wait for the peer. `ask_router`: try port mappings beside
    the punch. `udp` and `tcp`: what may be used. `low_ports`: may this process bind ports below 1024 (None:
    find out)? `echoes`: how many are sent when connected. `relaying`: when a relay may be used; `relays`:
    those that the user has named, which are used in place of what the mailbox offers.
    """

    measuring: MeasureOptions = field(default_factory=lambda: MeasureOptions("punch", ()))
    code: Code | None = None
    mailbox: MailboxAddress | None = None
    wait_s: float = WAIT_S
    ask_router: bool = True
    udp: bool = True
    tcp: bool = True
    low_ports: bool | None = None
    echoes: int = 10
    relaying: Relaying = "reserve"
    relays: tuple[AnyAccess, ...] = ()


@dataclass(frozen=True, slots=True)
class AnnouncedPlan:
    """The plan, before it is begun; `remedies`: what would make it easier; `most`: what is spent on it."""

    steps: tuple[PlannedStep, ...]
    odds: float | None
    remedies: Reason
    most: Statement


def _nothing(_: object) -> None:
    """Nobody looks on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Callbacks while it goes on. `code`: what to tell the other person (a code or a token); `ask_token`:
    returns the peer's token; `stage` and `plan` as they come about; `emit`: the measurement's progress."""

    emit: Emit = _nothing
    code: Callable[[str], None] = _nothing
    ask_token: Callable[[], Awaitable[str]] | None = None
    stage: Callable[[Stage], None] = _nothing
    plan: Callable[[AnnouncedPlan], None] = field(default=_nothing)


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection to use; `report` gives the report so far."""

    tunnel: Tunnel
    report: Callable[[], Report]


@dataclass(frozen=True, slots=True)
class UseResult:
    """What came of using a connection; `problem` says what went wrong, in words, or is empty."""

    echoes: Echoes | None = None
    throughput: Throughput | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """`prepare` registers what the peer may open, before there is a connection; `run` uses it, and the
    connection ends when it returns. `names` tell the peer what this side was started for. `repeats`: it can
    be run with another peer, once one is gone."""

    run: Callable[[Connected], Coroutine[Any, Any, UseResult]]
    prepare: Callable[[Tunnel], None] = lambda _: None
    names: tuple[str, ...] = ()
    repeats: bool = True


def echoing(count: int) -> Use:
    """The use of a connection for some echoes, and no more."""
    from nattools.traversal.tunnel.measure import echoes

    async def run(connected: Connected) -> UseResult:
        return UseResult(echoes=await echoes(connected.tunnel, count))

    return Use(run)
