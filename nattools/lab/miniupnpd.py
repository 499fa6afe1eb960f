"""A real router daemon in a lab of network namespaces: miniupnpd, which speaks UPnP, NAT-PMP and PCP (Linux).

It replaces the ruleset of a NAT by one that has the chains which the daemon fills. Debian's package is
miniupnpd-nftables; this is for its version 2.3.1 (later ones call `enable_natpmp` `enable_pcp_pmp`).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import Any

import msgspec

from nattools.errors import CannotRun
from nattools.lab import nft, programs
from nattools.lab.netns import NetnsLab
from nattools.net.namespace import entered

_START_LIMIT_S = 5.0
_SSDP, _PMP = 1900, 5351

# The daemon's names: the tables `filter`, and in them the three chains with its own name in theirs
_RULES = f"""flush ruleset
table inet filter {{
    chain input {{
        type filter hook input priority 0; policy accept;
        iifname "{nft.WAN}" udp dport {{ 1900, 5350, 5351 }} drop
        iifname "{nft.WAN}" tcp dport 5000 drop
    }}
    chain forward {{
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname "{nft.LAN}" oifname "{nft.WAN}" accept
        jump miniupnpd
    }}
    chain miniupnpd {{ }}
    chain prerouting {{
        type nat hook prerouting priority -100; policy accept;
        jump prerouting_miniupnpd
    }}
    chain postrouting {{
        type nat hook postrouting priority 100; policy accept;
        jump postrouting_miniupnpd
        meta nfproto ipv4 oifname "{nft.WAN}" masquerade
    }}
    chain prerouting_miniupnpd {{ }}
    chain postrouting_miniupnpd {{ }}
}}
"""


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """How the daemon is set up. `allowed` are the external ports that it maps, None: none at all;
    `igd1`: it describes itself as version 1."""

    upnp: bool = True
    natpmp_and_pcp: bool = True
    igd1: bool = False
    allowed: str | None = "1024-65535"
    min_lifetime_s: int = 120


def configuration(setup: Setup, inside: str) -> str:
    """The configuration file; `inside` is the LAN in prefix notation."""
    lines = [
        f"ext_ifname={nft.WAN}",
        f"listening_ip={nft.LAN}",
        "http_port=5000",
        f"enable_upnp={_yes(setup.upnp)}",
        f"enable_natpmp={_yes(setup.natpmp_and_pcp)}",
        "secure_mode=yes",
        f"min_lifetime={setup.min_lifetime_s}",
        "max_lifetime=86400",
        "uuid=7e57ab1e-0000-4000-8000-00000000a001",
    ]
    if setup.igd1:
        lines.append("force_igd_desc_v1=yes")
    if setup.allowed is not None:
        lines.append(f"allow {setup.allowed} {inside} {setup.allowed}")
    lines.append("deny 0-65535 0.0.0.0/0 0-65535")
    return "\n".join(lines) + "\n"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


class Miniupnpd:
    """The daemon on one router of a lab. It ends with the lab at the latest."""

    def __init__(self, lab: NetnsLab, router: str, setup: Setup | None = None) -> None:
        self.lab = lab
        self.router = router
        self.setup = setup or Setup()
        self._process: subprocess.Popen[Any] | None = None

    def start(self) -> None:
        """Load the ruleset, start it and wait until it listens. CannotRun."""
        with entered(self.lab.network_path(self.router)):
            loading = programs.start_nft(_RULES)
        programs.finish_nft(self.router, loading)
        self.run()

    def run(self) -> None:
        """Start the daemon alone, as after a stop: the ruleset and what it put there stay."""
        lan = next(port for port in self.lab.layout.ports_of(self.router) if port.interface == nft.LAN)
        inside = next(address.network for address in lan.addresses if ":" not in address.ip)
        handle, path = tempfile.mkstemp(prefix="nattools-miniupnpd-", suffix=".conf")
        try:
            os.write(handle, configuration(self.setup, inside).encode())
            os.close(handle)
            program = programs.find("miniupnpd", "miniupnpd-nftables")
            quiet = subprocess.DEVNULL
            self._process = self.lab.popen(
                self.router,
                [program, "-d", "-f", path, "-P", os.devnull],
                stdin=quiet,
                stdout=quiet,
                stderr=quiet,
            )
            port = _SSDP if self.setup.upnp else _PMP
            programs.await_listener(self._process, port, _START_LIMIT_S)
        finally:
            os.unlink(path)

    def stop(self) -> None:
        """As a router that goes down: the daemon forgets its mappings. Idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def reboot(self) -> None:
        """Lose everything and come back."""
        self.stop()
        self.start()


def why_not() -> str | None:
    """None if the daemon is here."""
    try:
        programs.find("miniupnpd", "miniupnpd-nftables")
    except CannotRun as error:
        return str(error)
    return None
