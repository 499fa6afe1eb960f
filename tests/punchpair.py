"""Two `nattools punch` as processes, each in a home of its own, and a server between them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import HostSpec, NatSpec, Scenario, ServerSpec

LIMIT_S = 150.0
CODE = re.compile(r"nattools punch (\d+-[a-z]+-[a-z]+)")
TOKEN = re.compile(r"^NT1[0-9A-Z]+$", re.MULTILINE)


def homes(one: NatSpec | None = None, two: NatSpec | None = None) -> Scenario:
    """Alice and Bob behind a NAT each."""
    return Scenario(
        title="homes",
        nat={"one": one or NatSpec(), "two": two or NatSpec()},
        host={"alice": HostSpec(behind="one"), "bob": HostSpec(behind="two")},
        server={"stun": ServerSpec()},
    )


class Side:
    """One of the two, and what it said so far on standard error."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.said = ""

    def await_match(self, pattern: str | re.Pattern[str]) -> re.Match[str]:
        """Read until it has said this. AssertionError: it did not, and what it said instead."""
        assert self.process.stderr is not None
        ends = time.monotonic() + LIMIT_S
        while (found := re.search(pattern, self.said)) is None:
            ready, _, _ = select.select([self.process.stderr], (), (), max(0.0, ends - time.monotonic()))
            part = os.read(self.process.stderr.fileno(), 65536) if ready else b""
            assert part, f"never said {pattern!r}, but:\n{self.said}"
            self.said += part.decode()
        return found

    def write(self, data: bytes, *, end: bool = False) -> None:
        """To its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()
        if end:
            self.process.stdin.close()
            self.process.stdin = None

    def end(self) -> tuple[int, bytes]:
        """Wait until it has ended: its exit code, and its standard output."""
        out, err = self.process.communicate(timeout=LIMIT_S)
        self.said += err.decode()
        return self.process.returncode, out or b""

    def report(self) -> Any:
        """The same, where `--json` is expected to have connected: the report."""
        code, out = self.end()
        assert code == 0, self.said
        return json.loads(out)


class Pair:
    """The lab, and a folder for what the processes keep."""

    def __init__(self, lab: NetnsLab, state: Path) -> None:
        self.lab, self.state = lab, state
        names = " ".join(lab.server_uris())
        self.environment = {**os.environ, "NATTOOLS_SERVER": names, "XDG_STATE_HOME": str(state)}
        self._started: list[Side] = []

    def start(
        self,
        host: str,
        *arguments: str,
        command: str = "punch",
        source: Path | None = None,
        out: Path | None = None,
    ) -> Side:
        """Start a nattools, its standard input from a file and its output into one if they are given."""
        with contextlib.ExitStack() as files:
            process = self.lab.popen(
                host,
                [sys.executable, "-m", "nattools", command, *arguments],
                env={**self.environment, "XDG_STATE_HOME": str(self.state / host)},
                stdin=subprocess.PIPE if source is None else files.enter_context(source.open("rb")),
                stdout=subprocess.PIPE if out is None else files.enter_context(out.open("wb")),
                stderr=subprocess.PIPE,
            )
        self._started.append(Side(process))
        return self._started[-1]

    def code(self, side: Side) -> str:
        """The code that a side has made."""
        return side.await_match(CODE)[1]

    def meet(self, first: tuple[str, ...] = (), second: tuple[str, ...] = ()) -> tuple[Side, Side]:
        """Alice makes a code, and Bob types it."""
        alice = self.start("alice", *first)
        code = alice.await_match(CODE)[1]
        return alice, self.start("bob", code, *second)

    def other(self, host: str, *command: str) -> bytes:
        """Run somebody else's program to its end, and give what it printed."""
        with self.lab.popen(host, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            return bytes(process.communicate(timeout=LIMIT_S)[0])

    def stop(self) -> None:
        """Leave nothing behind."""
        for side in self._started:
            side.process.kill()
            side.process.communicate()


@contextmanager
def pair(state: Path, scenario: Scenario | None = None) -> Iterator[Pair]:
    with NetnsLab(scenario or homes()) as lab:
        both = Pair(lab, state)
        try:
            yield both
        finally:
            both.stop()
