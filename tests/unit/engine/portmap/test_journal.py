"""The journal of mappings: it outlives its writer, and tells the dead from the living."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nattools.engine.portmap.journal import Journal, MemoryJournal
from nattools.engine.portmap.journalentry import JournalEntry, Timestamp
from nattools.errors import CannotRun
from nattools.model.endpoint import Endpoint
from nattools.model.portmapping import MappingProtocol
from nattools.probes.portmap import Granted, MappingRequest

OWN = Endpoint("10.0.1.2", 5000)

WRITER = """
import sys, os, signal
from pathlib import Path
from nattools.engine.portmap.journal import Journal
from nattools.model.endpoint import Endpoint
from nattools.probes.portmap import MappingRequest
with Journal(Path(sys.argv[1])) as journal:
    for port in map(int, sys.argv[3:]):
        inside = Endpoint("10.0.1.2", port)
        wanted = MappingRequest(transport="udp", internal=inside, nonce=bytes(12), lifetime_s=600)
        journal.add(wanted, "pcp", interface="eth0", gateway="10.0.1.1", stays=False)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif sys.argv[2] == "waits":
        print("ready", flush=True)
        sys.stdin.read()
"""


def writer(folder: Path, manner: str, *ports: int) -> subprocess.Popen[str]:
    """Another process with the same journal."""
    command = [sys.executable, "-c", WRITER, str(folder), manner, *map(str, ports)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


class Clock:
    """A clock that the test turns, and sets."""

    def __init__(self) -> None:
        self.up_s, self.set_by_s, self.boot = 500.0, 0.0, "first"

    def __call__(self) -> Timestamp:
        return Timestamp(1e9 + self.up_s + self.set_by_s, self.up_s, self.boot)


def wanted(port: int = 5000, lifetime_s: int = 600) -> MappingRequest:
    internal = Endpoint(OWN.host, port)
    return MappingRequest(transport="udp", internal=internal, nonce=bytes(range(12)), lifetime_s=lifetime_s)


def granted(lifetime_s: int | None = 600, protocol: MappingProtocol = "pcp") -> Granted:
    return Granted(
        protocol=protocol,
        transport="udp",
        internal=OWN,
        external_host="11.1.0.2",
        external_port=5001,
        lifetime_s=lifetime_s,
    )


def noted(
    journal: Journal | MemoryJournal,
    port: int = 5000,
    *,
    protocol: MappingProtocol = "pcp",
    stays: bool = False,
    lifetime_s: int = 600,
) -> JournalEntry:
    return journal.add(wanted(port, lifetime_s), protocol, interface="eth0", gateway="10.0.1.1", stays=stays)


def ports(entries: list[JournalEntry]) -> list[int]:
    return [entry.wanted.internal.port for entry in entries]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        first, second = noted(journal, 5000), noted(journal, 5001, stays=True)
        journal.granted(first, granted())
        assert ports(journal.entries()) == [5000, 5001]
        (again, _) = journal.entries()
        assert again.wanted == first.wanted
        assert again.granted == granted()
        assert (again.gateway, again.interface, again.protocol) == ("10.0.1.1", "eth0", "pcp")
        journal.gone(first)
        assert journal.entries() == [second]
    with Journal(tmp_path) as journal:
        assert ports(journal.entries()) == [5001]


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with Journal(folder) as journal:
        noted(journal)
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "mappings.jsonl").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege there")
@pytest.mark.parametrize("name", ["mappings.jsonl", "mappings.lock", "mappings.new"])
@pytest.mark.parametrize("kind", ["symlink", "link", "dangling"])
def test_whoever_may_write_the_folder_does_not_choose_which_file_is_written(
    tmp_path: Path, name: str, kind: str
) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "state"
    with Journal(folder) as journal:
        for port in range(5000, 5200):
            journal.gone(noted(journal, port))  # so much that the file is written anew next time
    folder.chmod(0o777)
    if kind != "dangling":
        victim.write_bytes(b"precious\n" * 5000)
    (folder / name).unlink(missing_ok=True)
    if kind == "link":
        (folder / name).hardlink_to(victim)
    else:
        (folder / name).symlink_to(victim)
    with suppress(CannotRun), Journal(folder) as journal:
        noted(journal)
    assert (victim.read_bytes() == b"precious\n" * 5000) if kind != "dangling" else not victim.exists()


def test_a_journal_written_anew_is_for_its_owner_alone(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for port in range(5000, 5200):
            journal.gone(noted(journal, port))
    assert (tmp_path / "mappings.jsonl").stat().st_size > 32768
    with Journal(tmp_path) as journal:
        noted(journal)
    assert (tmp_path / "mappings.jsonl").stat().st_size < 1000
    assert (tmp_path / "mappings.jsonl").stat().st_mode & 0o077 == 0


def test_many_write_at_once_and_some_die(tmp_path: Path) -> None:
    """Nothing is lost, and what the living made is not taken for what the dead left."""
    everyone = [
        writer(
            tmp_path,
            "killed" if number % 3 == 0 else "waits",
            *range(5000 + 100 * number, 5050 + 100 * number),
        )
        for number in range(6)
    ]
    try:
        for number, process in enumerate(everyone):
            if number % 3:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            else:
                assert process.wait(30) == -signal.SIGKILL
        with Journal(tmp_path) as journal:
            assert len(journal.entries()) == 300
            dead = {port for number in (0, 3) for port in range(5000 + 100 * number, 5050 + 100 * number)}
            assert set(ports(journal.left_behind())) == dead
    finally:
        for process in everyone:
            process.communicate()


def test_one_that_was_killed_has_left_something_behind(tmp_path: Path) -> None:
    with writer(tmp_path, "killed", 5000, 5001) as process:
        assert process.wait() == -signal.SIGKILL
    with Journal(tmp_path) as journal:
        noted(journal, 6000)
        assert ports(journal.left_behind()) == [5000, 5001]
        assert ports(journal.entries()) == [5000, 5001, 6000]


def test_one_that_lives_has_left_nothing_behind(tmp_path: Path) -> None:
    with writer(tmp_path, "waits", 5000) as process, Journal(tmp_path) as journal:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        assert journal.left_behind() == []
        assert ports(journal.entries()) == [5000]
        process.stdin.close()
        process.wait()
        assert ports(journal.left_behind()) == [5000], "it ended without removing its mapping"


def test_what_was_granted_and_is_to_stay_is_not_left_behind(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.granted(noted(journal, 5000, stays=True), granted())
        noted(journal, 5001)
        noted(journal, 5002, stays=True)
    with Journal(tmp_path) as journal:
        assert ports(journal.left_behind()) == [5001, 5002]
        assert ports(journal.entries()) == [5000, 5001, 5002]


@pytest.mark.parametrize(
    ("protocol", "answer", "over"),
    [
        ("pcp", None, True),
        ("nat-pmp", None, True),
        ("upnp-igd", None, False),  # it may have made a permanent one
        ("upnp-igd", 600, True),
        ("upnp-igd", "for ever", False),
        ("pcp", 7200, False),
    ],
)
def test_what_seems_to_have_ended_is_remembered_and_not_told(
    tmp_path: Path, protocol: MappingProtocol, answer: object, over: bool
) -> None:
    clock = Clock()
    with Journal(tmp_path, clock=clock) as journal:
        entry = noted(journal, protocol=protocol)
        if answer is not None:
            lasting = answer if isinstance(answer, int) else None
            journal.granted(entry, granted(lasting, protocol))
        clock.up_s += 599
        assert not journal.entries()[0].seems_over(clock())
        clock.up_s += 100
        assert journal.entries()[0].seems_over(clock()) == over
        assert ports(journal.in_force()) == ([] if over or answer is None else [5000])


@pytest.mark.parametrize("set_by_s", [86_400.0, -86_400.0, 4e7])
def test_a_clock_that_is_set_changes_nothing(tmp_path: Path, set_by_s: float) -> None:
    clock = Clock()
    with Journal(tmp_path, clock=clock) as journal:
        journal.granted(noted(journal, stays=True), granted())
        clock.set_by_s = set_by_s
        assert ports(journal.in_force()) == [5000]
    with Journal(tmp_path, clock=clock) as journal:
        assert ports(journal.entries()) == ports(journal.in_force()) == [5000]
        clock.up_s += 700
        assert ports(journal.entries()) == [5000]
        assert journal.in_force() == []


@pytest.mark.parametrize(
    ("epoch_s", "age_s", "there"), [(101, 3.0, True), (101, 0.0, False), (20, 3.0, False)]
)
def test_an_epoch_is_as_old_as_the_answer(tmp_path: Path, epoch_s: int, age_s: float, there: bool) -> None:
    """A search that waits for a silent protocol ends seconds after another one has told its epoch."""
    clock = Clock()
    with Journal(tmp_path, clock=clock) as journal:
        entry = noted(journal, protocol="pcp", stays=True)
        journal.granted(entry, msgspec.structs.replace(granted(600, "pcp"), epoch_s=100))
        clock.up_s += 4
        assert bool(journal.in_force({"pcp": epoch_s}, age_s)) == there


def test_after_a_restart_of_the_machine_the_wall_clock_must_do(tmp_path: Path) -> None:
    clock = Clock()
    with Journal(tmp_path, clock=clock) as journal:
        journal.granted(noted(journal, stays=True), granted())
    clock.up_s, clock.boot, clock.set_by_s = 20.0, "second", 500 + 500
    with Journal(tmp_path, clock=clock) as journal:
        assert ports(journal.in_force()) == [5000]
        clock.up_s += 200
        assert journal.in_force() == []
        assert ports(journal.entries()) == [5000]


def test_of_routers_that_are_never_met_again_the_latest_are_remembered(tmp_path: Path) -> None:
    clock = Clock()
    with Journal(tmp_path, clock=clock) as journal:
        for port in range(2000, 2600):
            noted(journal, port, stays=True)
        clock.up_s += 1e6
        noted(journal, 5000, stays=True)
    with Journal(tmp_path, clock=clock) as journal:
        assert ports(journal.entries()) == [*range(2344, 2600), 5000]


def test_a_renewal_prolongs_it(tmp_path: Path) -> None:
    clock = Clock()
    with Journal(tmp_path, clock=clock) as journal:
        entry = noted(journal)
        for _ in range(5):
            journal.granted(entry, granted())
            clock.up_s += 300
        assert ports(journal.in_force()) == [5000]


def test_lines_that_cannot_be_read_cost_only_themselves(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        noted(journal, 5000, stays=True)
    with (tmp_path / "mappings.jsonl").open("ab") as file:
        file.write(b'{"note": {"id": 5}}\n\xff\xfe\n{"gr')
    with Journal(tmp_path) as journal:
        noted(journal, 5001, stays=True)
        assert ports(journal.entries()) == [5000, 5001], "a line after a torn one begins anew"


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_a_file_of_anything_is_survived(lines: list[bytes]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mappings.jsonl").write_bytes(b"\n".join(lines))
        with Journal(folder) as journal:
            noted(journal)
            assert ports(journal.entries()) == [5000]


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    bases = (5000, 6000, 7000)
    with ExitStack() as running:
        for base in bases:
            running.enter_context(writer(tmp_path, "killed", *range(base, base + 20)))
    with Journal(tmp_path) as journal:
        expected = [port for base in bases for port in range(base, base + 20)]
        assert sorted(ports(journal.left_behind())) == expected


def test_it_does_not_grow_for_ever(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        kept = noted(journal, stays=True)
        for _ in range(200):
            journal.gone(noted(journal))
    size = (tmp_path / "mappings.jsonl").stat().st_size
    with Journal(tmp_path) as journal:
        assert journal.entries() == [kept]
    assert (tmp_path / "mappings.jsonl").stat().st_size < size / 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mappings.jsonl", "mappings.lock"]


def test_a_folder_that_cannot_be_written_is_said_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(CannotRun) as error, Journal(tmp_path / "state"):
        pass
    assert "journal" in str(error.value)
    assert "XDG_STATE_HOME" in error.value.remedy


def test_in_memory_it_is_the_same_while_it_lasts() -> None:
    with MemoryJournal() as journal:
        first = noted(journal)
        journal.granted(first, granted())
        (again,) = journal.entries()
        assert again.granted == granted()
        journal.gone(first)
        assert journal.entries() == journal.left_behind() == []


def test_ports_that_were_asked_for_are_ours_whatever_comes_of_them(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        entry = noted(journal)
        for port in (5000, 6000, 5000):
            journal.asking(entry, port)
        (again,) = journal.entries()
        assert again.own_ports == (5000, 6000)
        journal.granted(entry, granted())
        (again,) = journal.entries()
        assert again.own_ports == (5000, 6000, granted().external_port)
        journal.gone(entry)
        journal.asking(entry, 7000)
        assert journal.entries() == []
