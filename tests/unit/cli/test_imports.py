"""A command imports what it runs: a measurement of milliseconds must not pay for what other commands do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from nattools.cli import app

ROOT = Path(app.__file__).parents[2]
RUN = (
    "import json, sys; from nattools.cli.app import run; code = run(sys.argv[1:]); "
    "json.dump([code, sorted(sys.modules)], sys.stderr)"
)
NAT = {
    "nattools.engine": """analyse serverlookup measurement measureoptions networkwatch plan portals registry
        run spreadroutes""",
    "nattools.engine.analysis": """diagnosisadvice areas endings evidence findings inbounddrops obstacles
        pathloss servers""",
    "nattools.engine.analysis.libp2p": "directupgrade",
    "nattools.engine.analysis.nat": """allocation connectivity externals filtering mapping mappingends
        portorder quotefindings requirements translation""",
    "nattools.engine.analysis.overlays": "overlayremedies tailscaleadvice tailscalepaths",
    "nattools.engine.analysis.ipv6": "directipv6",
    "nattools.engine.analysis.verdicts": """peerkinds portmappings portmapverdicts programverdicts punching
        pwnatverdicts relayverdicts techniques""",
    "nattools.net": """addresses base eventloop exchange mappedaddress resolve translated wrappednetwork""",
    "nattools.probes": """dialbacks estimate filtering hairpin layers mapping nat64prefix ownaddress probe
        question reach roundtrip target tcpquestion""",
    "nattools.protocols": """dialback errortrial icmp ip nat64 packet provenrequest""",
    "nattools.protocols.pwnat": "beacon",
    "nattools.protocols.stun": """attributes binding codec constants message transaction turnattributes""",
    "nattools.protocols.turn": """channeldata turnconstants""",
    "nattools.report": """document safetext terminal""",
    "nattools.report.sections": """contents facts nat summary techniquetables""",
    "nattools.server": """connections dialbackserver dialling endpoints errortrialserver limits listening
        service serving socketerrors stun""",
    "nattools.traversal.plan": """odds poolfilling side stepbuilding steps tcpstrategies udpstrategies""",
    "nattools.trials": "labsearches",
}
"""All that `nattools nat` needs of the packages in which other commands have modules, too: its own probes and
codecs, and the server of the lab. Something of another command goes into the function that calls it."""

LIBRARIES = {"cryptography", "defusedxml", "h11", "netifaces", "qh3", "rich", "scapy", "spake2", "websockets"}


def imported(*arguments: str) -> set[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", RUN, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    code, names = json.loads(done.stderr)
    assert code == 0
    return set(names)


def test_nat_imports_what_it_runs() -> None:
    allowed = {f"{package}.{name}" for package, names in NAT.items() for name in names.split()} | NAT.keys()
    found = imported("nat", "--lab", "home-router")
    judged = {name for name in found if name.startswith(tuple(f"{package}." for package in NAT))}
    assert "nattools.probes.mapping" in judged
    assert judged - allowed == set()
    assert found & LIBRARIES == set()


DIAGNOSED = ("nattools.engine.relay", "nattools.lab.labrelay", "nattools.net.derp", "nattools.probes.relay",
    "nattools.protocols.derp", "nattools.protocols.igd", "nattools.protocols.libp2p")  # fmt: skip
"""Of what most networks have none: relays, a router that speaks UPnP, libp2p peers."""


def test_a_diagnosis_imports_nothing_for_what_is_not_there() -> None:
    found = imported("diagnose", "--lab", "home-router")
    assert "nattools.engine.portmap.trial" in found
    assert [name for name in sorted(found) if name.startswith(DIAGNOSED)] == []
    assert not found & (LIBRARIES | {"xml.etree.ElementTree"})


LIGHT = {"asyncio", "msgspec", "nattools.engine", "nattools.lab", "nattools.model", "nattools.net"}


def test_help_imports_no_more_than_the_command_line() -> None:
    found = imported("--help")
    assert "nattools.cli.display.help" in found
    assert found & (LIGHT | LIBRARIES) == set()


def test_the_list_of_scenarios_imports_nothing_that_runs_them() -> None:
    found = imported("lab", "list")
    assert "nattools.lab.scenario" in found
    assert not {
        name for name in found if name.startswith(("nattools.lab.sim", "nattools.server", "nattools.probes"))
    }
    assert found & {"nattools.lab.routers.fakerouter", "urllib.request", "xml.etree.ElementTree"} == set()


def test_an_explanation_imports_neither_engine_nor_lab() -> None:
    found = imported("explain", "server-silent")
    assert "nattools.wording.explanations" in found
    assert not {
        name
        for name in found
        if name.startswith(("nattools.engine.analysis", "nattools.lab", "nattools.net"))
    }


def test_sentences_are_read_in_when_a_report_needs_them() -> None:
    found = imported("map", "probe", "--lab", "mapping-pcp", "--json")
    assert "nattools.wording.verdicts" in found
    assert found & {f"nattools.wording.{area}" for area in ("differences", "ipv6", "watching")} == set()


VERSION = (
    "import sys; before = set(sys.modules); sys.argv[1:] = ['--version']; "
    "from nattools.__main__ import main; code = main(); new = set(sys.modules) - before; "
    "import json; json.dump([code, sorted(new)], sys.stderr)"
)


def test_the_version_is_told_by_few_modules() -> None:
    """-S: what other distributions have Python import at each start is not ours."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", VERSION],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    code, new = json.loads(done.stderr)
    assert (code, done.stdout.startswith("nattools ")) == (0, True)
    assert "nattools.defects" in new
    assert not set(new) & {"typing", *LIGHT, *LIBRARIES}
