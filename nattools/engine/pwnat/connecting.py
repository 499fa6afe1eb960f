"""`nattools pwnat`: wait for a caller, or call, and use the connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from nattools.engine.measurement import MeasurementRun, learn_translation, primary_error
from nattools.engine.measureoptions import MeasureOptions
from nattools.engine.punch.bothsides import both_sides
from nattools.engine.punch.connection import patience_s
from nattools.engine.punch.localside import LocalSide, behaviour, may_bind_low_ports
from nattools.engine.punch.options import Use, UseResult, Watcher, echoing
from nattools.engine.punch.state import connect_and_use
from nattools.engine.punch.timeline import Timeline
from nattools.engine.pwnat.caller import KnockCaller
from nattools.engine.pwnat.knockchecks import reached_at
from nattools.engine.pwnat.knockoptions import PwnatOptions
from nattools.engine.pwnat.knockside import KnockContext
from nattools.engine.pwnat.knockstate import PwnatState
from nattools.engine.pwnat.listener import KnockListener
from nattools.engine.run import CompletedRun, new_run, observe, within_time_limit
from nattools.engine.serverlookup import check_route
from nattools.errors import CannotRun, UsageError
from nattools.model.endpoint import Endpoint
from nattools.model.report import Report
from nattools.model.statement import statement
from nattools.net.base import Network
from nattools.protocols.pwnat import TARGETS, original
from nattools.protocols.pwnat.outside import Outside, parse_outside
from nattools.traversal.plan.side import moving

CALLER_ADVICE = (
    "The caller sends one kind of packet that needs CAP_NET_RAW. Run it with sudo; or give that alone to a "
    "Python of its own: sudo setcap cap_net_raw+ep $(readlink -f .venv/bin/python). A listener needs nothing."
)


async def listen(
    network: Network,
    options: PwnatOptions,
    watcher: Watcher,
    use: Use | None = None,
    *,
    wall: Callable[[], float] = time.time,
) -> Report:
    """Wait for a caller, use the connection, and report. `watcher.code` is told where callers have to knock:
    an address and port, or ":" and the port where nobody knows the address; behind a space, what was read of
    its outside ports, if it was (`protocols.pwnat.Outside`). It is told again when that has changed.

    CannotRun: this system does not report ICMP errors, is in no network, or the port is taken."""
    missing = network.missing("icmp-errors")
    if missing is not None:
        raise CannotRun(missing, "A listener needs Linux; the caller may be the other machine.")
    check_route(network, original.TARGET if options.compat else TARGETS[0].host, options.measuring)
    state = PwnatState(Timeline(watcher.stage), role="listener")
    run = new_run(network, _as_for_punch(options), watcher.emit)
    await _within(state, run, _listening(state, run, options, watcher, use or echoing(options.echoes), wall))
    return state.report()


async def connect(
    network: Network,
    options: PwnatOptions,
    watcher: Watcher,
    use: Use | None = None,
    *,
    wall: Callable[[], float] = time.time,
) -> Report:
    """Knock at `options.listener`, use the connection, and report.

    CannotRun: no privilege for crafted packets, or no way to the listener. UsageError: there is no listener
    to knock at."""
    if options.listener is None:
        raise UsageError("the listener's address is needed")
    missing = network.missing("raw-packets")
    if missing is not None:
        raise CannotRun(missing, CALLER_ADVICE)
    check_route(network, options.listener.host, options.measuring)
    state = PwnatState(Timeline(watcher.stage), role="caller")
    run = new_run(network, _as_for_punch(options), watcher.emit)
    await _within(state, run, _calling(state, run, options, use or echoing(options.echoes), wall))
    return state.report()


def _as_for_punch(options: PwnatOptions) -> MeasureOptions:
    """What is measured for a connection is the same as there; "pwnat" measures whether the trick works."""
    return msgspec.structs.replace(options.measuring, command="punch")


async def _within(state: PwnatState, run: MeasurementRun, work: Coroutine[Any, Any, None]) -> None:
    if await within_time_limit(run, work):
        state.timeline.note("end", statement("punch-time-over"))


async def _listening(
    state: PwnatState,
    run: MeasurementRun,
    options: PwnatOptions,
    watcher: Watcher,
    use: Use,
    wall: Callable[[], float],
) -> None:
    own = await _own_side(state, run, options)
    listener = state.side = KnockListener(KnockContext(own, options, state.timeline, state.counts, wall))
    try:
        socket = await listener.open()
        seen = await reached_at(own.run, socket)
        place = f":{socket.local.port}" if seen is None else str(seen)
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(_tell_place(state, listener, watcher, place))
            await _for_each_caller(state, listener, use)
            telling.cancel()
    except BaseExceptionGroup as errors:
        raise primary_error(errors) from None
    finally:
        listener.close()


async def _for_each_caller(state: PwnatState, listener: KnockListener, use: Use) -> None:
    """One, and the next where that one is gone without a word."""
    await connect_and_use(state, listener, use)
    while listener.replaced:
        if not use.repeats:
            state.ended = (*state.ended, statement("pwnat-used-once"))
            return
        state.used, state.ended = UseResult(), ()
        listener.begin_anew(patience_s(use.names))
        await connect_and_use(state, listener, use)


async def _tell_place(state: PwnatState, listener: KnockListener, watcher: Watcher, place: str) -> None:
    """Where to knock, once it is known, and again when it changes before somebody has come."""
    nat = listener.own.nat.udp4
    outside = None if nat is not None and moving(nat) is False else await listener.look_outside()

    def tell(now: Outside) -> None:
        if not listener.settled:
            state.tell_outside(now)
            watcher.code(f"{place} {now}")

    if outside is None:
        if nat is not None and moving(nat) and not (listener.settled or listener.compat):
            port = int(place.rpartition(":")[2])
            look = (statement("pwnat-look-as-root", port=port),) if listener.outside.lacks else ()
            state.timeline.note("beacon", statement("pwnat-port-unknown"), *look, ok=False)
        watcher.code(place)
    else:
        tell(outside)
        await listener.outside.follow((await listener.open()).local.port, tell)


async def _calling(
    state: PwnatState, run: MeasurementRun, options: PwnatOptions, use: Use, wall: Callable[[], float]
) -> None:
    own = await _own_side(state, run, options)
    caller = state.side = KnockCaller(KnockContext(own, options, state.timeline, state.counts, wall))
    try:
        await connect_and_use(state, caller, use)
    finally:
        caller.close()


async def _own_side(state: PwnatState, run: MeasurementRun, options: PwnatOptions) -> LocalSide:
    """With the network measured only by servers that the user has named."""
    looked = CompletedRun(run, run.options.families, datetime.now(UTC), False, tells_servers=False)
    if options.measuring.servers and not options.measuring.default_servers:
        await learn_translation(run)
        try:
            looked = await observe(run)
        except CannotRun:
            looked = CompletedRun(run, run.options.families, datetime.now(UTC), False)
    state.looked = looked
    nat = looked.report().nat
    low = options.low_ports
    if low is None:
        low = await may_bind_low_ports(run.network)
    if nat.udp4 is not None:
        state.timeline.note("behaviour", behaviour(nat))
    return LocalSide(looked.run, nat, low, options)


Side = tuple[Network, PwnatOptions, Watcher]


async def both(
    listening: Side,
    calling: Side,
    uses: tuple[Use | None, Use | None] = (None, None),
    *,
    wall: Callable[[], float] = time.time,
    outside: Callable[[str], Endpoint] | None = None,
) -> tuple[Report, Report]:
    """Both sides in one process, as in a lab: the caller begins once the listener says where to knock, which
    `outside` may complete. Errors are those of `listen` and `connect`."""

    async def call(told: str) -> Report:
        place, _, word = told.partition(" ")
        to = calling[1].listener or (outside or _endpoint)(place)
        read = parse_outside(word) if word else None
        to = to if read is None else Endpoint(to.host, read.port(to.host))
        chosen = replace(calling[1], listener=to, outside=read)
        return await connect(calling[0], chosen, calling[2], uses[1], wall=wall)

    return await both_sides(
        listening[2], lambda watcher: listen(listening[0], listening[1], watcher, uses[0], wall=wall), call
    )


def _endpoint(place: str) -> Endpoint:
    host, _, port = place.rpartition(":")
    return Endpoint(host, int(port))
