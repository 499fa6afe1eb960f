"""Tailscale's own programs in a lab: control server, DERP servers, and clients without TUN."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from conftest import tool
from msgspec.structs import replace

from nattools.lab.layout import Layout
from nattools.lab.natkinds import MATRIX_KINDS
from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.netns.processes import await_listener
from nattools.lab.scenario import (
    ControlSpec,
    DerpSpec,
    FirewallSpec,
    HostSpec,
    NatSpec,
    Scenario,
    ServerSpec,
)

CONTROL_PORT, DERP_PORT = 8080, 443
REGIONS = {901: "derp1", 902: "derp2"}
KINDS = tuple(MATRIX_KINDS)
UP_S, PING_S = 180.0, 180.0


def host_of(side: str, kind: str) -> str:
    """The name of a side's machine in a network of that kind."""
    return f"{side}{KINDS.index(kind)}"


def drawn(sides: str = "ab") -> Scenario:
    """A machine for each side in each of the nine kinds of networks, two DERP servers, a control server."""
    sites = {host_of(side, kind): MATRIX_KINDS[kind] for kind in KINDS for side in sides}
    behind = {host: f"r{host}" if spec is not None else None for host, spec in sites.items()}
    derp = ServerSpec(addresses=1, ipv6=False, derp=DerpSpec())
    return Scenario(
        title="tailnet",
        name="tailnet",
        nat={f"r{host}": spec for host, spec in sites.items() if isinstance(spec, NatSpec)},
        firewall={f"r{host}": spec for host, spec in sites.items() if isinstance(spec, FirewallSpec)},
        host={host: HostSpec(behind=at) for host, at in behind.items()},
        server={
            "stun": ServerSpec(),
            "derp1": derp,
            "derp2": replace(derp, delay_ms=20.0),
            "control": ServerSpec(addresses=1, ipv6=False, control=ControlSpec(tls=False, port=CONTROL_PORT)),
        },
    )


def address(layout: Layout, server: str) -> str:
    """A server's IPv4 address."""
    return next(each.ip for port in layout.ports_of(server) for each in port.addresses if ":" not in each.ip)


def map_of(layout: Layout) -> dict[str, Any]:
    """As Tailscale's clients get it."""
    regions = {}
    for number, name in REGIONS.items():
        host = address(layout, name)
        node = {
            "Name": name,
            "RegionID": number,
            "HostName": host,
            "IPv4": host,
            "IPv6": "none",
            "DERPPort": DERP_PORT,
            "STUNPort": 3478,
            "InsecureForTests": True,
        }
        regions[str(number)] = {"RegionID": number, "RegionCode": name, "RegionName": name, "Nodes": [node]}
    return {"Regions": regions}


@contextmanager
def servers(lab: NetnsLab, folder: Path, controls: Sequence[str] = ("control",)) -> Iterator[Path]:
    """Those of the drawing; the file with their map."""
    path = folder / "map.json"
    path.write_text(json.dumps(map_of(lab.layout)))
    with ExitStack() as stack:
        for name in REGIONS.values():
            host = address(lab.layout, name)
            files = ["-c", str(folder / f"{name}.key"), "-certdir", str(folder / name)]
            command = [
                "-a",
                f"{host}:{DERP_PORT}",
                "-http-port",
                "-1",
                "-stun-port",
                "3478",
                "-hostname",
                host,
            ]
            start(lab, stack, name, "derper", *command, "-certmode", "manual", *files, port=DERP_PORT)
        for name in controls:
            at = f"{address(lab.layout, name)}:{CONTROL_PORT}"
            start(lab, stack, name, "tailcontrol", "-a", at, "-derpmap", str(path), port=CONTROL_PORT)
        yield path


def start(lab: NetnsLab, stack: ExitStack, node: str, program: str, *options: str, port: int) -> None:
    """A server that listens when this returns, and ends with the stack."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = lab.popen(node, [str(tool(program)), *options], **quiet)
    stack.callback(_end, process)
    await_listener(process, port, UP_S, ("tcp", "tcp6"))


def _end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    process.wait(60)


class Client:
    """tailscaled on a machine of the lab, once it is up. `name`: of one of several there."""

    def __init__(self, lab: NetnsLab, host: str, folder: Path, name: str = "") -> None:
        self.host = host
        self.name = name or host
        self._lab = lab
        self._state = folder / self.name
        self._state.mkdir()

    def start(self) -> subprocess.Popen[Any]:
        """The daemon."""
        options = ["--tun=userspace-networking", f"--statedir={self._state}", "--port=41641"]
        return self._popen("tailscaled", *options, "--no-logs-no-support")

    def up(self, control: str) -> subprocess.Popen[Any]:
        """Log in, under the machine's name."""
        names = [f"--login-server={control}", f"--hostname={self.name}", "--accept-dns=false"]
        return self._popen("tailscale", "up", *names, f"--timeout={UP_S:.0f}s")

    def ping(self, peer: str, count: int) -> subprocess.Popen[Any]:
        """Until packets go directly, or so many have come by a relay."""
        return self._popen("tailscale", "ping", f"--c={count}", "--timeout=3s", "--until-direct=true", peer)

    def said(self, *arguments: str) -> Any:
        """What a command that prints JSON prints."""
        process = self._popen("tailscale", *arguments)
        out, _ = process.communicate(timeout=UP_S)
        assert process.returncode == 0, out
        return json.loads(out)

    def _popen(self, program: str, *arguments: str) -> subprocess.Popen[Any]:
        socket = f"--socket={self._state}/s.sock"
        environment = {**os.environ, "TS_NO_LOGS_NO_SUPPORT": "true", "HOME": str(self._state)}
        environment["PATH"] = f"/usr/sbin:/sbin:{environment.get('PATH', '')}"
        daemon = program == "tailscaled"
        return self._lab.popen(
            self.host,
            [program, socket, *arguments],
            executable=str(tool("tailscaled")),
            env=environment,
            text=True,
            stdout=subprocess.DEVNULL if daemon else subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )


@contextmanager
def clients(
    lab: NetnsLab, hosts: Sequence[str], folder: Path, server: str = "control"
) -> Iterator[dict[str, Client]]:
    """A tailnet of these machines, all logged in at that control server. Machines are named with it, as
    `alice.control`, where they are in several tailnets."""
    control = f"http://{address(lab.layout, server)}:{CONTROL_PORT}"
    found = {host: Client(lab, host.partition(".")[0], folder, host) for host in hosts}
    with ExitStack() as stack:
        for each in found.values():
            stack.callback(_end, each.start())
        for each in found.values():
            _await_socket(folder / each.name / "s.sock")
        coming = {host: each.up(control) for host, each in found.items()}
        for host, process in coming.items():
            out, _ = process.communicate(timeout=UP_S)
            assert process.returncode == 0, (host, out)
        yield found


def _await_socket(path: Path) -> None:
    from time import monotonic, sleep

    until = monotonic() + UP_S
    while not path.exists():
        assert monotonic() < until, f"{path} does not appear"
        sleep(0.05)
