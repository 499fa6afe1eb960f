"""The first lines of a diagnosis, for somebody who does not know what a NAT is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from nattools.engine.analysis.findings import Findings, varies
from nattools.engine.analysis.portmap_verdicts import NAMES, advice_beyond, beyond, router_page, true_mappings
from nattools.model.nat import Nat, PeerKind
from nattools.model.portmapping import MappingProtocol
from nattools.model.report import TIME_WAS_OVER, Advice, Measurement, Technique


def circumstances(measurement: Measurement) -> tuple[str, ...]:
    """Warnings about time, interfaces and routes."""
    return tuple(_found(measurement))


def _found(measurement: Measurement) -> Iterator[str]:
    if measurement.timed_out:
        yield TIME_WAS_OVER
    host = measurement.host
    measured = next((i for i in host.interfaces if i.name == host.measured_interface), None)
    if measured is not None and measured.kind == "vpn":
        yield (
            f"The measurement went through {measured.name}, which is a VPN: all that is said here is "
            "about the VPN. Choose another interface with --interface."
        )
    routed = list(dict.fromkeys(gateway.interface for gateway in host.gateways))
    if len(routed) > 1:
        chosen = measured.name if measured is not None else "one of them"
        yield (
            f"There are several default routes ({', '.join(routed)}); {chosen} was measured. "
            "Choose another with --interface."
        )


Reachable = Literal["directly", "by punching", "over tcp only", "by relay only", "unknown", "offline"]
_MAPPED: tuple[MappingProtocol, ...] = ("upnp-igd", "pcp", "nat-pmp")
_HEADLINES: dict[Reachable, str] = {
    "directly": "This machine can be reached directly.",
    "by punching": "This machine can be reached directly, by hole punching.",
    "over tcp only": "UDP does not get out of this network; over TCP some peers can be reached directly.",
    "by relay only": "This machine can be reached only through a relay.",
    "unknown": "Whether this machine can be reached could not be measured.",
    "offline": "No server answered: this machine seems to be offline, or everything is blocked.",
}


def advice(findings: Findings, techniques: tuple[Technique, ...], peers: tuple[PeerKind, ...]) -> Advice:
    """Can this machine be reached, which way is best, and what the user can do."""
    verdicts: dict[str, Technique] = {technique.id: technique for technique in techniques}
    reachable = _reachable(findings, verdicts, peers)
    headline = _HEADLINES[reachable]
    if reachable == "directly" and not _works(verdicts, "direct-ipv4", "direct-ipv6"):
        headline = "This machine can be reached directly, through a port that your router opens."
    if not findings.asked:
        headline = "Nothing was measured: no server was asked."
    return Advice(
        reachable=reachable,
        headline=headline,
        best=_best(findings, reachable, verdicts, peers),
        to_do=tuple(dict.fromkeys(_to_do(findings, reachable, verdicts))),
    )


def _works(verdicts: dict[str, Technique], *names: str) -> bool:
    return any(verdicts[name].verdict == "works" for name in names if name in verdicts)


def _reachable(findings: Findings, verdicts: dict[str, Technique], peers: tuple[PeerKind, ...]) -> Reachable:
    if not findings.answered:
        return "offline" if findings.asked else "unknown"
    if _works(verdicts, "direct-ipv4", "direct-ipv6", *_MAPPED):
        return "directly"
    if _works(verdicts, "udp-punch"):
        return "by punching"
    if verdicts["udp-punch"].verdict != "fails":
        return "by punching" if _works(verdicts, "tcp-punch") else "unknown"
    return "over tcp only" if any(peer.path == "direct" for peer in peers) else "by relay only"


def _best(
    findings: Findings, reachable: Reachable, verdicts: dict[str, Technique], peers: tuple[PeerKind, ...]
) -> str:
    direct = [n for n in (4, 6) if _works(verdicts, f"direct-ipv{n}")]
    if reachable == "directly" and not direct:
        by = [NAMES[name] for name in _MAPPED if _works(verdicts, name)]
        if not true_mappings(findings):
            return f"An IPv6 pinhole by {' or '.join(by)}: every peer with IPv6 can connect"
        ways = " or ".join([", ".join(by[:-1]), by[-1]] if len(by) > 1 else by)
        return f"A port mapping by {ways}: every peer can connect"
    if reachable == "directly":
        return " and ".join(f"Direct IPv{family}" for family in direct) + ": peers connect to your address"
    if reachable == "by punching" and _works(verdicts, "udp-punch"):
        reached = sum(peer.path == "direct" for peer in peers)
        return f"UDP hole punching: possible with {reached} of {len(peers)} kinds of peers"
    if reachable == "by punching":
        return "TCP: peers connect to your outside port once you opened it"
    if reachable == "over tcp only":
        reached = sum(peer.path == "direct" for peer in peers)
        return f"TCP: possible with {reached} of {len(peers)} kinds of peers; a relay for the others"
    if reachable == "by relay only":
        return "A relay over TCP or TLS"
    return "None known: " + ("check the connection" if reachable == "offline" else "see what would settle it")


def _to_do(findings: Findings, reachable: Reachable, verdicts: dict[str, Technique]) -> list[str]:
    if reachable == "offline":
        return _offline(findings)
    found = []
    nat = findings.nat("udp", findings.main)
    if reachable != "directly":
        found += _forwarding(findings, verdicts)
    elif not _works(verdicts, "direct-ipv4", "direct-ipv6"):
        found.append("To keep a port open for a program: nattools map keep PORT.")
    if nat is not None and reachable != "directly":
        found += _about_nat(nat)
    if nat is not None and nat.reachable is False:
        found.append("Ask whoever runs this network to let UDP out.")
    if nat is None or (nat.reachable is not False and "unknown" in (nat.mapping, nat.filtering)):
        found.append(
            "For a full diagnosis run nattools serve on a machine outside, and name it with --server."
        )
    return found


def _forwarding(findings: Findings, verdicts: dict[str, Technique]) -> list[str]:
    """What would make a machine behind a NAT reachable for everybody."""
    general = verdicts["direct-ipv4"].advice if "direct-ipv4" in verdicts else ""
    tried = [verdicts[name] for name in _MAPPED if name in verdicts and verdicts[name].evidence]
    if not tried or not general or "router" not in general:
        return [general] if general else []
    if beyond(findings) is not None:
        return [advice_beyond(findings)]
    if any(each.verdict == "unknown" for each in tried):
        return ["Your router makes port mappings; nattools serve outside would prove them: --server HOST."]
    told = [each.advice for each in tried if "No mapping" in each.summary or "said yes" in each.summary]
    if told:
        return told[:1]
    page = router_page(findings)
    return [f"Switch on UPnP, NAT-PMP or PCP in your router's settings{page}, or forward a port there."]


def _about_nat(nat: Nat) -> list[str]:
    found = []
    if nat.double_nat and not nat.cgnat:
        found.append("There are two routers that translate: set one of them to bridge mode.")
    if varies(nat) and not nat.cgnat:
        found.append("Your router gives each peer another port: a port mapping or IPv6 helps most.")
    return found


def _offline(findings: Findings) -> list[str]:
    host = findings.measurement.host
    found = []
    if host.interfaces and not host.gateways:
        found.append("There is no default route: connect to a network first.")
    found.append("Check the cable or the wireless network, and whether a web page opens.")
    found.append("If it does, name a server that is known to work: nattools diagnose --server HOST.")
    return found
