"""`--watch`: a measuring command that runs on and tells what changes, for people, programs and monitoring."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from nattools.cli.display.outputs import tell, write_document, write_out, write_text
from nattools.cli.display.standardstreams import is_read
from nattools.errors import CannotRun, UsageError
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.report.safetext import safe, untied, wrap
from nattools.report.savedreport import escaped_controls
from nattools.report.terminal import terminal_columns
from nattools.watch.metrics import CONTENT_TYPE, Metrics
from nattools.watch.sleepmeter import clock_through_sleep
from nattools.watch.watch import Watch, WatchEvent
from nattools.wording import sentence, terms

SHORTEST_S = 10.0
_HEAD_LIMIT = 8192
_HEAD_S = 5.0
_MOST_ASKING = 32


class WatchRequest(msgspec.Struct, frozen=True):
    """How to watch: a measurement every `every_s` seconds, for `for_s` (None: until Ctrl-C); where the
    metrics go."""

    every_s: float
    for_s: float | None = None
    port: int | None = None
    file: Path | None = None


def watch_request(every_s: float | None, for_s: float | None, metrics: str | None) -> WatchRequest | None:
    """`--watch`, `--for` and `--metrics`, checked; None without the first. UsageError says what makes no
    sense."""
    from nattools.cli.display.outputs import check_writable
    from nattools.cli.options.sharedoptions import checked_seconds

    if every_s is None:
        for option, value in (("--for", for_s), ("--metrics", metrics)):
            if value is not None:
                raise UsageError(f"{option} is for a watch: give --watch S too")
        return None
    if checked_seconds(every_s, "--watch") and every_s < SHORTEST_S:
        raise UsageError(f"--watch {every_s:g}: give at least {SHORTEST_S:g} seconds")
    lasting = checked_seconds(for_s, "--for")
    if metrics is None:
        return WatchRequest(every_s, lasting)
    if metrics.isascii() and metrics.isdigit():
        if not 0 < int(metrics) < 65536:
            raise UsageError(f"--metrics {metrics[:20]}: a port is a number from 1 to 65535")
        return WatchRequest(every_s, lasting, port=int(metrics))
    check_writable(Path(metrics))
    return WatchRequest(every_s, lasting, file=Path(metrics))


async def watched(
    wanted: WatchRequest,
    network: Network,
    measure: Callable[[], Awaitable[Report]],
    keep: Callable[[Report], None],
    *,
    as_json: bool,
    interface: str | None,
) -> Report:
    """Watch, and give the last report; `keep` gets it too, also if the watch is interrupted. It ends when
    nobody reads what it tells. CannotRun: not one measurement could be made."""
    simulated = network.substrate == "sim"
    if simulated and wanted.for_s is None:
        raise UsageError("a simulation never ends by itself: say with --for S how long to watch")
    if network.substrate != "host" and wanted.port is not None:
        raise UsageError("--metrics PORT: in a scenario nobody can ask there; name a file")
    metrics = Metrics()
    file = None if wanted.file is None else _MetricsFile(wanted.file)

    def told(event: WatchEvent) -> None:
        metrics.event(event)
        line = event_line(event, as_json=as_json, wall=network.substrate == "host")
        (write_document if as_json else write_out)(line)
        if not is_read():
            watch.stop()

    def seen(report: Report | None) -> None:
        metrics.report(report)
        if file is not None:
            file.write(metrics.text())

    clock = None if simulated else clock_through_sleep
    watch = Watch(
        network, measure, wanted.every_s, told, seen, for_s=wanted.for_s, interface=interface, clock=clock
    )
    try:
        async with serving(metrics, wanted.port):
            await watch.run()
    finally:
        if file is not None:
            file.write(metrics.text())
        if watch.last is not None:
            keep(watch.last)
    if watch.last is None:
        raise CannotRun("nothing could be measured in all that time", "See the events above for the reason.")
    return watch.last


class _MetricsFile:
    """Where it cannot be written that is said, once for each reason, and the watch goes on: a disk that is
    full is emptied some day."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._problem = ""

    def write(self, text: str) -> None:
        """In place of what was there."""
        problem = ""
        try:
            write_text(self._path, text)
        except CannotRun as error:
            problem = str(error)
        if problem and problem != self._problem:
            tell(f"nattools: {safe(problem)}")
        self._problem = problem


def event_line(event: WatchEvent, *, as_json: bool, wall: bool) -> str:
    """One line, or for a person as many as the terminal wants. `wall`: with the time of day."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if wall else None
    text = sentence(event.says)
    if as_json:
        line = {
            "time": now,
            "at_s": event.at_s,
            "code": event.says.code,
            "what": event.what,
            "before": event.before,
            "after": event.after,
            "better": event.better,
            "text": text,
        }
        return escaped_controls(msgspec.json.encode(line).decode()) + "\n"
    when = now or untied(terms.seconds(event.at_s))
    lines = wrap(safe(text), max(20, terminal_columns(sys.stdout) - 24))
    return "".join(f"{when if number == 0 else '':>20}  {line}\n" for number, line in enumerate(lines))


@asynccontextmanager
async def serving(metrics: Metrics, port: int | None) -> AsyncIterator[None]:
    """Answer whoever asks for metrics at that port of this machine, and nobody else. CannotRun: it is
    taken."""
    if port is None:
        yield
        return
    page = _Page(metrics)
    try:
        server = await asyncio.start_server(page.answer, "127.0.0.1", port, limit=_HEAD_LIMIT)
    except OSError as error:
        raise CannotRun(
            f"cannot listen on port {port}: {error.strerror or error}", "Give --metrics another port."
        ) from None
    tell(f"nattools: metrics at http://127.0.0.1:{port}/metrics")
    try:
        yield
    finally:
        server.close()
        page.close()
        await server.wait_closed()


class _Page:
    """Answers some who ask, at a time, and waits for nobody for long."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._asking: set[asyncio.StreamWriter] = set()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection."""
        if len(self._asking) >= _MOST_ASKING:
            writer.transport.abort()
            return
        self._asking.add(writer)
        writer.transport.set_write_buffer_limits(0)  # `drain` waits until all has left
        try:
            async with asyncio.timeout(_HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
                found = head[:_HEAD_LIMIT].startswith((b"GET /metrics ", b"GET / "))
                writer.write(_response(self._metrics.text() if found else None))
                await writer.drain()
            writer.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            writer.transport.abort()
        finally:
            self._asking.discard(writer)

    def close(self) -> None:
        """Answer nobody any more."""
        for writer in self._asking:
            writer.transport.abort()


def _response(text: str | None) -> bytes:
    body = (text if text is not None else "not here: ask for /metrics\n").encode()
    status = "200 OK" if text is not None else "404 Not Found"
    kind = CONTENT_TYPE if text is not None else "text/plain; charset=utf-8"
    lines = (
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
