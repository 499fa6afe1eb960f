"""What the fields of a report are called that `report diff` compares, by their path in the report."""

from __future__ import annotations

SECTIONS = {
    "ipv6": "IPv6",
    "pwnat": "pwnat",
    "lan": "Local network",
    "libp2p": "libp2p",
    "tailscale": "Tailscale",
}
FIELDS = {
    "ipv6.capable": "an address and a route",
    "ipv6.works": "answers come back",
    "ipv6.reachable.udp": "UDP gets in to a fresh port",
    "ipv6.reachable.tcp": "TCP gets in to a fresh port",
    "ipv6.reachable.icmp": "echo requests get in",
    "ipv6.inbound.udp": "what becomes of UDP from outside",
    "ipv6.inbound.tcp": "what becomes of TCP from outside",
    "ipv6.dropped_at": "who stops what comes from outside",
    "ipv6.punched": "hole punching lets a packet in",
    "ipv6.translation": "translation of addresses",
    "ipv6.nat64.dns64": "DNS64",
    "ipv6.nat64.clat": "CLAT on this machine",
    "ipv6.nat64.works": "NAT64 works",
    "ipv6.path_mtu.ipv4.black_hole": "large IPv4 packets vanish without a word",
    "ipv6.path_mtu.ipv6.black_hole": "large IPv6 packets vanish without a word",
    "ipv6.fragments.ipv4.outbound": "IPv4 fragments pass out",
    "ipv6.fragments.ipv4.inbound": "IPv4 fragments pass in",
    "ipv6.fragments.ipv6.outbound": "IPv6 fragments pass out",
    "ipv6.fragments.ipv6.inbound": "IPv6 fragments pass in",
    "ipv6.extension_headers.outbound": "IPv6 extension headers pass out",
    "ipv6.extension_headers.inbound": "IPv6 extension headers pass in",
    "ipv6.dns.aaaa_answers": "names have IPv6 addresses",
    "ipv6.dns.over_ipv6": "a name server is reached over IPv6",
    "ipv6.pinhole.protocol": "protocol of the pinhole",
    "ipv6.pinhole.verified_inbound": "the pinhole is open from outside",
    "ipv6.pinhole.dropped_at": "who stops what comes by the pinhole",
    "pwnat.connected": "connected",
    "pwnat.path": "path",
    "pwnat.transport": "transport",
    "pwnat.strategy": "strategy",
    "pwnat.secured_by": "encryption",
    "pwnat.relay.kind": "kind of relay",
    "pwnat.mtu.up.black_hole": "large packets to the peer vanish without a word",
    "pwnat.mtu.down.black_hole": "large packets from the peer vanish without a word",
    "pwnat.role": "role",
    "pwnat.port_read": "outside ports read from quoted checksums",
    "pwnat.listener": "this network as the listener's",
    "pwnat.caller": "this network as the caller's",
    "lan.unicast": "packets to one machine arrive",
    "lan.broadcast": "broadcasts arrive",
    "lan.multicast": "multicast arrives",
    "lan.multicast4": "multicast over IPv4 arrives",
    "lan.multicast6": "multicast over IPv6 arrives",
    "lan.isolated": "its machines are kept apart",
    "lan.proven": "another machine has proved it",
    "lan.multicast_lasts": "multicast still arrives after minutes",
    "lan.mdns.works": "mDNS works",
    "lan.yggdrasil.ready": "ready for Yggdrasil",
    "lan.batman.ready": "ready for batman-adv",
    "lan.qaul.ready": "ready for qaul",
    "lan.syncthing.ready": "ready for Syncthing",
    "lan.casting.ready": "ready for casting",
    "libp2p.names": "names of libp2p peers (TXT records)",
    "libp2p.relay_reserved": "a relay gave a reservation",
    "libp2p.dcutr": "upgrade to a direct connection (DCUtR)",
}


def name(path: str) -> str:
    """For `lan.mdns.works`: "Local network, mDNS works". A field that has no name here is called by its own,
    without the marks of a program."""
    section, _, rest = path.partition(".")
    field = FIELDS.get(path) or rest.replace(".", ", ").replace("_", " ")
    title = SECTIONS.get(section, section.replace("_", " "))
    return f"{title}, {field}" if field else title
