"""What makes port mappings on the routers of a lab made of network namespaces: miniupnpd, and for routers
with faults our own (Linux)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any, Protocol

from nattools.errors import UsageError
from nattools.lab.layout import Layout
from nattools.lab.netns import nft, processes
from nattools.lab.scenario import MapperSpec, NatSpec, Scenario

_START_LIMIT_S = 60.0
_PCP_PORT = 5351
_SSDP_PORT = 1900


class RouterLab(Protocol):
    """What of a lab they need."""

    scenario: Scenario
    layout: Layout

    def popen(self, node: str, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a program on a node."""

    def fork_router(self, router: str, spec: tuple[NatSpec, MapperSpec]) -> int:
        """Start a fake router on its node, and wait until it listens; its process id."""


def start_miniupnpd(lab: RouterLab, router: str, settings: str) -> subprocess.Popen[bytes]:
    """Run it on a router with this configuration file. The file for its process id is one in memory too, for
    miniupnpd deletes that when a signal ends it, as Ctrl-C does, whatever it is: even /dev/null."""
    program = processes.find("miniupnpd", "miniupnpd-nftables")
    files = os.memfd_create("miniupnpd.conf"), os.memfd_create("miniupnpd.pid")
    try:
        os.write(files[0], settings.encode())
        paths = [f"/proc/self/fd/{file}" for file in files]
        command = [program, "-d", "-f", paths[0], "-P", paths[1]]
        quiet = subprocess.DEVNULL
        return lab.popen(router, command, stdin=quiet, stdout=quiet, stderr=quiet, pass_fds=files)
    finally:
        for file in files:
            os.close(file)


class RouterDaemons:
    """The routers' daemons, by router. They end with the lab."""

    def __init__(self, lab: RouterLab) -> None:
        self._lab = lab
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._fakes: dict[str, int] = {}

    def start_all(self) -> None:
        """Start one on each router whose spec says so. CannotRun: there is no miniupnpd."""
        for router, nat in self._lab.scenario.nat.items():
            if nat.mapper is not None:
                self.start(router)

    def start(self, router: str) -> None:
        """Start a router's, and wait until it listens. UsageError: it is to have none."""
        nat, mapper = self._spec(router)
        if mapper.faults:
            self._fakes[router] = self._lab.fork_router(router, (nat, mapper))
            return
        process = start_miniupnpd(self._lab, router, self._configuration(router, nat, mapper))
        self._running[router] = process
        port = _PCP_PORT if "pcp" in mapper.protocols else _SSDP_PORT
        # it opens the sockets of IPv4 first
        for table in ("udp",) if nat.ipv6 is None else ("udp", "udp6"):
            processes.await_listener(process, port, _START_LIMIT_S, (table,))

    def running(self, router: str) -> subprocess.Popen[bytes]:
        """A router's daemon. KeyError: it has none, or a fake."""
        return self._running[router]

    def stop(self, router: str) -> None:
        """End a router's without a chance to say goodbye, and forget its mappings, as a power cut does."""
        fake = self._fakes.pop(router, None)
        if fake is not None:
            os.kill(fake, signal.SIGKILL)
        process = self._running.pop(router, None)
        if process is not None:
            process.kill()
            processes.reap(process)
        flush = [f"flush chain inet {nft.TABLE} {chain}" for chain in nft.MAPPER_CHAINS.values()]
        command = [processes.find("nft", "nftables"), "; ".join(flush)]
        self._lab.popen(router, command).wait()

    def _spec(self, router: str) -> tuple[NatSpec, MapperSpec]:
        nat = self._lab.scenario.nat.get(router)
        if nat is None or nat.mapper is None:
            raise UsageError(f"the router {router!r} has no port mapping service in this scenario")
        return nat, nat.mapper

    def _configuration(self, router: str, nat: NatSpec, mapper: MapperSpec) -> str:
        ports = {port.interface: port for port in self._lab.layout.ports_of(router)}
        inside = next(each.network for each in ports[nft.LAN].addresses if ":" not in each.ip)
        return configuration(nat, mapper, inside)


HTTP_PORT = 5000
_UUID = "7e57ab1e-0000-4000-8000-00000000a001"


def miniupnpd_gap(spec: MapperSpec) -> str | None:
    """Why miniupnpd cannot do what the spec says, as a clause; None when it can."""
    if spec.faults:
        return None  # it is not miniupnpd then
    if ("nat-pmp" in spec.protocols) != ("pcp" in spec.protocols):
        return "miniupnpd speaks NAT-PMP and PCP together or neither"
    return None


def configuration(nat: NatSpec, mapper: MapperSpec, inside: str) -> str:
    """The text of its configuration file, with the inside network and with the nft table and chains that it
    writes its rules into."""
    low, high = mapper.ports
    chains = nft.MAPPER_CHAINS
    lines = (
        f"ext_ifname={nft.WAN}",
        f"listening_ip={nft.LAN}",  # the name: an address would be of IPv4 alone
        f"http_port={HTTP_PORT}",
        f"enable_natpmp={_yes('pcp' in mapper.protocols)}",
        f"enable_upnp={_yes('upnp-igd' in mapper.protocols)}",
        f"force_igd_desc_v1={_yes(mapper.igd == 1)}",
        f"ipv6_disable={_yes(nat.ipv6 is None)}",
        "secure_mode=yes",
        f"min_lifetime={mapper.shortest_s}",
        f"max_lifetime={mapper.longest_s}",
        f"uuid={_UUID}",
        f"upnp_table_name={nft.TABLE}",
        f"upnp_nat_table_name={nft.TABLE}",
        f"upnp_forward_chain={chains['forward']}",
        f"upnp_nat_chain={chains['prerouting']}",
        f"upnp_nat_postrouting_chain={chains['postrouting']}",
        f"allow {low}-{high} {inside} {low}-{high}",
        "deny 0-65535 0.0.0.0/0 0-65535",
    )
    return "".join(f"{line}\n" for line in lines)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
