"""A gateway that answers every question with lies, over NAT-PMP, PCP and SSDP of both families: nattools ends
in time and in order, claims nothing that was not seen from outside, and asks nobody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mapped import home

from nattools.lab.netns.netnslab import NetnsLab
from nattools.lab.scenario import Scenario

pytestmark = [pytest.mark.netns]
GATEWAY, CAROL = "10.0.1.1", "10.0.1.3"
PROGRAM = Path(__file__).parents[1] / "hostilegateway.py"
LISTENER = (
    "import socket,sys\n"
    "s = socket.create_server(('', 80), family=socket.AF_INET6, dualstack_ipv6=True)\n"
    "print('ready', flush=True)\n"
    "while True: print('asked', s.accept()[1], flush=True)\n"
)
COMMANDS: tuple[tuple[str, ...], ...] = (("map", "probe"), ("map", "add", "6000"))
if "NATTOOLS_GATEWAY_SEEDS" in os.environ:
    COMMANDS += (("map", "list"), ("diagnose",))


def scenario() -> Scenario:
    drawn = home(ipv6=True)
    nat = {name: type(each)(ipv6="firewall") for name, each in drawn.nat.items()}
    return Scenario(title="a hostile gateway", nat=nat, host=drawn.host, server=drawn.server)


@pytest.mark.parametrize("seed", range(int(os.environ.get("NATTOOLS_GATEWAY_SEEDS", "1"))))
def test_a_gateway_of_lies_is_not_believed(tmp_path: Path, seed: int) -> None:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "text": True}
    with NetnsLab(scenario()) as lab:
        environment = {
            **os.environ, "NATTOOLS_SERVER": " ".join(lab.server_uris()), "XDG_STATE_HOME": str(tmp_path)
        }  # fmt: skip
        started = [
            lab.popen("home", [sys.executable, str(PROGRAM), str(seed), GATEWAY, f"{CAROL}:80"], **pipes),
            lab.popen("carol", [sys.executable, "-c", LISTENER], **pipes),
            lab.popen("alice", [sys.executable, "-c", LISTENER], **pipes),
        ]
        try:
            for process in started:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            for command in COMMANDS:
                whole = [sys.executable, "-m", "nattools", *command, "--json"]
                with lab.popen("alice", whole, env=environment, stderr=subprocess.PIPE, **pipes) as process:
                    out, said = process.communicate(timeout=300)
                assert "Traceback" not in said, said
                assert process.returncode in (0, 1, 3), said
                for each in json.loads(out)["mappings"]:
                    assert each["verified_inbound"] is not True
        finally:
            for process in started:
                process.kill()
        asked = [process.communicate()[0] for process in started]
        assert asked[1:] == ["", ""], "nobody but the gateway is asked"
