"""Second opinions of independent programs on the same network: pystun3 on the NAT, miniupnpc on the router's
UPnP."""

from __future__ import annotations

import asyncio
import sys

from nattools.errors import how_to_install
from nattools.model.observation import Gap, SecondOpinion
from nattools.net.base import Network
from nattools.net.eventloop import TimeLimit
from nattools.probes.probe import EVERY_COMMAND, MachineContext, MachineProbe, ProbeOptions, Recorder

PATIENCE_S = 75.0
_PYSTUN3 = (
    "import json, sys, stun\n"
    "print(json.dumps(stun.get_ip_info(source_port=0, stun_host=sys.argv[1], stun_port=int(sys.argv[2]))))"
)


_MINIUPNPC = """
import json, miniupnpc
upnp = miniupnpc.UPnP()
upnp.discoverdelay = 2000
try:
    upnp.discover()
    found = {"gateway": upnp.selectigd()}
    found["external"] = upnp.externalipaddress()
    found["status"] = upnp.statusinfo()[0]
except Exception as error:
    found = {"error": str(error), **locals().get("found", {})}
print(json.dumps(found))
"""


class Pystun3(MachineProbe):
    """pystun3 in a process of its own (it blocks, and it can hang), on the machine's own network only: it
    would not know of a lab."""

    name = "cross-check"
    commands = EVERY_COMMAND
    text = f"asking pystun3 for a second opinion (up to {PATIENCE_S:.0f} s)"

    def wanted(self, options: ProbeOptions) -> bool:
        """On demand."""
        return options.cross_check and super().wanted(options)

    async def run(self, context: MachineContext) -> None:
        """It knows IPv4 alone."""
        server = await context.server_address(4)
        if server is not None:
            again = "run it on the machine itself: nattools nat --cross-check"
            arguments = (_PYSTUN3, server.host, str(server.port))
            await _second_opinion(context.network, context.recorder, "pystun3", arguments, again)


async def cross_check_mappings(network: Network, recorder: Recorder) -> None:
    """miniupnpc likewise: which gateway does it find, and with which address? It makes no mapping."""
    again = "run it on the machine itself: nattools map probe --cross-check"
    await _second_opinion(network, recorder, "miniupnpc", (_MINIUPNPC,), again)


async def _second_opinion(
    network: Network, recorder: Recorder, tool: str, arguments: tuple[str, ...], again: str
) -> None:
    if network.substrate != "host":
        reason = f"{tool} uses this machine's own network and cannot be run inside this lab"
        _gap(recorder, tool, reason, again)
        return
    from importlib import metadata

    try:
        version = metadata.version(tool)
    except metadata.PackageNotFoundError:
        _gap(recorder, tool, f"{tool} is not installed", how_to_install(tool))
        return
    loop = asyncio.get_running_loop()
    began = loop.time()
    says, detail = await _ask(arguments)
    recorder.add(
        SecondOpinion(
            probe="cross-check",
            tool=tool,
            version=version,
            says=says,
            duration_s=round(loop.time() - began, 3),
            detail=detail,
        ),
        at=began,
    )


async def _ask(arguments: tuple[str, ...]) -> tuple[str, str]:
    """Its answer as it prints it; or "" and why there is none."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", *arguments,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with TimeLimit(PATIENCE_S) as limit:
            out, err = await process.communicate()
        if limit.expired():
            return "", f"no answer within {PATIENCE_S:.0f} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        return "", last[0][:200]
    return out.decode(errors="replace").strip()[:200], ""


def _gap(recorder: Recorder, tool: str, reason: str, settle: str) -> None:
    question = f"Does {tool} see the same?"
    recorder.add(Gap(probe="cross-check", question=question, reason=reason, settle=settle))
