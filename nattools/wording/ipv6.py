"""IPv6: what it is good for here, what is wrong with it, and what to do."""

from __future__ import annotations

SENTENCES = {
    # what the answer is
    "ipv6-none": "This machine has no IPv6 access to the internet.",
    "ipv6-dead": "This machine has IPv6, but it does not work.",
    "ipv6-untried": "This machine has IPv6; whether it works is not known.",
    "ipv6-reached": "IPv6 works, and others can reach this machine over it.",
    "ipv6-half-reached": "IPv6 works, and others can reach this machine over {open}, but not over {closed}.",
    "ipv6-closed": "IPv6 works, but nobody outside can open a connection to this machine over it.",
    "ipv6-closed-unknown": "IPv6 works; whether others can reach this machine over it is not known.",
    # capable, works
    "ipv6-capable": "This machine has an IPv6 address and a route.",
    "ipv6-not-capable": (
        "This machine lacks an IPv6 address that is valid outside its own network, or a route."
    ),
    "ipv6-capable-unknown": "Whether this machine has an IPv6 address and a route is not known.",
    "ipv6-works": "Servers answer over IPv6.",
    "ipv6-works-not": "No server answers over IPv6.",
    "ipv6-works-unknown": "Whether servers answer over IPv6 is not known.",
    # inbound
    "ipv6-in-open": "Unsolicited {transport} packets arrive.",
    "ipv6-in-filtered": "Unsolicited {transport} packets vanish: a firewall drops them.",
    "ipv6-in-rejected": "Unsolicited {transport} packets are refused by a firewall.",
    "ipv6-in-prohibited": "Unsolicited {transport} packets are refused as administratively prohibited.",
    "ipv6-in-unknown": "Whether unsolicited {transport} packets arrive is not known.",
    "ipv6-ping-open": "A ping from outside is answered.",
    "ipv6-ping-closed": "A ping from outside is not answered.",
    "ipv6-ping-unknown": "Whether a ping from outside is answered is not known.",
    "ipv6-stopped-host": "This machine's own firewall stops incoming packets.",
    "ipv6-stopped-router": "The router next to this machine stops incoming packets.",
    "ipv6-stopped-beyond": "Incoming packets are stopped beyond the next router.",
    "ipv6-stopped-unknown": "Who stops incoming packets is not known.",
    "ipv6-pinhole-true": "The router opens ports on request (a pinhole), verified from outside.",
    "ipv6-pinhole-false": "The router says that it opens ports on request, but nothing arrives through them.",
    "ipv6-pinhole-stopped": (
        "The router opens ports on request (a pinhole), but this machine's own firewall stops the packets."
    ),
    "ipv6-pinhole-unknown": "The router says that it opens ports on request; nobody outside has tried them.",
    "ipv6-punched": "A punched hole lets packets in (UDP hole punching).",
    # translation
    "ipv6-translation-none": "Others see this machine's own address.",
    "ipv6-translation-nat66": "Others see another address: the router translates IPv6 (NAT66).",
    "ipv6-translation-nptv6": "Others see another prefix: the router translates it (NPTv6).",
    "ipv6-translation-unknown": "Whether others see this machine's own address is not known.",
    "ipv6-nat64-true": "IPv4 is reached by translation from IPv6 (NAT64).",
    "ipv6-nat64-false": "A NAT64 is named here, but it leads nowhere.",
    "ipv6-nat64-unknown": "A NAT64 is named here; whether it leads to IPv4 is not known.",
    # which family
    "ipv6-preferred-6": "A program that tries both families uses IPv6.",
    "ipv6-preferred-4": "A program that tries both families uses IPv4.",
    "ipv6-mtu-hole": "Packets that are too large vanish, and no router says so: a black hole.",
    "ipv6-fragments-open": "Fragments pass, out and in.",
    "ipv6-fragments-none": "Fragments are dropped, out and in.",
    "ipv6-fragments-out": "Fragments pass out, but not in.",
    "ipv6-fragments-in": "Fragments pass in, but not out.",
    "ipv6-fragments-out-alone": "Fragments pass out; whether they pass in is not known.",
    "ipv6-fragments-in-alone": "Fragments pass in; whether they pass out is not known.",
    "ipv6-fragments-not-out": "Fragments do not pass out; whether they pass in is not known.",
    "ipv6-fragments-not-in": "Fragments do not pass in; whether they pass out is not known.",
    "ipv6-headers-open": "Packets with an extension header pass, out and in.",
    "ipv6-headers-none": "Packets with an extension header are dropped, out and in.",
    "ipv6-headers-out": "Packets with an extension header pass out, but not in.",
    "ipv6-headers-in": "Packets with an extension header pass in, but not out.",
    "ipv6-headers-out-alone": "Packets with an extension header pass out; whether they pass in is not known.",
    "ipv6-headers-in-alone": "Packets with an extension header pass in; whether they pass out is not known.",
    "ipv6-headers-not-out": (
        "Packets with an extension header do not pass out; whether they pass in is not known."
    ),
    "ipv6-headers-not-in": (
        "Packets with an extension header do not pass in; whether they pass out is not known."
    ),
    # why something is not known
    "ipv6-not-asked": "It was not asked for. nattools ipv6 without -4 asks.",
    "ipv6-no-server": "No server that was asked has an IPv6 address: name one that has (--server HOST).",
    "ipv6-nobody-answered": (
        "No server answered over IPv6, and none over IPv4 to compare with: another server would settle it "
        "(--server HOST)."
    ),
    "ipv6-no-dial-back": "Nobody outside tried: a nattools serve with IPv6 would (--server HOST).",
    "ipv6-server-cannot-ping": "The server sends no pings: it is too old, or lacks the privilege.",
    "ipv6-maybe-loss": "Nothing arrived, but the path loses packets: another run would settle it.",
    "ipv6-server-denied": "The server did not try: {detail}.",
    "ipv6-form-untried": "It was not tried: {detail}.",
    "ipv6-form-server": (
        "The server did not answer, but it may not accept such packets: a nattools serve would settle it "
        "(--server HOST)."
    ),
    "ipv6-no-look": (
        "Seeing what reaches the interface before the firewall drops it takes root or CAP_NET_RAW."
    ),
    # what is wrong, and what to do
    "ipv6-problem-no-address": "This machine has only local IPv6 addresses, or none.",
    "ipv6-advice-no-address": (
        "Enable IPv6 in the router, or ask your provider for it; some offer it only on request."
    ),
    "ipv6-problem-switched-off": "IPv6 is switched off on this machine.",
    "ipv6-advice-switched-off": (
        "Switch it on: sysctl net.ipv6.conf.all.disable_ipv6=0, and remove ipv6.disable=1 from the kernel's "
        "command line."
    ),
    "ipv6-problem-tentative": "This machine's IPv6 address is not settled yet.",
    "ipv6-advice-tentative": "Try again in some seconds: it is not known yet whether another machine has it.",
    "ipv6-problem-no-route": "This machine has an IPv6 address, but no route to the internet.",
    "ipv6-advice-no-route": (
        "The router does not announce itself: restart it, and allow ICMPv6 router advertisements in this "
        "machine's firewall."
    ),
    "ipv6-problem-no-answer": (
        "This machine has an IPv6 address and a route, but nothing comes back: programs that try IPv6 first "
        "wait for it."
    ),
    "ipv6-advice-no-answer": (
        "Restart the router. If that does not help, tell your provider that IPv6 is announced and does not "
        "work; until then, switch IPv6 off in the router."
    ),
    "ipv6-problem-ula-only": (
        "This machine's IPv6 addresses are local ones (fc00::/7), which nobody outside can answer."
    ),
    "ipv6-advice-ula-only": (
        "The router has no prefix from your provider: enable IPv6 (DHCPv6 prefix delegation) in the router."
    ),
    "ipv6-problem-slow": "IPv6 takes much longer than IPv4 to the same server.",
    "ipv6-advice-slow": (
        "Ask your provider for native IPv6 if it comes by a tunnel, and show them both round trips."
    ),
    "ipv6-problem-black-hole": (
        "Large packets vanish and no router says so: connections begin, and then hang."
    ),
    "ipv6-advice-black-hole": (
        "Set the MTU of the router's uplink to the size that passes, and let ICMPv6 Packet Too Big through "
        "its firewall."
    ),
    "ipv6-problem-dead-prefix": (
        "Packets sent from one of this machine's IPv6 prefixes get no answer, those from another one do: "
        "the router no longer has the prefix (RFC 8978), or packets leave by the wrong router. Programs "
        "that use such an address have to wait."
    ),
    "ipv6-advice-dead-prefix": (
        "Disconnect from the network and connect again, so that the old prefix is given up; if it comes "
        "back, switch off IPv6 in the router that announces it."
    ),
    "ipv6-problem-duplicate-address": (
        "Another machine on the network has this machine's IPv6 address already (duplicate address "
        "detection), so that it is not used."
    ),
    "ipv6-advice-duplicate-address": (
        "Give one of the two another address, or let it make one from a secret (RFC 7217: "
        "net.ipv6.conf.default.addr_gen_mode=3); copies of a virtual machine need a hardware address each."
    ),
    "ipv6-problem-route-blocked": (
        "A route on this machine forbids IPv6 to the internet, as programs for VPNs set it."
    ),
    "ipv6-advice-route-blocked": (
        "Switch off in the VPN program what blocks IPv6, or use a VPN that carries it; ip -6 route shows the "
        "route (unreachable, blackhole or prohibit)."
    ),
    "ipv6-problem-router-silent": (
        "The IPv6 router does not answer on the local network: the route to it may be left from another "
        "network, or something between drops neighbour discovery."
    ),
    "ipv6-advice-router-silent": (
        "Connect to the network again; if that does not help, restart the router, and let ICMPv6 pass in the "
        "switches and access points between."
    ),
    "ipv6-problem-forbidden-here": "This machine's own firewall lets no IPv6 out.",
    "ipv6-advice-forbidden-here": (
        "If it is a VPN's kill switch, use a VPN that carries IPv6, or switch that off; otherwise check the "
        "firewall's rules for outgoing packets (nft list ruleset)."
    ),
    "ipv6-problem-vpn-silent": (
        "IPv6 goes through a VPN, and nothing comes back: programs that try IPv6 first wait for it."
    ),
    "ipv6-advice-vpn-silent": (
        "Use a VPN that carries IPv6, or switch IPv6 off in the VPN's settings; ask its provider whether it "
        "should work."
    ),
    "ipv6-problem-fragments-dropped": (
        "Something on the way drops IPv6 fragments: large DNS answers, IKE and some tunnels fail."
    ),
    "ipv6-advice-fragments-dropped": (
        "Allow fragments in the router's IPv6 firewall (RFC 4890 and RFC 6092 want it); else keep datagrams "
        "below 1,232 bytes, as by the DNS setting edns-buffer-size."
    ),
    "ipv6-problem-two-routers": (
        "More than one router announces IPv6: packets may leave by one that drops the other's addresses."
    ),
    "ipv6-advice-two-routers": (
        "Switch off IPv6 in the router that is not to be used, or connect to one network at a time."
    ),
    "ipv6-problem-teredo": "This machine's IPv6 is Teredo, an obsolete tunnel (RFC 4380).",
    "ipv6-advice-teredo": "Switch Teredo off and use your provider's IPv6.",
    "ipv6-problem-6to4": "This machine's IPv6 is 6to4, an obsolete tunnel (RFC 7526).",
    "ipv6-advice-6to4": "Switch 6to4 off in the router and use your provider's IPv6.",
    "ipv6-problem-filtered": "A firewall stops unsolicited packets, so others cannot open a connection.",
    "ipv6-advice-filtered-host": (
        "Allow the program's port in this machine's firewall (nft, ufw or firewalld on Linux)."
    ),
    "ipv6-advice-filtered-router": (
        "Allow the port for this machine in the router's IPv6 firewall, or switch on UPnP or PCP there."
    ),
    "ipv6-advice-filtered-beyond": (
        "Look in each router on the way for an IPv6 firewall; else ask your provider to let inbound IPv6 "
        "through."
    ),
    "ipv6-advice-filtered-unknown": (
        "Allow the port in this machine's firewall and in the router's IPv6 firewall; else ask your provider."
    ),
    "ipv6-advice-filtered-pinhole": "Programs can have the router open ports: nattools map add PORT.",
    "ipv6-advice-filtered-punch": "Hole punching needs nothing opened: nattools punch.",
    "ipv6-problem-nat66": "The router translates IPv6, so nobody outside can send to this machine.",
    "ipv6-advice-nat66": (
        "Have the router pass on one of your provider's prefixes instead of translating (NAT66 off)."
    ),
    "ipv6-problem-temporary-only": (
        "This machine has only temporary IPv6 addresses: others that know one lose this machine within a "
        "day or so."
    ),
    "ipv6-advice-temporary-only": (
        "To be found by others, enable a stable address as well (RFC 7217: "
        "net.ipv6.conf.default.addr_gen_mode=3)."
    ),
    "ipv6-problem-mac-shown": (
        "An address contains this machine's hardware address: others can recognise it in every network."
    ),
    "ipv6-advice-mac-shown": (
        "Have addresses made from a secret (RFC 7217): net.ipv6.conf.default.addr_gen_mode=3, or "
        "ipv6.addr-gen-mode=stable-privacy in NetworkManager."
    ),
}
