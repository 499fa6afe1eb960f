"""About this machine and its network: addresses, ways out, what answers and what does not."""

from __future__ import annotations

from nattools.wording.explanations.aboutipv6 import SWITCHED_ON
from nattools.wording.explanations.topic import Topic

TOPICS = (
    Topic(
        "reachability",
        "Can this machine be reached?",
        (
            "reachable-directly", "reachable-by-punching", "reachable-over-tcp", "reachable-by-relay",
            "reachable-unknown", "best-direct", "best-udp-punch", "best-tcp*", "best-relay*",
            "best-unknown", "direct-open", "direct-forwarded", "direct-not-measured", "direct-untested",
        ),
        "Directly: strangers can connect. By hole punching: programs can that send from both sides at "
        "once. By a relay only: a third machine has to pass everything on.",
        "It follows from the verdicts on the single techniques, each with its own evidence.",
        "The report's first action is the most useful one that is possible here.",
    ),
    Topic(
        "own-address",
        "The address that this machine has, and the one that others see",
        (
            "addresses-unknown", "address-private*", "address-translated", "address-in-vpn",
            "address-over-*",
        ),
        "A private address (RFC 1918) is valid only inside one network. If servers see another one, "
        "a NAT translates.",
        "The addresses of the interfaces, beside what servers saw.",
        "Nothing by itself: see the advice beside it.",
    ),
    Topic(
        "no-ipv6",
        "No IPv6 here",
        ("no-address", "enable-ipv6", "use-ipv6", "ts-ipv6"),
        "With IPv6 each machine has a public address of its own, and only firewalls stand between. Here "
        "is none.",
        "No interface has a public IPv6 address, or there is no route.",
        "Switch IPv6 on in the router; ask the provider if it offers none.",
        SWITCHED_ON,
    ),
    Topic(
        "vpn",
        "A VPN or another way out was measured",
        (
            "ask-vpn", "vpn-*", "several-default-routes", "default-routes-spread",
            "router-off-path", "default-route-of",
            "one-exit-node", "clash-exit-nodes",
        ),
        "What is said about the network is about the path that packets took: a VPN's other end, or one of "
        "several uplinks.",
        "The kernel was asked which route packets to the servers take.",
        "Measure again with --interface NAME to learn about another way.",
    ),
    Topic(
        "within-a-machine",
        "This runs within another machine, or behind a phone",
        ("publish-port", "mirror-networking", "windows-shares", "phone-forwards-nothing"),
        "A container, WSL and a phone's hotspot have a NAT of their own, of which no router's settings "
        "know.",
        "What the system says that it runs in, and the addresses there.",
        "Do what the sentence says there; then measure again.",
    ),
    Topic(
        "udp-blocked",
        "UDP does not get out",
        (
            "udp-blocked", "udp-forbidden", "udp-not-measured", "let-udp-out", "allow-udp-here",
            "use-tcp-relay", "peer-udp-blocked", "network-blocks-udp", "relay-udp-blocked",
            "ts-let-udp-out", "ts-nothing-passes", "own-udp-blocked",
        ),
        "Games, calls and most direct connections use UDP. Where it is blocked, TCP and relays are what "
        "is left.",
        "Several servers were asked over UDP, also on other ports such as 53 and 443, and none answered.",
        "Ask whoever runs the network to let UDP out, at least to ports above 1023.",
        {
            "pfSense": "Firewall > Rules > LAN: pass UDP to any.",
            "OPNsense": "Firewall > Rules > LAN: pass UDP to any.",
            "FRITZ!Box": "Internet > Filters: the access profile of this device.",
            "OpenWrt": "Network > Firewall: forwarding from lan to wan.",
            "FortiGate": (
                "A policy from inside to wan with the service ALL_UDP; application control lets STUN pass."
            ),
            "Palo Alto": "A security policy for the applications stun and rtp, or for the service any.",
            "MikroTik": "/ip firewall filter: accept protocol=udp in chain=forward.",
            "the provider": "Ask; some mobile providers let UDP out only after a change of tariff.",
        },
    ),
    Topic(
        "tcp-blocked",
        "TCP gets out only to certain ports, or not at all",
        (
            "tcp-blocked", "tcp-ports-restricted", "udp-ports-restricted", "use-relay-443", "peer-tcp-ports",
            "peer-nothing-passes", "relay-tcp-*", "ts-let-https-out",
        ),
        "Some networks let out only web pages. Peers use any port, so a direct connection is impossible; "
        "a relay on port 443 works.",
        "Servers were asked over TCP on several ports.",
        "Use a relay on port 443, or another network.",
    ),
    Topic(
        "nothing-answers",
        "Nothing outside answers",
        (
            "offline", "ended-*", "ending-*", "best-offline", "check-cable", "try-other-server",
            "connect-network", "get-address", "no-default-route", "check-names", "name-by-address",
            "name-other-family", "check-port",
            "open-own-firewall", "nothing-asked", "nothing-answered", "reachable-no-*", "ts-check-dns",
        ),
        "The report says at which step it ended: no link, no address, no route, no names (DNS), the own "
        "firewall, a captive portal, or no answer.",
        "Each step was looked at in this order; packets with a small TTL told how far they get.",
        "Mend that step first: what comes after it could not be measured.",
    ),
    Topic(
        "captive-portal",
        "A captive portal answers in others' names",
        (
            "behind-portal", "log-in-at-portal", "portal-*", "relay-portal", "relay-log-in",
            "ts-control-portal",
        ),
        "Hotels and trains let nothing out before one has logged in, and answer all questions themselves.",
        "An address that nobody can have was asked for a web page, and one came.",
        "Open the page that is named, log in, and run nattools again.",
    ),
    Topic(
        "nat64",
        "IPv4 through a NAT64",
        ("through-nat64", "ipv4-by-nat64", "nat64-*"),
        "The network has only IPv6; IPv4 is reached through a translator (RFC 6146), whose prefix the "
        "router or the name server tells.",
        "The router's advertisement (RFC 8781) and the name server (RFC 7050) were asked, and the prefix "
        "was tried.",
        "Use the network's own name servers. If the prefix leads nowhere, tell whoever runs the network.",
    ),
    Topic(
        "clashes",
        "Two networks want the same addresses or ports",
        ("clash-*", "give-other-range", "accept-one", "renumber", "choose-port", "run-in-userspace"),
        "Two private networks that this machine is in use the same range, so that it cannot tell them "
        "apart.",
        "The routes and addresses that the programs told.",
        "Give one of them another range, or accept the routes of only one.",
    ),
    Topic(
        "local-network",
        "What the local network lets through between its machines",
        ("lan-*", "settle-lan", "peer-near", "look-at-lan*"),
        "Programs on one network find each other by multicast, broadcast or multicast DNS, and then talk by "
        "unicast. Access points and switches may stop some of that, or isolate their clients.",
        "Questions by multicast DNS, beacons of other machines that run nattools lan, and echo requests. "
        "Silence counts only where somebody is known to be there.",
        "Run nattools lan on two machines at the same time: then both directions are proven.",
    ),
)  # fmt: skip
