"""`--watch` as typed: what it prints, writes and refuses."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from nattools.cli.app import run
from nattools.cli.watchcommand import serving
from nattools.errors import CannotRun
from nattools.report.savedreport import load_file
from nattools.watch.metrics import Metrics

DAY = ["--lab", "loses-mappings", "--watch", "7200", "--for", "36000"]
"""The NAT loses its table after 4 and 8 hours; the watch ends with a measurement, later than that."""


def test_programs_get_a_document_on_each_line_and_files_the_last_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, metrics = tmp_path / "last.json", tmp_path / "m.prom"
    assert run(["nat", *DAY, "--json", "-o", str(report), "--metrics", str(metrics)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["code"] for line in lines] == ["watch-began", "watch-flow-moved", "watch-flow-moved"]
    assert set(lines[0]) == {"time", "at_s", "code", "what", "before", "after", "better", "text"}
    assert load_file(report).command == "nat"
    assert metrics.read_text().endswith("# EOF\n")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["last.json", "m.prom"]


def test_metrics_go_through_a_link_and_leave_it(tmp_path: Path) -> None:
    link, file = tmp_path / "link.prom", tmp_path / "m.prom"
    link.symlink_to(file)
    assert run(["nat", *DAY, "--metrics", str(link)]) == 0
    assert link.is_symlink(), "a device would have been replaced too"
    assert file.read_text().endswith("# EOF\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_disk_does_not_end_a_watch(capsys: pytest.CaptureFixture[str]) -> None:
    """Which may go on for weeks."""
    watch = ("--watch", "60", "--for", "200", "--metrics", "/dev/full")
    assert run(["nat", "--lab", "home-router", *watch]) == 0
    said = capsys.readouterr().err
    assert said.count("cannot write /dev/full: No space left") == 1


def test_a_person_gets_a_line_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nat", *DAY]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Watching: port-restricted cone, from outside 11.1.0.2." in lines[0]
    assert lines[1].split()[:2] == ["4", "h"]
    assert max(map(len, lines)) <= 80


def test_relays_are_watched_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["relay", "--lab", "relay-near", "--watch", "60", "--for", "120"]) == 0
    assert "Watching: 4 of 4 relays work." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nat", "--lab", "home-router", "--watch", "60"], "with --for S how long"),
        (["nat", "--lab", "home-router", "--for", "60"], "give --watch S too"),
        (["nat", "--lab", "home-router", "--metrics", "x"], "give --watch S too"),
        (["nat", "--watch", "1"], "at least 10 seconds"),
        (["nat", "--watch", "nan"], "greater than 0"),
        (["nat", "--watch", "60", "--metrics", "70000"], "from 1 to 65535"),
        (["nat", "--watch", "60", "--metrics", "/nonexistent/x"], "there is no directory"),
        (["nat", "--lab", "home-router", "--watch", "60", "--for", "60", "--metrics", "9"], "name a file"),
        (["punch", "--watch", "60"], "No such option"),
        (["map", "probe", "--watch", "60"], "No such option"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    assert why in capsys.readouterr().err


def test_nothing_measured_is_an_error_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nat", "--lab", "silent-server", "-6", "--watch", "60", "--for", "100"]) == 3
    seen = capsys.readouterr()
    assert "Nothing can be measured" in seen.out
    assert "nothing could be measured in all that time" in seen.err


async def fetched(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


def test_metrics_are_served_to_this_machine(unused_port: int) -> None:
    async def main() -> tuple[bytes, bytes]:
        async with serving(Metrics(), unused_port):
            found = await fetched(unused_port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            other = await fetched(unused_port, b"GET /etc/passwd HTTP/1.1\r\n\r\n")
            with pytest.raises(CannotRun, match="cannot listen"):
                async with serving(Metrics(), unused_port):
                    pass
            return found, other

    found, other = asyncio.run(main())
    assert found.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0")
    assert found.endswith(b"nattools_up 0\n# EOF\n")
    assert other.startswith(b"HTTP/1.1 404 ")


def test_who_asks_and_says_nothing_takes_no_more_than_some_places(
    unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs the watch a file. Whom there is no place for is sent away at once; the end waits for
    nobody."""
    monkeypatch.setattr("nattools.cli.watchcommand._HEAD_S", 30.0)

    async def main() -> tuple[int, list[bytes]]:
        async with serving(Metrics(), unused_port):
            idle = [await asyncio.open_connection("127.0.0.1", unused_port) for _ in range(100)]
            asking = [asyncio.create_task(reader.read()) for reader, _ in idle]
            left = set(asking)
            while len(left) > 32:
                _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            held = len(left)
        ends = await asyncio.gather(*asking, return_exceptions=True)
        for _, writer in idle:
            writer.close()
        return held, [each for each in ends if isinstance(each, bytes)]

    held, said = asyncio.run(main())
    assert held == 32
    assert not any(said)


@pytest.fixture
def unused_port() -> int:
    """One that the system gives to nobody by itself."""
    import socket

    for port in range(20_000, 21_000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    pytest.fail("a thousand ports are taken")
