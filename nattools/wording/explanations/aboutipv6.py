"""About IPv6: does it work, who gets in, and what is wrong with it."""

from __future__ import annotations

from nattools.wording.explanations.topic import Product, Topic

SWITCHED_ON: dict[Product, str] = {
    "pfSense": "Interfaces > WAN: DHCPv6 with prefix delegation; LAN: Track Interface.",
    "OPNsense": "Interfaces > WAN: DHCPv6; LAN: Track interface.",
    "FRITZ!Box": "Internet > Account Information > IPv6.",
    "OpenWrt": "The interface wan6 with DHCPv6; odhcpd on lan.",
    "FortiGate": "config system interface, config ipv6: DHCPv6 with prefix delegation.",
    "Palo Alto": "IPv6 on the interfaces, with DHCPv6 prefix delegation (PAN-OS 11.0 and later).",
    "MikroTik": "/ipv6 dhcp-client with request=prefix, /ipv6 address from the pool.",
    "the provider": "Ask for it.",
}
"""Where IPv6 is switched on."""
TOPICS = (
    Topic(
        "ipv6-firewall",
        "A firewall stops what comes in over IPv6",
        (
            "ipv6-problem-filtered", "ipv6-advice-filtered-*", "ipv6-closed", "ipv6-half-reached",
            "ipv6-in-*", "ipv6-ping-*", "ipv6-stopped-*", "ipv6-pinhole-*", "ipv6-punched",
        ),
        "With IPv6 nothing has to be translated, but most routers let in only answers (RFC 6092). Others "
        "then cannot begin a connection, unless a port is opened: a pinhole.",
        "A server outside sent to ports that had sent nothing; where it may, this machine looked at "
        "what came to its interface before its own firewall.",
        "Open the port for this machine where the packets are stopped. Hole punching needs nothing opened.",
        {
            "pfSense": "Firewall > Rules > WAN: pass IPv6 to the machine's address and port.",
            "OPNsense": "Firewall > Rules > WAN: pass IPv6 to the machine's address and port.",
            "FRITZ!Box": "Internet > Permit Access > Port Sharing: the device's IPv6 interface ID and ports.",
            "OpenWrt": "Network > Firewall > Traffic Rules: accept from wan to the machine, IPv6.",
            "FortiGate": "Policy & Objects > Firewall Policy, IPv6, from wan to the inside.",
            "Palo Alto": "Policies > Security, with the IPv6 address as destination.",
            "MikroTik": "/ipv6 firewall filter: accept in chain=forward, before the drop rule.",
            "the provider": "Mobile providers often let nothing in over IPv6: ask.",
        },
    ),
    Topic(
        "ipv6-missing",
        "No IPv6, or none that works",
        (
            "ipv6-none", "ipv6-dead", "ipv6-not-capable", "ipv6-works-not", "ipv6-problem-no-*",
            "ipv6-advice-no-*", "ipv6-problem-switched-off", "ipv6-advice-switched-off",
            "ipv6-problem-tentative", "ipv6-advice-tentative", "ipv6-problem-ula-only",
            "ipv6-advice-ula-only", "ipv6-problem-duplicate-address", "ipv6-advice-duplicate-address",
            "ipv6-problem-router-silent", "ipv6-advice-router-silent", "ipv6-problem-route-blocked",
            "ipv6-advice-route-blocked", "ipv6-problem-forbidden-here", "ipv6-advice-forbidden-here",
            "ipv6-problem-vpn-silent", "ipv6-advice-vpn-silent",
        ),
        "It takes an address that works outside, a route, and an answer from outside. Where there is an "
        "address and no answer, programs wait for IPv6 before they try IPv4.",
        "The addresses and routes of this machine, and servers that were asked over IPv6.",
        "Switch IPv6 on where it is off; where it is announced and does not work, restart the router, and "
        "tell the provider.",
        SWITCHED_ON,
    ),
    Topic(
        "ipv6-old-prefix",
        "One of several prefixes is dead",
        ("ipv6-problem-dead-prefix", "ipv6-advice-dead-prefix"),
        "After an outage a router may get another prefix from the provider, and not tell that the old one is "
        "over (flash renumbering, RFC 8978): machines keep both for days, and use the wrong one. With two "
        "routers, packets with an address of one may leave by the other, which drops them.",
        "From an address of each prefix the same servers were asked.",
        "Have the machine forget the old prefix, and update the router: RFC 9096 says how it is to tell of "
        "the end of a prefix.",
    ),
    Topic(
        "ipv6-packet-size",
        "Large IPv6 packets vanish",
        ("ipv6-problem-black-hole", "ipv6-advice-black-hole", "ipv6-mtu-*"),
        "Routers do not fragment IPv6 packets: they answer with Packet Too Big (RFC 8201). If that answer is "
        "dropped, connections begin and then hang.",
        "Packets of several sizes were sent to a server, which told what arrived.",
        "Let ICMPv6 Packet Too Big pass everywhere, and give the uplink the size that passes.",
        {
            "pfSense": "Interfaces > WAN: MSS; ICMPv6 passes by itself.",
            "OPNsense": "Interfaces > WAN: MSS; ICMPv6 passes by itself.",
            "FRITZ!Box": "Internet > Account Information > IPv6: set MTU manually.",
            "OpenWrt": "MSS clamping of the zone wan, and the interface's own mtu.",
            "FortiGate": "config system interface: set tcp-mss, mtu-override.",
            "Palo Alto": "The interface's MTU, and Adjust TCP MSS.",
            "MikroTik": "/ipv6 firewall mangle: action=change-mss new-mss=clamp-to-pmtu.",
            "the provider": "Show them the size that passes and the last router that answered.",
        },
    ),
    Topic(
        "ipv6-packet-forms",
        "Fragments or extension headers are dropped",
        (
            "ipv6-problem-fragments-dropped", "ipv6-advice-fragments-dropped", "ipv6-fragments-*",
            "ipv6-headers-*", "ipv6-form-*",
        ),
        "A datagram that is larger than a packet travels in fragments, of which only the first has ports. "
        "Many firewalls drop what they cannot judge by ports: fragments, and packets with an extension "
        "header (RFC 7872, RFC 8900). What needs them fails: large DNS answers, IKE, some tunnels.",
        "A question to a server in that form, and what a nattools serve sent in that form to a port that "
        "had just written to it.",
        "Have the firewall pass fragments, or let it put them together before it judges (most can).",
        {
            "pfSense": "System > Advanced > Firewall & NAT: do not disable scrub, which reassembles.",
            "OPNsense": "Firewall > Settings > Normalization: do not disable scrub, which reassembles.",
            "OpenWrt": "Fragments pass, unless a rule of one's own drops them (nft list ruleset).",
            "MikroTik": "/ipv6 firewall filter: no drop rule with headers=frag in chain=forward.",
            "the provider": "Show them that small packets are answered and fragments are not.",
        },
    ),
    Topic(
        "ipv6-translated",
        "Something translates IPv6",
        ("ipv6-problem-nat66", "ipv6-advice-nat66", "ipv6-translation-*", "ipv6-nat64-*"),
        "NAT66 and NPTv6 (RFC 6296) change IPv6 addresses, which nothing needs; NAT64 leads to IPv4 from a "
        "network that has only IPv6.",
        "The own address, beside the one that servers see.",
        "Have the router pass on a prefix of the provider's instead of translating.",
    ),
    Topic(
        "ipv6-quirks",
        "IPv6 works, but not well",
        (
            "ipv6-problem-slow", "ipv6-advice-slow", "ipv6-problem-two-routers", "ipv6-advice-two-routers",
            "ipv6-problem-teredo", "ipv6-advice-teredo", "ipv6-problem-6to4", "ipv6-advice-6to4",
            "ipv6-problem-temporary-only", "ipv6-advice-temporary-only", "ipv6-problem-mac-shown",
            "ipv6-advice-mac-shown", "ipv6-preferred-*",
        ),
        "A detour, a second router that announces itself, an obsolete tunnel, or addresses that "
        "change every day or tell who made the card.",
        "Round trips over both families to the same server, the routers and addresses of this machine.",
        "Do what the sentence beside it says.",
    ),
    Topic(
        "ipv6-state",
        "What IPv6 does here",
        ("ipv6-*",),
        "Single answers: whether this machine has IPv6, whether it works, and whether others get in.",
        "nattools ipv6 and diagnose ask servers over IPv6, which ask back.",
        "Where it is not known: a nattools serve that has IPv6 (--server HOST) would settle most of it.",
    ),
)  # fmt: skip
