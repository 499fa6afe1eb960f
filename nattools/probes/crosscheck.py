"""A second opinion: pystun3, an independent STUN client, asked about the same network."""

from __future__ import annotations

import asyncio
import sys
from importlib import metadata

from nattools.model.endpoint import Endpoint
from nattools.model.observation import Gap, SecondOpinion
from nattools.net.base import Network
from nattools.probes.context import Recorder

PATIENCE_S = 75.0
_SCRIPT = (
    "import json, sys, stun\n"
    "print(json.dumps(stun.get_ip_info(source_port=0, stun_host=sys.argv[1], stun_port=int(sys.argv[2]))))"
)


async def cross_check(network: Network, recorder: Recorder, server: Endpoint) -> None:
    """Run pystun3 in a process of its own (it blocks, and it can hang), on the machine's own network only:
    it would not know of a lab."""
    if network.substrate != "host":
        _gap(recorder, "pystun3 uses this machine's own network and cannot be run inside this lab")
        return
    try:
        version = metadata.version("pystun3")
    except metadata.PackageNotFoundError:
        _gap(recorder, "pystun3 is not installed")
        return
    loop = asyncio.get_running_loop()
    began = loop.time()
    says, detail = await _ask(server)
    number, at_s = recorder.stamp(began)
    recorder.add(
        SecondOpinion(
            id=number,
            probe="cross-check",
            at_s=at_s,
            tool="pystun3",
            version=version,
            says=says,
            duration_s=round(loop.time() - began, 3),
            detail=detail,
        )
    )


async def _ask(server: Endpoint) -> tuple[str, str]:
    """Its answer as it prints it; or "" and why there is none."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SCRIPT, server.host, str(server.port),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
    except TimeoutError:
        return "", f"no answer within {PATIENCE_S:.0f} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        return "", last[0][:200]
    return out.decode(errors="replace").strip()[:200], ""


def _gap(recorder: Recorder, reason: str) -> None:
    number, at_s = recorder.stamp()
    recorder.add(
        Gap(
            id=number,
            probe="cross-check",
            at_s=at_s,
            question="Does pystun3 see the same?",
            reason=reason,
            settle="run it on the machine itself: nattools nat --cross-check",
        )
    )
