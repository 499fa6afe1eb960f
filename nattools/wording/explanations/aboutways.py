"""About the techniques themselves: the ways by which two machines reach each other."""

from __future__ import annotations

from nattools.model.report import TechniqueId
from nattools.wording.explanations.topic import Topic


def _topic(title: str, meaning: str, found: str, do: str) -> Topic:
    return Topic("technique", title, (), meaning, found, do)


WAYS: dict[TechniqueId, Topic] = {
    "direct-ipv4": _topic(
        "Anybody can connect",
        "Others send to this machine's own public IPv4 address, and nothing on the way stops that.",
        "A server outside sent to a port that had sent nothing.",
        "A public address from the provider, and firewalls that let the port in.",
    ),
    "direct-ipv6": _topic(
        "Anybody can connect over IPv6",
        "Others send to this machine's own IPv6 address. There is no NAT, but most routers have a firewall.",
        "A server outside sent to a port that had sent nothing; nattools ipv6 says who stopped it.",
        "Enable IPv6, and allow the port for this machine in the router, or ask for a pinhole: nattools map.",
    ),
    "upnp-igd": _topic(
        "The router opens a port when asked by UPnP",
        "A program asks the router for a mapping (UPnP IGD), so that others reach it there.",
        "A mapping was made, read back, tried from outside, and removed.",
        "Enable UPnP in the router. Behind a second NAT a mapping on this router alone does not help.",
    ),
    "nat-pmp": _topic(
        "The router opens a port when asked by NAT-PMP",
        "As UPnP, by one small packet (RFC 6886). Apple's routers and many others have it.",
        "A mapping was made, tried from outside, and removed.",
        "Enable NAT-PMP in the router, often together with UPnP.",
    ),
    "pcp": _topic(
        "The router opens a port when asked by PCP",
        "The successor of NAT-PMP (RFC 6887), for IPv6 pinholes and for carriers' NATs too.",
        "A mapping was made, tried from outside, and removed.",
        "Enable PCP in the router, often together with UPnP and NAT-PMP.",
    ),
    "udp-punch": _topic(
        "Both send at once, and both NATs take it for answers",
        "Each side's first packet opens its own NAT or firewall for the other (RFC 5128 3.3).",
        "What the NAT does was measured, and a hole was punched with a server's second address as the peer.",
        "nattools punch on both machines. The NAT has to use one external port for all peers, or ports that "
        "can be predicted.",
    ),
    "udp-birthday": _topic(
        "Many ports on one side, many tries on the other",
        "Where a NAT draws ports at random, 256 own ports and some thousand tries meet by chance.",
        "256 ports were opened, and a server sent to ports drawn at random.",
        "nattools punch tries it where it has a chance, and says beforehand how many packets that takes.",
    ),
    "tcp-punch": _topic(
        "Both connect at once over TCP",
        "Each side's SYN opens its own NAT for the other's: simultaneous open (RFC 9293 3.5, 5382 REQ-2).",
        "A connection was opened from both ends at once with a server's second address.",
        "nattools punch --tcp-only on both machines, where UDP is blocked.",
    ),
    "pwnat": _topic(
        "An ICMP error finds the way in",
        "The caller sends an error about a packet that the listener sent to nobody; the listener's NAT takes "
        "it for an answer. No third machine is needed.",
        "A server sent such an error here, and told whether one from here arrived.",
        "nattools pwnat listen on one machine, nattools pwnat connect on the other, which needs CAP_NET_RAW.",
    ),
    "relay-turn": _topic(
        "A relay passes everything on, by TURN",
        "Both sides send to a relay (RFC 8656). It works nearly everywhere, and costs a detour.",
        "An address was asked for, and packets were sent through it.",
        "A relay of your own, nattools serve --relay, or one that is named; nattools relay ranks them.",
    ),
    "relay-derp": _topic(
        "A relay passes everything on, by DERP",
        "Tailscale's relays and headscale's: by HTTPS, which leaves nearly every network.",
        "How far away the servers are was measured; a packet through one proves it, where it lets us in.",
        "A DERP server that lets both sides in: nattools relay derp://HOST tries one.",
    ),
    "lan": _topic(
        "Machines on one network reach each other",
        "Without the internet: by unicast, and found by broadcast or multicast.",
        "nattools lan asks who is here, and proves both directions where two machines run it.",
        "On Wi-Fi turn client isolation off, and leave guest networks.",
    ),
    "libp2p": _topic(
        "libp2p programs connect here",
        "IPFS and others: reachable themselves, or relayed first and then direct (DCUtR).",
        "What the NAT does was measured; nattools libp2p asks libp2p peers too.",
        "A port that the router opens, or IPv6, makes a node reachable.",
    ),
    "tailscale": _topic(
        "Tailscale and headscale connect directly here",
        "They punch holes over UDP and use mappings, but predict no ports; what is not direct goes by DERP.",
        "What the NAT does was measured, and held against Tailscale's own means.",
        "UPnP, NAT-PMP, PCP or IPv6 on either side makes a relayed connection direct: nattools tailscale.",
    ),
}
