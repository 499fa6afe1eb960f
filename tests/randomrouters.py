"""Routers drawn at random from the faults that real ones have, and what their users do: commands that are
killed at any step, clocks that jump, restarts; then `map delete --mine`, and a look into the table."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
from mapped import ALICE, OUTSIDE, home, options
from simulated import pass_time

from nattools.engine.measureoptions import MapOptions
from nattools.engine.portmap import commands
from nattools.engine.portmap.journal import Journal
from nattools.engine.portmap.journalentry import JournalEntry, Timestamp
from nattools.engine.portmap.keep import MappingChange, keep
from nattools.lab.routers.fakerouter import FakeRouter, start_router
from nattools.lab.routers.igddevice import PORT as WEB_PORT
from nattools.lab.routers.routerbehaviour import RouterBehaviour
from nattools.lab.routers.table import TableMapping
from nattools.lab.scenario import NatSpec, Scenario
from nattools.lab.sim.simlab import SimLab
from nattools.model.endpoint import parse_endpoint
from nattools.model.portmapping import MAPPING_PROTOCOLS, PortMapping
from nattools.model.report import Report
from nattools.probes.portmap.httpclient import REQUEST_S
from nattools.protocols.igd import ErrorCode
from nattools.trials.scenarios import no_progress

ROUTER = "10.0.1.1"
PORTS = (5000, 5001)
FAULTS: dict[str, tuple[Any, ...]] = {
    "igd_version": (1,),
    "connected": (False,),
    "external": ("0.0.0.0", "", "192.168.100.2", "127.0.0.1", "224.0.0.1", ALICE),
    "permanent_only": (True,),
    "lease_fault": (True,),
    "permanent_fault": (True,),
    "same_ports": (True,),
    "lease_error": (-911, 501),
    "any_port_error": (0, 401, 501, 728),
    "repeats_call": (True,),
    "framing": ("left open", "too long"),
    "rows": ("gaps", "foreign", "blank", "hidden", "unlisted", "repeated", "unreadable"),
    "list_error": (501, 606, 714, 713),
    "row_s": (0.3, 6.0),
    "upnp_error": (501, 606, 718, 725),
    "upnp_status": (500, 501),
    "pcp_result": (2, 8, 12),
    "natpmp_result": (2, 3, 4),
    "pcp_downgrade": (True,),
    "pcp_alone": (True,),
    "ignores_prefer_failure": (True,),
    "other_port": (True,),
    "taken": (PORTS, (PORTS[0],)),
    "lies": (True,),
    "full": (True,),
    "then_fails": (0, 501, 718, 402),
    "leases": ("end", "run on"),
    "lease_becomes": (0, 600, 86400, 30),
    "renewal_result": (4, 8),
    "announce": (False,),
    "told_lifetime_s": (0, 0xFFFFFFFF, 5),
    "told_port": (0, 7),
    "noise": (True,),
    "lost": (1, 2, 4, 9),
    "epoch": ("back", "stuck", "ahead"),
    "wrong_nonce": (True,),
    "pmp_port": (50002,),
    "xml": ("slow", "not well-formed"),
    "announces": (False,),
    "delay_s": (0.3, 1.2),
    "min_lifetime_s": (3600,),
    "max_lifetime_s": (300,),
}
MORE_FAULTS: dict[str, tuple[Any, ...]] = {
    **FAULTS,
    "rows": (*FAULTS["rows"], "first", "both"),
    "names": ("prefixed", "upper", "replaced"),
    "moves": (7,),
    "reserved": ("asked", "none", "zero"),
    "one_per_inside": (True,),
    "deletes_both": (True,),
    "most": (1, 2),
    "fails_first": (1, 3),
    "status": ("", "PendingDisconnect"),
    "uptime": ("0 Days, 01:02:03", "-1"),
    "fault_status": (200, 400),
    "busy": (1, 4),
    "continues": (True,),
}
"""With those that were found later: an older seed draws what it drew."""
ALL_FAULTS: dict[str, tuple[Any, ...]] = {
    **MORE_FAULTS,
    "one_at_a_time": (True,),
    "restarts_after": (3, 8, 15, 30),
    "rows": (*MORE_FAULTS["rows"], "doubled", "turned"),
    "names": (*MORE_FAULTS["names"], "cut"),
    "told_leases": ("minutes", "none"),
    "padded": (True,),
    "delete_error": (0, 501, 402, 713),
    "again_fails": (True,),
    "framing": (*FAULTS["framing"], "keep-alive", "bytes", "chunked", "gzip"),
    "web_port": (5001,),
    "control": (f"http://192.168.100.1:{WEB_PORT}/ctl", f"http://router.lan:{WEB_PORT}/ctl"),
    "dead_services": (1,),
    "known_type": ("WANIPConnection:1",),
    "pmp_outside": (True,),
    "epoch": (*FAULTS["epoch"], "jumps"),
    "failure_s": (0, 0xFFFFFFFF),
    "renewal_moves": (True,),
    "room": (0, 1, 2),
    "rate": (2, 5, 10),
    "change_s": (4.0, 8.0),
    "lease_becomes": (*FAULTS["lease_becomes"], 7200 * 60),
    "down_services": (1,),
}
"""And with kinds that stood in no list."""
NEWEST_FAULTS: dict[str, tuple[Any, ...]] = {
    **ALL_FAULTS,
    "rows": (*ALL_FAULTS["rows"], "from one", "either"),
    "told_leases": (*ALL_FAULTS["told_leases"], "left out", "words"),
    "type_case": ("lower", "upper"),
    "code_words": (True,),
    "done_status": (202, 204),
    "applies_after_s": (0.3, 1.2),
    "ends_last_s": (600, 3600),
    "devices_first": (8,),
    "one_per_port": (True,),
    "own_tables": (True,),
    "first_refuses": (501, 706),
    "crashes_at": ("AddAnyPortMapping", "AddPortMapping", "GetSpecificPortMappingEntry", "end"),
    "flips": (1, 3, 6),
    "upnp_error": (*ALL_FAULTS["upnp_error"], 402, 605, 703, 716, 727, 899, -1),
    "pcp_result": (*ALL_FAULTS["pcp_result"], 1, 3, 4, 9, 11, 99),
    "natpmp_result": (*ALL_FAULTS["natpmp_result"], 1, 5, 99),
    "external": (*ALL_FAULTS["external"], "11.1.0.77", "192.0.0.2", "100.64.0.9", "169.254.7.7"),
    "ports": ((5001, 65535), (1024, 5000)),
}
"""And with those that a look at everyday life has brought up: lines and tables of their own, changes that
come late, devices beside the gateway."""
_SERVICES = ("dead_services", "down_services", "own_tables", "first_refuses", "flips")
_TWO_SERVICES = (
    ("WANIPConnection:2", "WANIPConnection:1"),
    ("WANIPConnection:1", "WANPPPConnection:1"),
    ("WANPPPConnection:1", "WANIPConnection:2", "WANIPv6FirewallControl:1"),
)
PROTOCOLS = (
    ("upnp",),
    ("pcp",),
    ("nat-pmp",),
    ("nat-pmp", "pcp"),
    ("pcp", "nat-pmp", "upnp"),
    ("pcp", "nat-pmp", "upnp"),
)
_SLACK_S = 10


def _has_all(known: dict[str, tuple[Any, ...]]) -> bool:
    return len(known) >= len(ALL_FAULTS)


def drawn(draw: random.Random, known: dict[str, tuple[Any, ...]]) -> RouterBehaviour:
    """A router with up to three faults, or five where all may be drawn."""
    count = draw.choice((1, 1, 2, 2, 3, 3, 4, 5) if _has_all(known) else (0, 1, 1, 1, 2, 2, 2, 3))
    names = draw.sample(sorted(known), count)
    faults = {name: draw.choice(known[name]) for name in names}
    if faults.get("igd_version") == 1:
        faults["services"] = ("WANIPConnection:1",)
    elif set(_SERVICES) & set(faults):
        faults["services"] = draw.choice(_TWO_SERVICES)
    if "failure_s" in faults:
        faults.setdefault("pcp_result", draw.choice((3, 7, 8, 9)))
    return RouterBehaviour(protocols=draw.choice(PROTOCOLS), **faults)


class KilledJournal(Journal):
    """A journal whose process may die before or after one of its writes: then nothing is written any more."""

    def __init__(self, folder: Path, clock: Callable[[], Timestamp]) -> None:
        super().__init__(folder, clock=clock)
        self.dead = False
        self.before_write: Callable[[], None] = lambda: None
        self.after_write: Callable[[], None] = lambda: None

    def _append(self, line: Any) -> None:
        self.before_write()
        if not self.dead:
            super()._append(line)
            self.after_write()


class Steps(list[str]):
    """What the router was asked, told at once."""

    def __init__(self) -> None:
        super().__init__()
        self.each: Callable[[], None] = lambda: None

    def append(self, step: str) -> None:
        super().append(step)
        self.each()


class Life:
    """Alice, at home behind one router, with what she does to it. `problems` is what is wrong in the end."""

    def __init__(self, seed: int, folder: Path, faults: dict[str, tuple[Any, ...]]) -> None:
        self.draw = random.Random(seed)
        self.behaviour = drawn(self.draw, faults)
        self.kept_s = (20, 500, 4000) if _has_all(faults) else (20, 500, 9000)
        self.lifetimes_s = (7200, 7200, 600)
        if faults is NEWEST_FAULTS:
            self.lifetimes_s = (7200, 7200, 600, 60, 604_800, 0)
        self.folder = folder
        self.jumped_s = 0.0
        self.restarts = 0
        self.noted: list[JournalEntry] = []
        self.had: list[TableMapping] = []
        self.said: list[str] = []
        self.problems: list[str] = []
        self.with_server = self.draw.random() < 0.3

    def scenario(self) -> Scenario:
        """With a server that dials back, or with none."""
        whole = home(servers=1 if self.with_server else 0)
        return msgspec.structs.replace(whole, nat={"home": NatSpec()})

    def run(self) -> list[str]:
        """All of it; what is wrong, with what was done."""
        with SimLab(self.scenario()) as lab:
            self.lab = lab
            lab.run(self._main)
        faults = {
            name: getattr(self.behaviour, name)
            for name in RouterBehaviour.__struct_fields__
            if getattr(self.behaviour, name) != getattr(RouterBehaviour(), name)
        }
        return [f"{each}\n  {faults}\n  {self.said}" for each in self.problems]

    async def _main(self) -> None:
        self.router = await self._start()
        try:
            for _ in range(self.draw.choice((1, 1, 2, 3))):
                await self.draw.choice((self._add, self._add, self._probe, self._keep))()
                await self.draw.choice(
                    (self._nothing, self._nothing, self._jump, self._wait, self._restart)
                )()
            if self.draw.random() < 0.3:
                self._check_claims(await self._command("list", MapOptions()), "list")
            await self._delete_all()
        finally:
            await self.router.close()

    async def _start(self) -> FakeRouter:
        router = await start_router(
            self.lab.network("home"), ROUTER, OUTSIDE, self.behaviour, self.lab.forwards("home")
        )
        router.requests = Steps()
        table = router.table
        add = table.add

        def remembered(*where: Any, **how: Any) -> TableMapping:
            row = add(*where, **how)
            self.had += table.rows(asyncio.get_running_loop().time())
            return row

        table.add = remembered  # type: ignore[method-assign]
        return router

    # --- what happens

    async def _nothing(self) -> None:
        pass

    async def _jump(self) -> None:
        self.jumped_s += self.draw.choice((86_400.0, -86_400.0, 4e7, -4e7, 7300.0))
        self.said.append(f"the clock is {self.jumped_s:g} s wrong")

    async def _wait(self) -> None:
        seconds = self.draw.choice((30.0, 400.0, 7250.0, 90_000.0))
        self.said.append(f"{seconds:g} s pass")
        await pass_time(seconds)

    async def _restart(self) -> None:
        self.said.append("the router restarts")
        self.router.restart()
        await pass_time(60.0)

    async def _add(self) -> None:
        wish = MapOptions(
            ports=PORTS[: self.draw.choice((1, 1, 2))],
            transports=self.draw.choice((("udp",), ("tcp",), ("udp", "tcp"))),
            protocol=self.draw.choice((None, None, *MAPPING_PROTOCOLS)),
            lifetime_s=self.draw.choice(self.lifetimes_s),
            external_port=self.draw.choice((None, None, None, 6000, 5000)),
        )
        if not wish.lifetime_s:
            wish = msgspec.structs.replace(wish, protocol="upnp-igd")
        if len(wish.ports) > 1:
            wish = msgspec.structs.replace(wish, external_port=None)
        report = await self._command("add", wish, kills=True)
        self._check_claims(report, "add")

    async def _probe(self) -> None:
        self._check_claims(await self._command("probe", MapOptions(), kills=True), "probe")

    async def _keep(self) -> None:
        wish = MapOptions(
            ports=PORTS[:1],
            transports=("udp",),
            protocol=self.draw.choice((None, None, *MAPPING_PROTOCOLS)),
            lifetime_s=self.draw.choice((600, 7200)),
        )
        self._check_claims(await self._command("keep", wish, kills=True), "keep")

    async def _delete_all(self) -> None:
        report = await self._command("delete", MapOptions(mine=True))
        self._check_claims(report, "delete")
        left = [row for row in self._ours() if not self._is_nobodys(row)]
        if left:
            self.problems.append(f"left behind: {left}")

    # --- doing it

    async def _command(self, name: str, wish: MapOptions, *, kills: bool = False) -> Report | None:
        """One command in a process of its own; None: it was killed, or could not run."""
        loop = asyncio.get_running_loop()
        self.restarts = self.router.restarts
        self.had.clear()
        journal = KilledJournal(
            self.folder, lambda: Timestamp(2e9 + loop.time() + self.jumped_s, loop.time(), "boot")
        )
        with journal:
            work = self._work(name, wish, journal)
            if not kills or self.draw.random() < 0.4:
                self.said.append(f"{name} {_told(wish)}")
                report = await work
                self.noted = journal.entries()
                if self.behaviour.applies_after_s:
                    await pass_time(self.behaviour.applies_after_s)
                return report
            return await self._killed(name, work, journal)

    async def _killed(
        self, name: str, work: Coroutine[Any, Any, Report], journal: KilledJournal
    ) -> Report | None:
        task = asyncio.get_running_loop().create_task(work)
        where = self.draw.choice(("asked", "before", "after"))
        left = self.draw.choice((1, 2, 3, 4, 5, 6, 8, 12, 20))
        self.said.append(f"{name} killed {where} {left}")

        def step() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                journal.dead = True
                self.lab.cut("alice")
                self.lab.cut("home")
                task.cancel()

        steps = self.router.requests
        assert isinstance(steps, Steps)
        if where == "asked":
            steps.each = step
        elif where == "before":
            journal.before_write = step
        else:
            journal.after_write = step
        try:
            return await task
        except asyncio.CancelledError:
            return None
        finally:
            steps.each = lambda: None
            self.lab.mend("alice")
            self.lab.mend("home")
            await pass_time(1.0)

    async def _work(self, name: str, wish: MapOptions, journal: Journal) -> Report:
        network, chosen = self.lab.network("alice"), options(self.lab, families=(4,))
        match name:
            case "keep":
                stop = asyncio.Event()
                asyncio.get_running_loop().call_later(self.draw.choice(self.kept_s), stop.set)
                return await keep(network, chosen, no_progress, journal, wish, _unheard, stop)
            case "add" | "probe" | "delete":
                command = {"add": commands.add, "probe": commands.probe, "delete": commands.delete}[name]
                return await command(network, chosen, no_progress, journal, wish)
            case _:
                return await commands.list_mappings(network, chosen, no_progress, journal, wish)

    # --- the truth

    def _ours(self) -> list[TableMapping]:
        rows = self.router.table.rows(asyncio.get_running_loop().time())
        return [row for row in rows if row.inside.host == ALICE]

    def _is_nobodys(self, row: TableMapping) -> bool:
        """Can nobody find it: made at another port than was asked for by a router that shows no list; or
        know whose it is, with another name too, who has not seen the answer? Then it is not forgotten."""
        how = self.behaviour
        if row.nonce and how.ends_last_s:
            # the router lets it live on, and says so
            return any(entry.wanted.internal == row.inside for entry in self.noted)
        if not row.nonce and how.crashes_at is not None:
            # its web server may not be there again yet: what it has is told as left, and noted
            return any(entry.wanted.internal == row.inside for entry in self.noted)
        if row.nonce or not how.moves:
            return False
        noted = any(entry.granted is None and entry.wanted.internal == row.inside for entry in self.noted)
        shown = how.list_error is None and not self._seems_empty and how.row_s < REQUEST_S
        return not shown or (how.names == "replaced" and noted)

    @property
    def _seems_empty(self) -> bool:
        """Does its list end before the first row, so that whoever reads it takes the table for empty?"""
        ends = (ErrorCode.ARRAY_INDEX_INVALID, ErrorCode.NO_SUCH_ENTRY)
        return self.behaviour.rows == "unlisted" or self.behaviour.list_error in ends

    def _check_claims(self, report: Report | None, what: str) -> None:
        """What the report says is there is in the router's table, and what it calls removed is not."""
        if report is None or (self.router.restarts != self.restarts and what != "delete"):
            return  # a router that restarts meanwhile makes a report of the past of it
        for each in report.mappings:
            if what == "delete" and each.error is not None:
                continue  # says that removing it has failed, and no more
            if each.internal.startswith(ALICE) and (each.created or each.removed):
                problem = self._false(each, what)
                if problem:
                    self.problems.append(f"{what} says {each}: {problem}")

    def _false(self, claim: PortMapping, what: str) -> str:
        now = asyncio.get_running_loop().time()
        inside = parse_endpoint(claim.internal)
        rows = [row for row in self._ours() if self._is_told_by(row, claim, what) and row.inside == inside]
        port = int(claim.external.rpartition(":")[2]) if claim.external else None
        row = next((row for row in rows if row.outside.port == port), None)
        if claim.removed:
            there = [row] if row else []
            if not claim.created and claim.protocol == "upnp-igd":
                # one that the router was never seen to have may be anywhere, but where another one of ours is
                known = {entry.granted.external_port for entry in self.noted if entry.granted is not None}
                there = [each for each in rows if each.outside.port not in known]
                if self._seems_empty:
                    there = [each for each in there if not self._is_nobodys(each)]
            makers = [{b"": "upnp-igd", b"nat-pmp": "nat-pmp"}.get(each.nonce, "pcp") for each in there]
            return "it is there" if claim.protocol in makers else ""
        how = self.behaviour
        if claim.protocol != "upnp-igd" and (how.full or how.told_port is not None or how.one_per_port):
            return ""  # nothing but a look from outside could tell
        if claim.protocol != "upnp-igd" and self.router.restarts > (self.behaviour.epoch == "true"):
            return ""  # neither a count that is none shows a restart, nor any one soon after another
        if claim.protocol != "upnp-igd" and self.behaviour.renewal_moves and self.behaviour.delay_s:
            return ""  # moved by the repetition of the question, after the answer
        false_lifetime = claim.protocol != "upnp-igd" and self.behaviour.told_lifetime_s is not None
        if row is None:
            # what was tried is called made because it was there, whether or not its removal was confirmed
            tried = what == "probe" and any(
                (each.transport, each.inside, each.outside.port) == (claim.transport, inside, port)
                for each in self.had
            )
            if tried:
                return ""
            if how.one_per_port and (claim.verified_inbound or what == "list"):
                # proven just before the other transport's took its place: a flow that is open stays so
                return ""
            if how.deletes_both and claim.protocol != "upnp-igd" and what == "list":
                return ""  # it went with the other transport's, and by these protocols no table tells
            if how.crashes_at == "end":
                return ""  # the list that would tell, or its end, is what it does not survive
            # whether it is over nobody can know whom the router has told a longer lifetime
            return "" if false_lifetime and self._later else f"there is {rows}"
        left_s = row.expires - now
        told_s = claim.lifetime_s
        if false_lifetime or (claim.protocol == "upnp-igd" and self._tells_no_lease(what)):
            return ""
        if (told_s is None) != (left_s == float("inf")):
            return f"for {left_s} s"
        if told_s is not None and claim.protocol == "upnp-igd" and left_s + _SLACK_S < told_s - self._since_s:
            return f"for {left_s} s"
        return ""

    def _is_told_by(self, row: TableMapping, claim: PortMapping, what: str) -> bool:
        """Is a row of the table told by such a claim? A list has what the router shows, and some routers
        show each mapping as one of both transports."""
        both = what == "list" and self.behaviour.rows == "both"
        return both or row.transport == claim.transport

    def _tells_no_lease(self, what: str) -> bool:
        """Does its table tell another lifetime than there is, or none where none is known otherwise?"""
        how = self.behaviour
        if how.told_leases in ("left out", "words"):
            return what == "list" or how.lease_becomes is not None or how.leases != "good"
        return how.told_leases != "true"

    @property
    def _later(self) -> bool:
        """May it be told of long after it was made?"""
        return self.said[-1].startswith(("keep", "list"))

    @property
    def _since_s(self) -> float:
        """How long a mapping may have been there when it is told of."""
        return 12_000.0 if self._later else 60.0


def _told(wish: MapOptions) -> dict[str, Any]:
    return {
        name: getattr(wish, name)
        for name in MapOptions.__struct_fields__
        if getattr(wish, name) != getattr(MapOptions(), name)
    }


async def _unheard(change: MappingChange) -> None:
    pass
