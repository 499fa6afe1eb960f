"""Events of a scenario: what they do to a simulation, and what is wrong with those that cannot happen."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from eventtables import event
from simulated import STUN, Notes

from nattools.cli.app import run as run_command
from nattools.cli.display.labevents import MOST
from nattools.errors import CannotRun, UsageError
from nattools.lab.scenarioevents import EventSpec, moments
from nattools.lab.scenariofiles import parse
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import Endpoint
from nattools.net.base import TcpFailure

HEAD = (
    'title = "t"\n[nat.home]\npool = 2\npooling = "in-turn"\n[nat.cafe]\n'
    '[host.alice]\nbehind = ["home", "cafe"]\n'
)


async def seen_from(lab: SimLab) -> str | None:
    """The outside address of a new flow of alice's; None: nothing comes back."""
    network = lab.network("alice")
    try:
        socket = await network.open_udp(family=4)
    except CannotRun:
        return None
    notes = Notes(socket)
    from nattools.protocols import stun

    socket.send(stun.binding_request(stun.new_transaction_id()), STUN)
    await asyncio.sleep(1.0)
    socket.close()
    if not notes.payloads:
        return None
    mapped = stun.decode(notes.payloads[0]).mapped
    return None if mapped is None else mapped.host


def seen_over_time(text: str, *at_s: float) -> list[str | None]:
    """What a flow that begins at each of these times looks like from outside."""

    async def main() -> list[str | None]:
        found = []
        for each in at_s:
            await asyncio.sleep(each - lab.loop.time())
            found.append(await seen_from(lab))
        return found

    with SimLab(parse(text, "t.toml")) as lab:
        return lab.run(main)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (event(at_s=10, node="home", what="new-address"), ["11.1.0.2", "11.1.0.3", "11.1.0.3"]),
        (event(at_s=10, every_s=20, node="home", what="new-address"), ["11.1.0.2", "11.1.0.3", "11.1.0.2"]),
        (event(at_s=10, node="alice", what="link-down"), ["11.1.0.2", None, None]),
        (
            event(at_s=10, node="alice", what="link-down") + event(at_s=25, node="alice", what="link-up"),
            ["11.1.0.2", None, "11.1.0.2"],
        ),
        (
            event(at_s=10, node="home", what="link-down") + event(at_s=25, node="home", what="link-up"),
            ["11.1.0.2", None, "11.1.0.2"],
        ),
        (event(at_s=10, node="alice", what="moved", to="cafe"), ["11.1.0.2", "11.2.0.2", "11.2.0.2"]),
        (event(at_s=10, node="home", what="restarted", down_s=15), ["11.1.0.2", None, "11.1.0.2"]),
        (
            event(at_s=5, node="cafe", what="restarted", down_s=60)
            + event(at_s=10, node="home", what="new-address"),
            ["11.1.0.2", "11.1.0.3", "11.1.0.3"],
        ),
        (
            event(at_s=10, node="stun", what="server-gone") + event(at_s=25, node="stun", what="server-back"),
            ["11.1.0.2", None, "11.1.0.2"],
        ),
    ],
)
def test_what_happens_is_seen(events: str, expected: list[str | None]) -> None:
    assert seen_over_time(HEAD + events, 0.0, 20.0, 40.0) == expected


def test_one_simulation_changes_no_other() -> None:
    scenario = parse(HEAD + event(at_s=1, node="alice", what="link-down"), "t.toml")
    for _ in range(2):
        with SimLab(scenario) as lab:
            assert (
                lab.run(lambda lab=lab: seen_from(lab)) is None
                or lab.network("alice").interfaces()[1].up is False
            )
    with SimLab(scenario) as lab:
        assert lab.network("alice").interfaces()[1].up


def test_a_machine_without_a_link_knows_it() -> None:
    with SimLab(parse(HEAD, "t.toml")) as lab:
        network = lab.network("alice")
        lab.unplug("alice")
        assert [each.up for each in network.interfaces()] == [True, False, False]
        assert network.gateways() == ()
        assert network.route("11.201.0.2") is None
        lab.plug("alice")
        assert len(network.gateways()) == 2
        assert network.route("11.201.0.2") is not None


def test_events_come_in_their_order_without_end() -> None:
    specs = (
        EventSpec(at_s=5, every_s=10, node="a", what="table-lost"),
        EventSpec(at_s=7, node="b", what="link-down"),
    )
    found = moments(specs)
    assert [(next(found).at_s, index) for index in range(4)] == [(5, 0), (7, 1), (15, 2), (25, 3)]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (event(at_s=1, node="nobody", what="link-down"), "there is no node 'nobody'"),
        (event(at_s=1, node="alice", what="table-lost"), "happens to routers"),
        (event(at_s=1, node="home", what="server-gone"), "happens to servers"),
        (event(at_s=1, node="alice", what="moved"), "needs it"),
        (event(at_s=1, node="alice", what="moved", to="nowhere"), "is not a host behind"),
        (event(at_s=1, node="cafe", what="new-address"), "in-turn"),
        (event(at_s=1, node="home", what="behaves"), "needs it"),
        (event(at_s=1, node="home", what="explodes"), "is not one of"),
        (event(at_s=-1, node="home", what="restarted"), "at_s"),
        (event(at_s=1, every_s=0, node="home", what="restarted"), "every_s"),
        (
            '[[event]]\nat_s = 1\nnode = "home"\nwhat = "behaves"\nnow = { mapping = "odd" }\n',
            "is not one of",
        ),
        (
            '[[event]]\nat_s = 1\nnode = "home"\nwhat = "behaves"\nnow = { dmz = "alice" }\n',
            "stays as it is",
        ),
        (
            '[[event]]\nat_s = 1\nnode = "home"\nwhat = "behaves"\nnow = { step = 3 }\n',
            'step is for allocation = "sequential"',
        ),
        ("event = 3\n", "write each as"),
    ],
)
def test_what_cannot_happen_is_a_mistake_in_the_file(events: str, reason: str) -> None:
    text = events + HEAD if events.startswith("event") else HEAD + events
    with pytest.raises(UsageError, match=reason):
        parse(text, "t.toml")


def test_they_are_shown_as_they_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["lab", "run", "changes", "--events"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [
        "at first alice outside: 11.1.0.2, the same port for each",
        "5 h 33 min home: restarted",
        "alice outside: no answer",
    ]
    assert "alice outside: 11.1.0.2, the same port for each, 2 of 4 silent" in lines
    assert lines[-4:] == [
        "55 h 33 min home: behaves as mapping address-and-port-dependent,",
        "allocation random",
        "alice's flow comes from another port",
        "alice outside: 11.1.0.4, another port for each",
    ]


def test_programs_get_what_happens_as_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["lab", "run", "loses-mappings", "--events", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["scenario"], answer["backend"], answer["complete"]) == ("loses-mappings", "sim", True)
    assert answer["happened"][1] == {
        "at_s": 14400.0,
        "what": "home: table lost",
        "seen": ["alice's flow comes from another port"],
    }
    assert run_command(["lab", "run", "roaming", "--events", "-o", "x.json"]) == 2


def test_of_very_many_events_the_first_are_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    drawn = tmp_path / "often.toml"
    often = event(at_s=1, every_s=0.2, node="home", what="table-lost")
    drawn.write_text(HEAD + often + event(at_s=9000, node="alice", what="link-down"))
    assert run_command(["lab", "run", str(drawn), "--events"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == MOST + 1
    assert lines[-1].split() == ["and", "more,", "until", "2", "h", "30", "min"]


def test_a_nat_without_mapper_restarts_beside_one_that_has_one() -> None:
    text = HEAD.replace("[nat.cafe]\n", "[nat.cafe]\n[nat.cafe.mapper]\n")
    assert seen_over_time(text + event(at_s=10, node="home", what="restarted"), 0.0, 12.0, 20.0) == [
        "11.1.0.2",
        None,
        "11.1.0.2",
    ]


def test_a_portal_that_comes_later_answers_connections() -> None:
    later = '[[event]]\nat_s = 10\nnode = "home"\nwhat = "behaves"\nnow = { portal = "connections" }\n'

    async def main() -> bytes:
        await lab.events.step()
        stream = await lab.network("alice").connect_tcp(Endpoint("11.201.0.2", 80), timeout_s=5.0)
        assert not isinstance(stream, TcpFailure)
        stream.write(b"GET / HTTP/1.1\r\n\r\n")
        return await stream.read()

    with SimLab(parse(HEAD + later, "t.toml"), still=True) as lab:
        assert b"302 Found" in lab.run(main)
