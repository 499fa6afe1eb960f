"""What other people's scripts rely on: each field of a report that was promised to them is there, in the
reports of real runs, with a value of the promised kind, and each promised word may stand there.

A line of a table is a path and what stands there: words of a closed set; `true` (or false), `number`, `text`,
`endpoint`, `map`; `null` if it may be null. `[]` goes into each entry of a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import pytest
from promisedruns import RUNS

from nattools.cli.app import run
from nattools.model.endpoint import parse_endpoint
from nattools.model.report import Report

SCHEMA = msgspec.json.schema(Report)
EVERY = """
schema  nattools.report/1
tool.name  text
tool.version  text
command  text
started  text
duration_s  number
substrate  host | sim | netns
host.os  text
host.interfaces[].name  text
host.gateways[].address  text null
nat.udp4  map null
nat.udp6  map null
nat.tcp4  map null
ipv6  map null
mappings  list
relays  list
punch  map null
pwnat  map null
lan  map null
techniques  list
observations  list
"""
NAT = """
present  true null
mapping  none | endpoint-independent | address-dependent | address-and-port-dependent | unknown
filtering  endpoint-independent | address-dependent | address-and-port-dependent | unknown
port_allocation  preserving | sequential | random | unknown
port_step  number null
port_range  list null
hairpinning  true null
binding_lifetime_s  number null
external[]  text
cgnat  true null
double_nat  true null
classic  open internet | symmetric firewall | full cone | restricted cone | port-restricted cone | symmetric \
| udp blocked | unknown
"""
TECHNIQUES = """
techniques[].id  direct-ipv4 | direct-ipv6 | upnp-igd | nat-pmp | pcp | udp-punch | udp-birthday | tcp-punch \
| pwnat | relay-turn | relay-derp | lan | libp2p | tailscale
techniques[].verdict  works | fails | unknown | skipped
techniques[].confidence  number
techniques[].summary  text
techniques[].advice  text
techniques[].evidence[]  number
"""
MAPPINGS = """
mappings[].protocol  upnp-igd | nat-pmp | pcp
mappings[].transport  udp | tcp
mappings[].internal  endpoint
mappings[].external  endpoint null
mappings[].lifetime_s  number null
mappings[].created  true
mappings[].verified_inbound  true null
mappings[].error  map null
"""
REFUSED = "".join(f"mappings[].error.{name}  text\n" for name in ("name", "meaning", "advice"))
REFUSED += "mappings[].error.code  number null\n"
PUNCH = """
connected  true
path  direct | relayed null
transport  udp | tcp null
family  number null
strategy  host | reflexive | mapped | low-ttl | prediction | birthday | simultaneous-open | relay null
local  endpoint null
remote  endpoint null
elapsed_s  number null
rtt_ms  number null
probes_sent  number
stages  list
why  text
paths  list
"""
RELAYED = """
punch.relay.kind  text
punch.relay.uri  text
punch.relay.rtt_ms  number null
punch.relay.since_s  number null
"""
RELAYS = """
relays[].kind  turn | derp
relays[].uri  text
relays[].region  text
relays[].transport  text
relays[].rtt_ms.min  number
relays[].rtt_ms.median  number
relays[].rtt_ms.p95  number
relays[].jitter_ms  number null
relays[].loss  number null
relays[].throughput_mbps  number null
relays[].error  map null
relays[].relayed  endpoint null
relays[].direct_rtt_ms  number null
relays[].mtu  number null
relays[].steps[].step  resolve | connect | tls | authenticate | allocate | permit | relay
relays[].steps[].ok  true
relays[].steps[].ms  number null
relays[].steps[].detail  text
relays[].rank  number null
"""
IPV6 = """
capable  true null
works  true null
reachable.udp  true null
reachable.tcp  true null
reachable.icmp  true null
inbound.udp  open | filtered | rejected | prohibited | unknown
inbound.tcp  open | filtered | rejected | prohibited | unknown
addresses[].address  text
addresses[].interface  text
addresses[].kind  stable | temporary | eui-64 | ula | link-local | teredo | 6to4 | clat | other
addresses[].deprecated  true
addresses[].prefix_length  number
addresses[].shows_mac  true
routers[].address  text
routers[].interface  text
routers[].source  ra | static | unknown
translation  none | nat66 | nptv6 | unknown
nat64  map null
path_mtu.ipv4  map null
path_mtu.ipv6  map null
latency_ms.ipv4  number null
latency_ms.ipv6  number null
preferred  number null
dns.aaaa_answers  true null
dns.over_ipv6  true null
pinhole  map null
problems  list
code  text
"""
PINHOLE = "ipv6.pinhole.protocol  text\nipv6.pinhole.verified_inbound  true null\n"
BLACK_HOLE = """
ipv6.path_mtu.ipv6.bytes  number null
ipv6.path_mtu.ipv6.black_hole  true null
ipv6.path_mtu.ipv6.too_big_from  text null
ipv6.problems[].code  no-address | no-route | no-answer | ula-only | slow | black-hole | two-routers \
| teredo | 6to4 | filtered | nat66
ipv6.problems[].meaning  text
ipv6.problems[].advice  text
"""
NAT64 = """
ipv6.nat64.prefix  text
ipv6.nat64.dns64  true null
ipv6.nat64.clat  true null
ipv6.nat64.works  true null
"""
PWNAT = """
pwnat.role  listener | caller | test
pwnat.connected  true
pwnat.peer  text null
pwnat.transport  text null
pwnat.elapsed_s  number null
pwnat.beacons_sent  number
pwnat.errors_seen  number
pwnat.refused.forged  number
pwnat.refused.foreign  number
pwnat.why  text
pwnat.advice  text
pwnat.stages  list
"""
TEST = """
pwnat.listener  passes | id-rewritten | quote-not-matched | invalid-dropped | icmp-blocked | unknown
pwnat.caller  passes | untranslated | invalid-dropped | icmp-blocked | unknown
"""
LAN = """
lan.unicast  true null
lan.multicast  true null
lan.broadcast  true null
lan.isolated  true null
lan.mdns.responders[]  text
lan.mdns.works  true null
lan.neighbours[].address  text
lan.neighbours[].services[]  text
lan.yggdrasil.ready  true null
lan.yggdrasil.why  text
lan.batman.ready  true null
lan.batman.why  text
lan.qaul.ready  true null
lan.qaul.why  text
"""
LIBP2P = """
libp2p.peers[].address  text
libp2p.peers[].identified  true
libp2p.peers[].observed[]  text
libp2p.peers[].agent  text
libp2p.autonat[].address  text
libp2p.autonat[].reachable  true null
libp2p.autonat[].by  text
libp2p.relay_reserved  true null
libp2p.dcutr  possible | birthday only | impossible | unknown
libp2p.why  text
"""
TAILSCALE = """
tailscale.tailnets[].name  text
tailscale.tailnets[].control  text
tailscale.tailnets[].reachable  true null
tailscale.tailnets[].map  text null
tailscale.tailnets[].home_region  text null
tailscale.tailnets[].netcheck  map null
tailscale.tailnets[].peers  list
tailscale.address_overlaps  list
tailscale.direct_with  map
tailscale.why  text
"""


def under(place: str, table: str) -> str:
    """The same table of what stands there."""
    return "".join(f"{place}.{line}\n" for line in table.split("\n") if line)


PROMISED: dict[str, str] = {
    "diagnose": EVERY + under("nat.udp4", NAT) + under("nat.tcp4", NAT) + TECHNIQUES + MAPPINGS,
    "nat": EVERY + under("nat.udp4", NAT),
    "ipv6": EVERY + under("ipv6", IPV6) + PINHOLE + under("nat.udp6", NAT),
    "slow": BLACK_HOLE,
    "nat64": NAT64,
    "refused": MAPPINGS + REFUSED,
    "map": EVERY + MAPPINGS,
    "punch": EVERY + under("punch", PUNCH),
    "relayed": under("punch", PUNCH) + RELAYED,
    "test": EVERY + PWNAT + TEST,
    "connect": EVERY + PWNAT + under("pwnat", PUNCH),
    "relay": EVERY + RELAYS,
    "lan": EVERY + LAN,
    "libp2p": EVERY + LIBP2P,
    "tailscale": EVERY + TAILSCALE,
}
MEASURING = "--json -o --server --timeout -4 -6 --interface --lab --backend"
USES = "--pipe --forward --reverse --allow --bench --keep --exec"
OPTIONS = {
    "diagnose": f"{MEASURING} --watch --metrics --redact",
    "nat": f"{MEASURING} --lifetime --watch --metrics",
    "ipv6": f"{MEASURING} --mtu --no-mtu",
    "map probe": MEASURING,
    "map add": MEASURING,
    "map list": "--json -o --timeout --interface --lab",
    "map delete": "--json -o --timeout --interface --lab",
    "map keep": MEASURING,
    "punch": f"{MEASURING} --manual --no-relay --relay-only --turn --turn-user --turn-secret {USES}",
    "pwnat listen": f"--json -o --server --timeout --interface --lab --secret --compat {USES}",
    "pwnat connect": f"--json -o --server --timeout --interface --lab --secret --compat {USES}",
    "pwnat test": "--json -o --server --timeout --interface --lab",
    "relay": (
        f"{MEASURING} --turn-user --turn-secret --derp-map --no-derp --region --count --throughput --watch"
    ),
    "serve": "--listen --port --relay --relay-ports --turn-secret --turn-user --turn-uri",
    "lab list": "--json",
    "lab run": "--json -o --backend --events",
    "lab matrix": "--json -o --backend",
    "lab exec": "--seed",
    "lab shell": "--seed",
    "report show": "--json -o",
    "report validate": "--json",
    "report predict": "--json",
    "report redact": "-o --keep --salt",
    "report diff": "--json",
    "report merge": "--json -o",
    "report scenario": "-o",
    "lan": "--json -o --timeout --interface --lab",
    "libp2p": MEASURING,
    "tailscale": f"{MEASURING} --derp-map --status --control",
    "explain": "--json",
}
KINDS: dict[str, type | tuple[type, ...]] = {
    "true": bool,
    "number": (int, float),
    "text": str,
    "endpoint": str,
    "map": dict,
    "list": list,
}


def promises(table: str) -> Iterator[tuple[str, str, bool]]:
    """(path, what stands there, may it be null) of each line."""
    for line in filter(None, table.split("\n")):
        path, what = line.split("  ")
        yield path, what.removesuffix(" null"), what.endswith(" null")


def values_at(node: Any, path: str) -> list[Any]:
    """All that stands there; KeyError: a field is missing. What is null on the way has no fields."""
    name, _, rest = path.partition(".")
    if node is None:
        return []
    found = node[name.removesuffix("[]")]
    if name.endswith("[]"):
        return [each for entry in found for each in (values_at(entry, rest) if rest else [entry])]
    return values_at(found, rest) if rest else [found]


def fits(value: Any, what: str, may_be_null: bool) -> bool:
    """Is that value what was promised?"""
    if value is None:
        return may_be_null
    if what not in KINDS:
        return value in what.split(" | ")
    if what == "endpoint":
        return bool(parse_endpoint(value))
    return isinstance(value, KINDS[what]) and isinstance(value, bool) == (what == "true")


def places(of: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """What the schema says of what stands there."""
    definitions = SCHEMA["$defs"]

    def opened(node: dict[str, Any]) -> list[dict[str, Any]]:
        if "$ref" in node:
            return opened(definitions[node["$ref"].rpartition("/")[2]])
        return [each for one in node["anyOf"] for each in opened(one)] if "anyOf" in node else [node]

    found = opened(of)
    for name in path.split("."):
        found = [
            each
            for node in found
            if "properties" in node
            for each in opened(node["properties"][name.removesuffix("[]")])
        ]
        if name.endswith("[]"):
            found = [each for node in found if "items" in node for each in opened(node["items"])]
    return found


@cache
def everything_promised() -> dict[str, str]:
    """Each path once."""
    return {path: what for table in PROMISED.values() for path, what, _ in promises(table)}


@pytest.mark.parametrize("command", OPTIONS)
def test_each_promised_option_is_taken(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command.split(), "--help"]) == 0
    named = set(re.split(r"[\s,\[\]/|]+", capsys.readouterr().out))
    assert set(OPTIONS[command].split()) <= named


def test_each_promised_word_may_stand_there() -> None:
    root = {"$ref": SCHEMA["$ref"]}
    for path, what in everything_promised().items():
        allowed = [word for node in places(root, path) for word in (*node.get("enum", ()), node.get("const"))]
        words = what.split(" | ") if what not in KINDS else []
        closed = [word for word in allowed if word is not None]
        assert not closed or set(words) <= set(closed), (path, set(words) - set(closed))
        assert not words or closed, path


@pytest.mark.parametrize("name", RUNS)
def test_each_promised_field_is_in_the_report(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run([*RUNS[name], "--json"])
    out = capsys.readouterr()
    assert code in (0, 1), out.err
    report = json.loads(out.out)
    for path, what, may_be_null in promises(PROMISED[name]):
        found = values_at(report, path)
        wrong = [value for value in found if not fits(value, what, may_be_null)]
        assert not wrong, (path, what, wrong[:3])
        assert found, f"nothing of {path} in this report"
