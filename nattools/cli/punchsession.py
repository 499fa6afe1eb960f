"""What `nattools punch` does with the connection: echoes, a pipe, forwards, measurements, a command; and the
result of it all."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import NamedTuple

from nattools.cli.app import INTERRUPTED
from nattools.cli.display.punchdisplay import PunchDisplay
from nattools.cli.display.punchstatus import TrafficLine
from nattools.cli.options.punchoptions import LASTING, PunchRequest
from nattools.engine.punch.options import Connected, Use, UseResult
from nattools.errors import CannotRun
from nattools.model.punch import Echoes, Throughput
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.net.eventloop import on_signal
from nattools.traversal.tunnel import Tunnel
from nattools.traversal.tunnel.forward import BoundForward, Forwarding, bind
from nattools.traversal.tunnel.hook import run_hook
from nattools.traversal.tunnel.measure import BenchUse, echoes
from nattools.traversal.tunnel.pipe import ByteSink, ByteSource, PipeUse, standard_input, standard_output

ECHOES = 10
GOODBYE_S = 2.0
FOREVER_S = 10 * 365 * 86400.0
_INTERRUPTED = "the other side was interrupted"


class CommandResult(NamedTuple):
    """What came of it. `told`: was it told of while it went on? `problem`: what went wrong with the use of
    the connection."""

    report: Report
    told: bool
    problem: str = ""
    interrupted: bool = False

    @property
    def code(self) -> int:
        """The exit code."""
        if self.interrupted:
            return INTERRUPTED
        connected = self.report.connection is not None and self.report.connection.connected
        return 0 if connected and not self.problem else 1


class PunchSession:
    """One side's, shown on `display` if there is one. `problem`: what went wrong with what was asked for, or
    nothing; `interrupted`: by Ctrl-C.

    It listens to Ctrl-C, SIGTERM and SIGHUP from when there is a connection: the other side is told then.
    """

    def __init__(
        self, wanted: PunchRequest, network: Network, display: PunchDisplay | None, *, quiet: bool
    ) -> None:
        self.problem = ""
        self.interrupted = False
        self._wanted = wanted
        self._network = network
        self._display = display
        self._quiet = quiet
        self._stop = asyncio.Event()
        self._pipe: PipeUse | None = None
        self._bound: list[BoundForward] = []
        self._forwarding: Forwarding | None = None
        self._bench: BenchUse | None = None
        self._echoes: Echoes | None = None
        self._throughput: Throughput | None = None

    @property
    def use(self) -> Use:
        """What the engine does with the connection."""
        return Use(self._run, self._prepare, self._wanted.uses, repeats=not self._wanted.pipe)

    async def listen(self) -> None:
        """Listen for the forwards, before anybody is met. CannotRun: a port cannot be had."""
        self._bound = await bind(self._network, self._wanted.forwards, self._say)

    def close(self) -> None:
        """Listen no more. Idempotent."""
        for each in self._bound:
            each.listening.close()

    def _prepare(self, tunnel: Tunnel) -> None:
        self._bench = BenchUse(tunnel)
        self._forwarding = Forwarding(tunnel, self._network, self._wanted.allowed, self._say, self._bound)
        if self._wanted.pipe:
            self._pipe = PipeUse(tunnel)

    async def _run(self, connected: Connected) -> UseResult:
        self.problem = ""
        hear_as_before = self._listen_to_signals()
        try:
            return await self._used(connected)
        finally:
            if self._forwarding is not None:
                self._forwarding.detach()
            if not self._stop.is_set():
                hear_as_before()

    async def _used(self, connected: Connected) -> UseResult:
        punch = connected.report().connection
        if punch is not None and self._wanted.uses and self._display is not None:
            self._display.connected(punch, lasts=self._wanted.lasts)
            self._display.status(TrafficLine(connected.tunnel))
        async with asyncio.TaskGroup() as group:
            work = group.create_task(self._work(connected))
            stop = group.create_task(self._stop.wait())
            await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
            told = not work.done()
            for task in (work, stop):
                task.cancel()
        if told:
            await connected.tunnel.finish(_INTERRUPTED, timeout_s=GOODBYE_S)
        return UseResult(echoes=self._echoes, throughput=self._throughput, problem=self.problem)

    def _listen_to_signals(self) -> Callable[[], None]:
        """What is returned undoes it."""

        def interrupt() -> None:
            self.interrupted = True
            self._stop.set()

        undo = on_signal(interrupt, "SIGINT", "SIGHUP"), on_signal(self._stop.set, "SIGTERM")

        def hear_as_before() -> None:
            for each in undo:
                each()

        return hear_as_before

    async def _work(self, connected: Connected) -> None:
        """All that was asked for, in the order in which it makes sense."""
        tunnel = connected.tunnel
        wanted = self._wanted
        if wanted.pipe:
            await self._through_pipe(tunnel)
            return
        await self._forward()
        self._echoes = await echoes(tunnel, ECHOES)
        if wanted.bench:
            await self._measure()
        if wanted.hook is not None:
            await self._run_command(wanted.hook, connected.report())
        await self._stay(tunnel)

    async def _stay(self, tunnel: Tunnel) -> None:
        """As long as this side wants the connection, or the other does: it may be in the middle of something,
        or come back to it again and again."""
        uses = set(tunnel.peer_uses or ())
        if self._wanted.lasts:
            while tunnel.ended is None:
                await tunnel.changed()
        elif self._wanted.allowed or uses & LASTING:
            while tunnel.ended is None and not tunnel.peer_done:
                await tunnel.changed()
            await tunnel.finish()
        elif uses:
            await tunnel.finish(timeout_s=FOREVER_S)
        if tunnel.ended and not self._stop.is_set():
            tell = self._say if tunnel.peer_done else self._note  # the other side may end it
            tell(f"The connection has ended: {tunnel.ended.rstrip('.')}.")

    async def _forward(self) -> None:
        assert self._forwarding is not None
        for refused in await self._forwarding.start((), self._wanted.reverses):
            self._note(refused)

    async def _run_command(self, command: str, report: Report) -> None:
        from nattools.report.savedreport import render_json

        assert report.connection is not None
        json = render_json(report).encode()
        code = await run_hook(command, report.connection, json, writes=not self._quiet)
        if code:
            self._note(f"the --exec command exited with {code}")

    async def _measure(self) -> None:
        assert self._bench is not None
        try:
            self._throughput = await self._bench.run()
        except CannotRun as error:
            self._note(f"nothing could be measured: {error}")

    async def _through_pipe(self, tunnel: Tunnel) -> None:
        assert self._pipe is not None
        outcome = await self._pipe.run(*pipe_ends())
        if outcome.failed is not None:
            self._note(outcome.failed)
        await tunnel.finish(outcome.failed or "")
        if outcome.failed is None and tunnel.ended:
            self._note(tunnel.ended)

    def _note(self, problem: str | None) -> None:
        if problem:
            self.problem = self.problem or problem
            self._say(problem)

    def _say(self, text: str) -> None:
        if self._display is not None:
            self._display.line(text)


def pipe_ends() -> tuple[ByteSource, ByteSink]:
    """Standard input and output. A person at a terminal does not have to end the input once the other side
    has ended its own: there is nobody left to type for."""
    source, sink = standard_input(), standard_output()
    if sys.stdin is None or not sys.stdin.isatty():
        return source, sink
    terminal = Conversation(source, sink)
    return terminal, terminal


class Conversation:
    """A `ByteSource` that ends when it, as the `ByteSink`, is closed."""

    def __init__(self, source: ByteSource, sink: ByteSink) -> None:
        self._source, self._sink = source, sink
        self._over = asyncio.Event()

    async def read(self) -> bytes:
        """Some bytes; b"" at the end of either direction."""
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._source.read())
            over = group.create_task(self._over.wait())
            await asyncio.wait((reading, over), return_when=asyncio.FIRST_COMPLETED)
            for task in (reading, over):
                task.cancel()
        return b"" if reading.cancelled() else reading.result()

    async def write(self, data: bytes) -> str | None:
        """Write all of it; None, or why nothing can be written any more."""
        return await self._sink.write(data)

    async def close(self) -> str | None:
        """The other side has ended."""
        self._over.set()
        return await self._sink.close()
