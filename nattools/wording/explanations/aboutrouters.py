"""About routers and NATs: what they do, and where it is set."""

from __future__ import annotations

from nattools.wording.explanations.topic import Product, Topic

_FORWARDING: dict[Product, str] = {
    "pfSense": "Firewall > NAT > Port Forward, with its associated filter rule.",
    "OPNsense": "Firewall > NAT > Port Forward (Destination NAT), with a filter rule.",
    "FRITZ!Box": "Internet > Permit Access > Port Sharing: add a device and its ports.",
    "OpenWrt": "Network > Firewall > Port Forwards.",
    "FortiGate": "Policy & Objects > Virtual IPs, with port forwarding, and a policy from wan to it.",
    "Palo Alto": "Policies > NAT: destination NAT, and a security policy that allows it.",
    "MikroTik": "/ip firewall nat add chain=dstnat action=dst-nat, and an accept rule in chain=forward.",
    "the provider": "Behind a NAT of the provider nothing can be forwarded: ask for a public address.",
}
TOPICS = (
    Topic(
        "port-mapping-off",
        "The router opens no ports when asked",
        (
            "router-silent", "router-closed", "enable-protocol*", "enable-mappings*", "forward-port",
            "no-router", "router-not-asked", "no-ipv4-to-map", "no-mapping-tried", "mapping-not-tried",
            "forward-or-ipv6", "enable-pinholes", "keep-port", "prove-mappings",
        ),
        "Programs can ask a router to open a port for them, by UPnP IGD, NAT-PMP or PCP. Where it does, "
        "everybody outside can connect. Many routers have this switched off.",
        "nattools map probe and diagnose ask each router of this machine by each protocol: UPnP by "
        "multicast and at the router itself, NAT-PMP and PCP at UDP port 5351. Silence, and a closed "
        "port, count as no.",
        "Switch it on in the router's settings, or forward the port there by hand. Leave it off where you "
        "do not trust the programs on your network: any of them could open a port.",
        {
            "pfSense": "Services > UPnP & NAT-PMP: enable, with your LAN as interface.",
            "OPNsense": "Install the plugin os-upnp, then Services > UPnP IGD & PCP.",
            "FRITZ!Box": (
                "Internet > Permit Access > Port Sharing: edit the device, and permit independent port "
                "sharing for it."
            ),
            "OpenWrt": "Install luci-app-upnp (miniupnpd), then Services > UPnP IGD & PCP.",
            "FortiGate": (
                "It has neither UPnP IGD nor NAT-PMP or PCP for clients: forward the port (a virtual IP)."
            ),
            "Palo Alto": "It has none of them: forward the port (destination NAT).",
            "MikroTik": (
                "/ip upnp set enabled=yes, and /ip upnp interfaces for inside and outside; /ip nat-pmp "
                "likewise."
            ),
            "the provider": (
                "A NAT of the provider rarely answers, and hardly ever maps: ask for a public address, or "
                "use IPv6."
            ),
        },
    ),
    Topic(
        "port-mapping-refused",
        "The router refused to open the port",
        (
            "router-refuses", "no-mapping", "no-mapping-error", "router-forbids-port", "allow-port",
            "mapping-cannot-help*", "router-advice", "router-answers-oddly",
        ),
        "The router speaks the protocol and said no, with an error code of that protocol. `nattools "
        "explain` knows these too: upnp-igd-718, nat-pmp-2, pcp-8.",
        "The router's own answer to the request, as the observations have it.",
        "Do what the code asks for: another port, a permission in the settings, a restart. Else forward "
        "the port by hand.",
        _FORWARDING,
    ),
    Topic(
        "port-mapping-proven",
        "The router opened a port, and it was tried from outside",
        (
            "mapping-proven", "pinhole-proven", "mapping-not-over", "pinhole-not-over",
            "mapping-untested-over", "pinhole-untested-over", "peer-mapped-*", "best-mapping",
            "best-pinhole", "reachable-by-mapping",
        ),
        "Everybody can connect to the port that the router opens, over the transports named.",
        "A port was mapped, a nattools serve outside sent to it, and that arrived here. Then it was "
        "removed.",
        "Nothing. `nattools map keep PORT` keeps a port open for a program.",
    ),
    Topic(
        "port-mapping-untrue",
        "The router said yes, but that is not known to be true",
        (
            "mapping-without-effect", "mapping-false", "mapping-off-path", "mapping-unverified",
            "mapping-check-failed", "settle-mapping-with-serve",
        ),
        "A router may confirm a mapping that has no effect: it is not the router on the way, there is a "
        "second NAT, or its answer is wrong.",
        "A server outside sent to the mapped port and nothing arrived, or there was no server to try it.",
        "Name a nattools serve outside. If nothing arrives, look for a second NAT and for firewalls on "
        "the way.",
    ),
    Topic(
        "gateway-off-path",
        "Another machine answers as a gateway",
        ("gateway-off-path",),
        "Access points that once were routers, modems and second routers answer to UPnP too. Packets leave "
        "by the router of the default route, and only a mapping there brings anything in.",
        "The search for gateways was answered from another address than the default route's, and no mapping "
        "was proven from outside.",
        "Switch UPnP off on the other machine, or set it to be an access point; enable it on the router. If "
        "both are the same router, name it: `nattools map add PORT --gateway ADDRESS`.",
    ),
    Topic(
        "port-mapping-same-number",
        "A mapping that arrives at the own port of the same number",
        ("mapping-arrives-elsewhere", "listen-on-port", "listen-on-given-port"),
        "VPN providers give a port by NAT-PMP and pass on what comes for it without changing the number: it "
        "does not matter which inside port was asked for.",
        "A server outside sent to the mapped port. Nothing arrived at the inside port asked for, but "
        "at the one of the outside number.",
        "Let the program listen on that port. The provider may give another one next time.",
    ),
    Topic(
        "port-mapping-stopped",
        "A port is open at the router, and what comes there is stopped",
        ("mapping-stopped-*", "check-router", "allow-in-own-firewall", "direct-forwarded-stopped"),
        "A mapping only leads to this machine. Its own firewall decides too, and drops what no rule lets in; "
        "and some routers confirm a mapping whose packets their own firewall drops.",
        "A server outside sent to the mapped port. Where it may, this machine looked at its interface before "
        "its own firewall; else it tried whether a packet that passes no router opens the way.",
        "Allow the program's port in this machine's firewall, or in the router's where the packets did not "
        "come to this machine.",
    ),
    Topic(
        "port-mapping-left",
        "A mapping that may still be on the router",
        (
            "mapping-left*",
            "mapping-listed-*",
            "mapping-may-exist",
            "mapping-never-shown",
            "mapping-not-listed",
        ),
        "nattools removes what it made. Here the router did not say that it is gone, or its table says "
        "something else than what was asked for.",
        "The router's answers, and its own table where it shows one.",
        "`nattools map delete --mine` tries again; a mapping with a lifetime ends by itself.",
    ),
    Topic(
        "second-nat",
        "A second NAT beyond the router",
        (
            "second-nat", "second-nat-on-path", "router-address-differs", "nat-before-pcp-router",
            "router-without-public-address", "bridge-*", "mappings-not-reached", "mapping-not-enough",
        ),
        "Two routers translate, one behind the other. A port that the inner one opens is not open at the "
        "outer one, so nobody gets in.",
        "The router claims an address that is not public, or not the one that servers see; or hops with "
        "internal addresses lie beyond it; or an opener with a small TTL did not open the way.",
        "Make one of them a bridge or an access point, or forward the port on both.",
        {
            "pfSense": "Put the modem before it in bridge mode, so that WAN gets the public address.",
            "OPNsense": "Put the modem before it in bridge mode, so that WAN gets the public address.",
            "FRITZ!Box": (
                "Use it as an access point (Home Network > Network: IP client), or make it the exposed "
                "host of the router before it."
            ),
            "OpenWrt": (
                "Bridge WAN into LAN and switch its DHCP server off, or put the modem in bridge mode."
            ),
            "FortiGate": "Use transparent mode, or give wan the public address.",
            "Palo Alto": "Use a virtual wire, or give the outside interface the public address.",
            "MikroTik": (
                "/interface bridge: put the uplink and the inside into one bridge; no masquerade rule."
            ),
            "the provider": "If the outer NAT is the provider's, see the topic about that.",
        },
    ),
    Topic(
        "provider-nat",
        "The provider shares the address among customers (CGNAT)",
        ("second-nat-of-provider", "ask-for-own-address", "port-set", "address-shared-translated"),
        "IPv4 addresses are scarce: many providers put customers behind a NAT of their own (RFC 6888), or "
        "give each a set of ports of one address (MAP-E, MAP-T). No setting at home opens a port there.",
        "The router has an address of 100.64.0.0/10 or a private one, a hop beyond it has, or all outside "
        "ports fit one pattern.",
        "Ask the provider for a public IPv4 address (some give one on request), use IPv6, or a server "
        "outside.",
        {
            "the provider": "Ask for a public IPv4 address, or that PCP is enabled; IPv6 is not affected.",
        },
    ),
    Topic(
        "port-per-peer",
        "A different external port for each peer (symmetric NAT)",
        (
            "port-per-peer", "address-per-peer", "address-chosen", "port-kept", "port-counted",
            "port-from-block", "port-random",
            "port-unpredictable", "prediction-may-miss", "next-port-missed*", "mapping-varies",
            "port-moved", "see-birthday", "own-moves", "both-move", "ts-hard", "ts-varies-after-all",
        ),
        "Each peer sees this machine at another port (RFC 4787: address-dependent, or "
        "address-and-port-dependent mapping). What a server saw is of no use to a peer, so a direct "
        "connection takes prediction or luck.",
        "One own port asked several addresses and ports of servers, which saw different external ports.",
        "Let the router keep one port for all peers, where it can; open a port; or use IPv6.",
        {
            "pfSense": "Firewall > NAT > Outbound: hybrid, and a rule for this machine with Static Port.",
            "OPNsense": "Firewall > NAT > Outbound: hybrid, and a rule for this machine with Static-port.",
            "FRITZ!Box": "It keeps one port for all peers by itself: the NAT found here is another one.",
            "OpenWrt": "Leave out random and fully-random from masquerading; the kernel then keeps ports.",
            "FortiGate": (
                "An IP pool of the type fixed-port-range with permit-any-host (FortiOS 7.6), or fixed "
                "port in the policy."
            ),
            "Palo Alto": (
                "set system setting persistent-dipp enable yes, then restart (PAN-OS 10.1.7 and later)."
            ),
            "MikroTik": (
                "/ip firewall nat: action=endpoint-independent-nat for UDP (RouterOS 7), beside "
                "masquerade."
            ),
            "the provider": (
                "RFC 6888 REQ-1 asks the provider's NAT for one port for all peers: tell them."
            ),
        },
    ),
    Topic(
        "one-port",
        "One external port for all peers",
        (
            "port-stable", "port-untranslated", "contacted-peers-get-in", "random-peer-needs-birthday",
            "mapping-stable", "ts-easy",
        ),
        "All peers see this machine at the same port, so what a server saw can be told to a peer: hole "
        "punching works with most peers.",
        "One own port asked several addresses and ports of servers, which all saw the same external port.",
        "Nothing.",
    ),
    Topic(
        "filtering",
        "Who gets in",
        ("filtering-*", "nothing-gets-in", "ts-filtering*", "ts-firewalled", "ts-strict", "no-dial-back"),
        "A NAT or firewall lets in everybody through a port that is in use, or only addresses, or only "
        "addresses and ports, that this machine has sent to (RFC 4787 5).",
        "A server was asked to answer from its other port, and from its other address. An answer proves "
        "that it gets in; silence counts only where the loss on this path cannot explain it.",
        "Hole punching copes with all of them. To host something, open a port.",
        _FORWARDING,
    ),
    Topic(
        "firewall",
        "A firewall drops what comes in",
        (
            "direct-filtered*", "direct-half-*", "direct-stopped-*", "open-firewall", "check-firewall",
            "open-security-group", "direct-untested-too", "syn-dropped", "syn-refused", "ts-open-port",
        ),
        "The address is public, but somebody between the internet and the program drops packets that "
        "nobody here asked for: this machine's own firewall, the router's, the cloud's or the provider's.",
        "A server outside sent to a port that was open here, and nothing arrived.",
        "Allow the port at each of these places.",
        {
            "pfSense": "Firewall > Rules > WAN: pass to the address and port.",
            "OPNsense": "Firewall > Rules > WAN: pass to the address and port.",
            "FRITZ!Box": "Internet > Permit Access > Port Sharing, also for IPv6 (there it is a pinhole).",
            "OpenWrt": "Network > Firewall > Traffic Rules: accept from wan, forward to the machine.",
            "FortiGate": "Policy & Objects > Firewall Policy from wan to the inside.",
            "Palo Alto": "Policies > Security: allow from the outside zone.",
            "MikroTik": "/ip firewall filter (and /ipv6): accept in chain=forward, before the drop rule.",
            "the provider": "Some filter ports such as 25 or 445, or all that comes in: ask.",
        },
    ),
    Topic(
        "hairpinning",
        "Using the external address from inside",
        ("hairpinning-*", "ts-hairpin*", "ts-no-hairpin", "plan-no-hairpinning"),
        "Two machines behind one NAT may know each other by the external address alone. A NAT that sends "
        "such packets back in hairpins (RFC 4787 REQ-9).",
        "Packets were sent from one own port to the external address of another own port.",
        "Use the internal addresses, or names that lead to them (split DNS).",
        {
            "pfSense": "System > Advanced > Firewall & NAT: NAT Reflection.",
            "OPNsense": "Firewall > Settings > Advanced: Reflection.",
            "FRITZ!Box": "It hairpins by itself.",
            "OpenWrt": "Port Forwards: NAT Loopback, on for each.",
            "FortiGate": "A policy from inside to the virtual IP, with the virtual IP's interface any.",
            "Palo Alto": "A U-turn NAT rule.",
            "MikroTik": "A masquerade rule for what goes from inside to inside (hairpin NAT).",
            "the provider": "Nothing to be done: use the inside address.",
        },
    ),
    Topic(
        "lifetime",
        "How long an unused mapping lives",
        ("lifetime-*", "mapping-survived", "mapping-expired", "refresh-*", "ts-lifetime*"),
        "A NAT forgets a mapping over which nothing passes. RFC 4787 REQ-5 asks for at least 2 minutes "
        "over UDP, RFC 5382 REQ-5 for 2 hours and 4 minutes over TCP.",
        "Mappings were left alone for different times, and then a server sent to them.",
        "Let programs send something every 15 to 25 s, or lengthen the time in the router.",
        {
            "pfSense": (
                "System > Advanced > Firewall & NAT: Firewall Optimization, conservative; or UDP timeouts."
            ),
            "OPNsense": "Firewall > Settings > Advanced: Firewall Optimization, conservative.",
            "FRITZ!Box": "It cannot be set.",
            "OpenWrt": "sysctl net.netfilter.nf_conntrack_udp_timeout and _udp_timeout_stream.",
            "FortiGate": "config system session-ttl; the policy's own session-ttl.",
            "Palo Alto": "Device > Setup > Session: the UDP timeout, or the application's own.",
            "MikroTik": "/ip firewall connection tracking set udp-timeout and udp-stream-timeout.",
            "the provider": "It cannot be set: send more often.",
        },
    ),
    Topic(
        "gateway-rewrites",
        "Something on the way rewrites addresses within packets (an ALG)",
        ("addresses-rewritten", "server-mapped-ipv6"),
        "An application-level gateway changes addresses within what programs say, which breaks those that "
        "know about NATs themselves (RFC 4787 REQ-10).",
        "The server's answer holds one address in plain and one masked; they arrived different.",
        "Switch such gateways off (SIP ALG and the like).",
        {
            "pfSense": "It has none; look at the router before it.",
            "OPNsense": "It has none; look at the router before it.",
            "FRITZ!Box": "It cannot be switched off; its own telephony is not affected.",
            "OpenWrt": "Do not load nf_nat_sip and the like.",
            "FortiGate": (
                "config system settings: set default-voip-alg-mode kernel-helper-based, and delete the "
                "SIP session helper."
            ),
            "Palo Alto": "Objects > Applications > sip: disable the ALG.",
            "MikroTik": "/ip firewall service-port disable sip",
            "the provider": "Ask them; else use encryption, which no gateway reads.",
        },
    ),
    Topic(
        "external-addresses",
        "More than one external address",
        (
            "external-address*", "addresses-several", "addresses-paired", "address-disputed",
            "mapping-addresses-disputed", "addresses-in-turn*",
        ),
        "Servers saw this machine at several addresses: the NAT has several (a pool), several ways lead "
        "out, the address changed meanwhile, or a server is wrong.",
        "What each server said of each own port, compared.",
        "With a pool, let the router pair each inside machine with one address (RFC 4787 REQ-2). With "
        "several ways out, choose one with --interface.",
    ),
    Topic(
        "quoted-checksum",
        "A NAT that gives its ports away",
        ("quoted-checksum-*",),
        "Routers quote a datagram that expired. The NAT puts the inside address and port back into the "
        "quote, and should correct the checksum too (RFC 5508 REQ-4 a). Where it does not, the outside "
        "port follows from that, also where ports are drawn at random.",
        "Datagrams with two contents were let expire beyond the NAT, and the checksums in the errors about "
        "them compared with those that they had inside and outside.",
        "As root, nattools pwnat listen uses it: no server has to tell its port. It is no danger to what is "
        "behind the NAT; the router's maker would have to correct it.",
    ),
    Topic(
        "requirements",
        "What the RFCs ask of a NAT",
        (
            "no-nat", "nat-unknown", "mapping-not-known", "needs-*", "no-probe", "ports-too-few",
            "port-overloaded", "parity-*", "nothing-changed", "simultaneous-open-*", "icmp-translated",
            "not-measured",
        ),
        "RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP) say what a good NAT does. A report holds what "
        "was seen against each requirement: met, not met, or untested.",
        "The observations that the requirement names.",
        "A requirement that is not met is worth reporting to the router's maker.",
    ),
)  # fmt: skip
