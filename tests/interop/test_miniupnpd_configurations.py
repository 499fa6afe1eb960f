"""miniupnpd as people configure it, and other people's clients at it beside ours; verified from outside."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from leftopen import LeftOpenError
from mapped import ALICE, OUTSIDE, call, home

from nattools.engine.measureoptions import MapOptions
from nattools.engine.portmap import commands
from nattools.engine.portmap.journal import Journal
from nattools.lab.netns import processes
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.routers.daemons import configuration, start_miniupnpd
from nattools.lab.scenario import MapperSpec
from nattools.model.mappingseen import MapOffer
from nattools.model.portmapping import MappingProtocol, PortMapping
from nattools.model.report import Report

pytestmark = [pytest.mark.netns, pytest.mark.again, pytest.mark.interop("miniupnpd")]

STARTS_WITHIN_S = 60.0
PCP_PORT, SSDP_PORT = 5351, 1900
ALL: tuple[MappingProtocol, ...] = ("upnp-igd", "pcp", "nat-pmp")
UDP_7000 = MapOptions(ports=(7000,), transports=("udp",))
MINE = MapOptions(mine=True)
WORKED = re.compile(r"^UPNP_DeletePortMapping\(\) returned : 0|is redirected to internal", re.MULTILINE)
"""As upnpc says it; for an answer it waits for some seconds, which a busy machine may need."""
NOBODY = "deny 0-65535 0.0.0.0/0 0-65535"


class Home:
    """Alice behind a miniupnpd, with one journal for all that she does."""

    def __init__(self, lab: NetnsLab, journal: Journal) -> None:
        self.lab, self.journal = lab, journal

    async def map(self, command: Any, wish: MapOptions = UDP_7000) -> Report:
        """`nattools map` with one of its commands."""
        report = await call(self.lab, command, wish, self.journal, families=(4,))
        offers = {each.outcome for each in report.observations if isinstance(each, MapOffer)}
        if not offers & {"answered", "refused"}:
            raise LeftOpenError("the router was not heard")
        made = report.mappings if command in (commands.add, commands.probe) else ()
        if any(each.created and each.verified_inbound is None for each in made):
            raise LeftOpenError("whether others get in")
        return report

    async def add(self, protocol: MappingProtocol | None = None, **wish: Any) -> PortMapping:
        """The only mapping that `nattools map add 7000 --transport udp` makes."""
        asked = MapOptions(ports=(7000,), transports=("udp",), protocol=protocol, **wish)
        (made,) = [each for each in (await self.map(commands.add, asked)).mappings if each.created]
        return made

    async def table(self) -> dict[str, str]:
        """What the router lists: where from, and what it is called."""
        report = await self.map(commands.list_mappings, MapOptions(protocol="upnp-igd"))
        return {f"{each.transport} {each.external}": each.description for each in report.mappings}

    def ask(self, *command: str) -> str:
        """What another client says on alice's machine."""
        program = self.lab.popen(
            "alice", command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said: str = program.communicate(timeout=120)[0]
        if command[0] == "upnpc" and not WORKED.search(said):
            raise LeftOpenError(said)
        return said


@contextmanager
def daemon(lab: NetnsLab, changes: dict[str, str], permissions: tuple[str, ...]) -> Iterator[None]:
    """The router's own, with lines of its configuration changed."""
    nat = lab.scenario.nat["home"]
    usual = configuration(nat, MapperSpec(), "10.0.1.0/24").splitlines()
    kept = [line for line in usual if line.partition("=")[0] not in changes]
    if permissions:
        kept = [line for line in kept if not line.startswith(("allow", "deny"))]
    lines = [*(f"{name}={value}" for name, value in changes.items()), *kept, *permissions]
    process = start_miniupnpd(lab, "home", "".join(f"{line}\n" for line in lines))
    try:
        port = SSDP_PORT if changes.get("enable_natpmp") == "no" else PCP_PORT
        processes.await_listener(process, port, STARTS_WITHIN_S, ("udp",))
        yield
    finally:
        process.kill()
        process.wait()


def behind(
    main: Callable[[Home], Awaitable[None]],
    folder: Path,
    changes: dict[str, str] | None = None,
    permissions: tuple[str, ...] = (),
) -> None:
    """Run `main` at home."""

    async def whole(lab: NetnsLab) -> None:
        await lab.stop_router("home")
        notes = Path(mkdtemp(dir=folder))
        with daemon(lab, changes or {}, permissions), Journal(notes) as journal:
            await main(Home(lab, journal))

    with NetnsLab(home()) as lab:
        lab.run(lambda: whole(lab))


@pytest.mark.parametrize(
    ("changes", "protocols"),
    [
        ({"secure_mode": "no"}, ALL),
        ({"ext_ip": "11.1.0.77"}, ALL),
        ({"min_lifetime": "10", "max_lifetime": "60"}, ALL),
        ({"min_lifetime": "7000"}, ALL),
        ({"listening_ip": "lan0\nlistening_ip=lo"}, ALL),
        ({"listening_ip": "10.0.1.1/24", "ipv6_disable": "yes"}, ALL),
        ({"force_igd_desc_v1": "yes"}, ALL),
        ({"system_uptime": "no"}, ALL),
        ({"enable_natpmp": "no"}, ("upnp-igd",)),
        ({"enable_upnp": "no"}, ("pcp", "nat-pmp")),
        ({"http_port": "80"}, ALL),
        ({"friendly_name": "A & B <x>", "manufacturer_name": "\u00e9\u00e8"}, ALL),
        ({"clean_ruleset_interval": "5", "clean_ruleset_threshold": "1"}, ALL),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_it_offers_is_found_and_proven(
    changes: dict[str, str], protocols: tuple[MappingProtocol, ...], tmp_path: Path
) -> None:
    async def main(home: Home) -> None:
        report = await home.map(commands.probe, MapOptions())
        proven = {
            (each.protocol, each.transport)
            for each in report.mappings
            if each.created and each.verified_inbound and each.removed
        }
        assert proven == {(protocol, transport) for protocol in protocols for transport in ("udp", "tcp")}
        added = await home.add()
        assert (added.protocol, added.external, added.verified_inbound) == (
            protocols[0],
            f"{OUTSIDE}:7000",
            True,
        )
        listed = await home.map(commands.list_mappings, MapOptions())
        assert [each.internal for each in listed.mappings] == [f"{ALICE}:7000"]
        deleted = await home.map(commands.delete, MINE)
        assert [each.removed for each in deleted.mappings] == [True]
        assert home.journal.entries() == []

    behind(main, tmp_path, changes)


class TestPermissions:
    """It forbids some ports, or this machine."""

    def test_one_external_port_is_another_then(self, tmp_path: Path) -> None:
        async def main(home: Home) -> None:
            made = await home.add()
            assert made.verified_inbound
            assert made.external != f"{OUTSIDE}:7000"
            await home.map(commands.delete, MINE)
            assert await home.table() == {}

        rules = ("deny 7000 10.0.1.0/24 1024-65535", "allow 1024-65535 10.0.1.0/24 1024-65535", NOBODY)
        behind(main, tmp_path, permissions=rules)

    def test_the_only_one_wanted_is_refused_in_plain_words(self, tmp_path: Path) -> None:
        async def main(home: Home) -> None:
            wish = MapOptions(ports=(7000,), transports=("udp",), external_port=7000)
            report = await home.map(commands.add, wish)
            assert not any(each.created for each in report.mappings)
            assert [each.error.code for each in report.mappings if each.error] == [606]
            assert home.journal.entries() == []
            assert await home.table() == {}

        rules = ("deny 7000 10.0.1.0/24 1024-65535", "allow 1024-65535 10.0.1.0/24 1024-65535", NOBODY)
        behind(main, tmp_path, permissions=rules)

    @pytest.mark.parametrize("rules", [(NOBODY,), ("allow 1024-65535 10.0.1.99/32 1024-65535", NOBODY)])
    def test_whom_it_forbids_everything(self, rules: tuple[str, ...], tmp_path: Path) -> None:
        async def main(home: Home) -> None:
            report = await home.map(commands.probe, MapOptions())
            assert not any(each.created for each in report.mappings)
            assert "Allow this machine" in str(report.techniques)
            assert home.journal.entries() == []

        behind(main, tmp_path, permissions=rules)


def test_behind_a_failed_stun_it_makes_none_and_the_reason_is_its_own(tmp_path: Path) -> None:
    """It asks a STUN server at its start, is not reached through its own firewall, and disables itself."""

    async def main(home: Home) -> None:
        report = await home.map(commands.probe, MapOptions())
        assert not any(each.created for each in report.mappings)
        codes = {each.protocol: each.error.code for each in report.mappings if each.error}
        if None in codes.values() or len(codes) < len(ALL):
            raise LeftOpenError(codes)
        assert codes == {"upnp-igd": 501, "pcp": 8, "nat-pmp": 3}
        assert not report.warns_of("mappings-not-reached")

    behind(
        main, tmp_path, {"ext_perform_stun": "yes", "ext_stun_host": "11.201.0.3", "ext_stun_port": "3478"}
    )


def test_another_address_than_its_own_is_told_and_the_proof_counts(tmp_path: Path) -> None:
    async def main(home: Home) -> None:
        report = await home.map(commands.add)
        assert report.warns_of("router-address-differs")
        assert [each.external for each in report.mappings] == [f"{OUTSIDE}:7000"]

    behind(main, tmp_path, {"ext_ip": "11.1.0.77"})


# --- others' clients beside ours


@pytest.mark.interop("miniupnpd", "upnpc")
class TestUpnpcBeside:
    """miniupnpc's program makes mappings of the same machine."""

    PLACE = ("upnpc", "-u", "http://10.0.1.1:5000/rootDesc.xml")

    def test_its_mapping_of_the_same_port_stays(self, tmp_path: Path) -> None:
        async def main(home: Home) -> None:
            home.ask(*self.PLACE, "-e", "a game", "-a", ALICE, "7000", "7000", "UDP", "0")
            made = await home.add()
            assert made.external != f"{OUTSIDE}:7000"
            assert made.verified_inbound
            assert len(await home.table()) == 2
            await home.map(commands.delete, MINE)
            assert await home.table() == {f"udp {OUTSIDE}:7000": "a game"}

        behind(main, tmp_path)

    def test_what_it_has_made_in_the_place_of_ours_stays(self, tmp_path: Path) -> None:
        async def main(home: Home) -> None:
            await home.add()
            home.ask(*self.PLACE, "-d", "7000", "UDP")
            home.ask(*self.PLACE, "-e", "a game", "-a", ALICE, "7000", "7000", "UDP", "600")
            assert await home.table() == {f"udp {OUTSIDE}:7000": "a game"}
            report = await home.map(commands.delete, MINE)
            assert not any(each.removed for each in report.mappings)
            assert await home.table() == {f"udp {OUTSIDE}:7000": "a game"}
            assert home.journal.entries() == []

        behind(main, tmp_path)

    def test_what_it_has_deleted_is_gone(self, tmp_path: Path) -> None:
        async def main(home: Home) -> None:
            await home.add()
            home.ask(*self.PLACE, "-d", "7000", "UDP")
            assert await home.table() == {}
            await home.map(commands.delete, MINE)
            assert home.journal.entries() == []

        behind(main, tmp_path)


@pytest.mark.interop("miniupnpd", "natpmpc")
class TestNatpmpcBeside:
    """libnatpmp's program makes mappings of the same machine."""

    def test_its_mapping_of_the_same_port_stays(self, tmp_path: Path) -> None:
        async def main(home: Home) -> None:
            home.ask("natpmpc", "-g", "10.0.1.1", "-a", "7000", "7000", "udp", "3600")
            before = await home.table()
            assert list(before) == [f"udp {OUTSIDE}:7000"]
            made = await home.add("upnp-igd")
            assert made.external != f"{OUTSIDE}:7000"
            await home.map(commands.delete, MINE)
            assert await home.table() == before

        behind(main, tmp_path)

    def test_what_it_has_deleted_is_gone(self, tmp_path: Path) -> None:
        async def main(home: Home) -> None:
            await home.add("nat-pmp")
            home.ask("natpmpc", "-g", "10.0.1.1", "-a", "7000", "7000", "udp", "0")
            assert await home.table() == {}
            await home.map(commands.delete, MINE)
            assert home.journal.entries() == []

        behind(main, tmp_path)
