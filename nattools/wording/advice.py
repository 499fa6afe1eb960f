"""The first lines of a diagnosis, warnings, faults of servers, and second opinions."""

from __future__ import annotations

SENTENCES = {
    # can this machine be reached?
    "reachable-directly": "This machine can be reached directly.",
    "reachable-by-mapping": "This machine can be reached directly, through a port that your router opens.",
    "reachable-by-punching": "This machine can be reached directly, by hole punching.",
    "reachable-over-tcp": "UDP does not get out of this network; peers can be reached directly over TCP.",
    "reachable-by-relay": "This machine can be reached only through a relay.",
    "reachable-unknown": "Whether this machine can be reached could not be measured.",
    "offline": "No server answered: this machine seems to be offline, or everything is blocked.",
    "behind-portal": "No server answered: a captive portal keeps this machine from the internet.",
    "ended-without-link": "This machine is connected to no network.",
    "ended-without-address": "This machine has no address: nobody on its network gave it one.",
    "ended-without-route": "This machine has no way to the internet.",
    "ended-without-names": "No server's name could be looked up (DNS).",
    "ended-other-family": "No server that was named has an address that can be asked from here.",
    "ended-refused": (
        "No server answered; connections were refused, by the server's machine or by a firewall."
    ),
    "ended-halted": (
        "No server answered: connections were made, but a proxy, a firewall or the server itself gave no "
        "STUN answer on them."
    ),
    "ended-at-own-firewall": "This machine's own firewall lets nothing out.",
    "nothing-asked": "Nothing was measured: no server was asked.",
    # the best way
    "best-pinhole": "An IPv6 pinhole by {protocols:protocols}: every peer with IPv6 can connect",
    "best-mapping": "A port mapping by {protocols:protocols}: every peer can connect",
    "best-direct": "Direct {families:and}: peers connect to your address",
    "best-udp-punch": "UDP hole punching: possible with {reached} of {kinds} kinds of peers",
    "best-tcp-punch": "TCP: peers connect to your external port once you have opened it",
    "best-tcp": "TCP: possible with {reached} of {kinds} kinds of peers; a relay for the others",
    "best-tcp-all": "TCP: possible with all {kinds} kinds of peers",
    "best-relay": "A relay over TCP or TLS",
    "best-relay-measured": "The relay {uri} over {transport:upper}: {rtt_ms:ms} there and back",
    "best-offline": "None known: check the connection",
    "best-unknown": "None known: see what would settle it",
    # what to do
    "keep-port": "To keep a port open for a program: nattools map keep PORT.",
    "listen-on-given-port": (
        "Let the program listen on the external port that nattools map keep prints: the router does not "
        "change the port number of incoming packets."
    ),
    "allow-udp-here": (
        "Let UDP out in this machine's own firewall. If it is a VPN's kill switch, connect the VPN."
    ),
    "let-udp-out": "Ask whoever runs this network to let UDP out.",
    "name-server": "For a full diagnosis run nattools serve on a machine outside, and name it with --server.",
    "name-second-server": (
        "To settle what is not known, ask a second server as well: nattools diagnose --server {server} "
        "--server {second}."
    ),
    "prove-mappings": (
        "Your router makes port mappings; nattools serve outside would verify them: --server HOST."
    ),
    "enable-mappings": ("Enable UPnP, NAT-PMP or PCP in your router's settings, or forward a port there."),
    "enable-mappings-at": (
        "Enable UPnP, NAT-PMP or PCP in your router's settings (http://{router}), or forward a port there."
    ),
    "bridge-one-router": "Two routers translate, one behind the other: set one of them to bridge mode.",
    "enable-mappings-then": (
        "Then enable UPnP, NAT-PMP or PCP in the settings of the other one, or forward a port there."
    ),
    "ask-vpn": (
        "Only those who run the VPN ({interface}) can forward a port here. To measure your own network, "
        "choose another interface with --interface."
    ),
    "use-ipv6": "Use IPv6: this network has IPv4 only by translation.",
    "publish-port": (
        "This runs in a container, behind the NAT of the machine that it is on: publish the port there "
        "(docker run -p), or let it use that machine's network (--network host)."
    ),
    "mirror-networking": (
        "This runs in WSL, behind a NAT of Windows ({router:or its own}): set networkingMode=mirrored in "
        ".wslconfig, then measure again."
    ),
    "windows-shares": (
        "The router here ({router}) is a Windows machine that shares its connection: forward the port in the "
        "settings of its sharing, or connect to the network that it is on."
    ),
    "enable-pinholes": (
        "If the router can open ports of its IPv6 firewall by {protocol:protocol}, enable that in its "
        "settings."
    ),
    "open-security-group": (
        "Let the port in where your cloud has its firewall (security group, network rules), and give this "
        "machine a public address of its own if it has none."
    ),
    "phone-forwards-nothing": "This network is a phone's hotspot, which forwards no ports: use IPv6.",
    "address-per-peer": (
        "Your router shows each peer one of its addresses: a rule that binds this machine to one uplink, a "
        "port mapping or IPv6 helps most."
    ),
    "port-per-peer": "Your router uses a different port for each peer: a port mapping or IPv6 helps most.",
    "port-set": (
        "Your provider shares the external address by port sets (MAP-E or MAP-T): you can forward only ports "
        "of your own set, such as {first} to {last}."
    ),
    "connect-network": "Connect this machine to a network: is the cable in, is Wi-Fi on?",
    "get-address": (
        "Disconnect from the network and connect again. If that does not help, restart the router: it gives "
        "out the addresses (DHCP)."
    ),
    "check-names": "Check this machine's name servers (DNS), and how the servers' names are spelled.",
    "name-other-family": "Name a server that has an address of the other IP version: --server HOST.",
    "name-by-address": "To measure without them, name a server by its address: --server ADDRESS.",
    "open-own-firewall": (
        "If it is a VPN's kill switch, connect the VPN or switch that off; otherwise check the firewall's "
        "rules for outgoing packets (nft list ruleset)."
    ),
    "no-default-route": "There is no default route: connect to a network first.",
    "log-in-at-portal": "Open {location:or any web page} in a browser, log in there, and run this again.",
    "check-cable": "Check the cable or the wireless network, and whether a web page opens.",
    "check-port": (
        "Check that the server listens at that port and over TCP; if it does, a firewall or proxy of this "
        "network is in the way: try another network, or another server with --server HOST."
    ),
    "try-other-server": ("If it does, name a server that is known to work: nattools diagnose --server HOST."),
    # where a measurement ended
    "ending-no-link": "No network interface is up ({interfaces:list}).",
    "ending-no-interface": "There is no network interface but the loopback.",
    "ending-no-address": "No interface that is up ({interfaces:list}) has more than a link-local address.",
    "ending-no-route": "There is no {families:or} route to the internet.",
    "ending-other-family": "Only {families:or} leads to {servers:list}.",
    "ending-not-asked": "{families:and} was not asked for.",
    "ending-no-name": "The name {name} was looked up: {detail:or no address}.",
    "ending-no-names": "{names:list} could not be looked up either.",
    "ending-portal": "A captive portal answered in the name of {asked}.",
    "ending-forbidden": "The system refused to send anything.",
    "ending-no-answer": "There was no answer over UDP or TCP from {servers:list}.",
    "ending-refused": "Refused: {ports:list}.",
    "ending-cut": "Connections were cut when something was asked: {ports:list}.",
    "ending-no-tls": "Connected, but no TLS: {ports:list} ({detail}).",
    "ending-not-stun": "What answered is not a STUN server: {ports:list}.",
    "ending-mute": "Connected, but no answer came: {ports:list}.",
    "ending-prohibited": "{routers:list} said that it is prohibited.",
    "ending-got-as-far": "The farthest router that answered is {address} (hop {hops}).",
    "ending-no-hop": "No router on the way answered either.",
    # warnings
    "through-nat64": (
        "IPv4 goes through a NAT64 here: what is said about IPv4 is about the NAT64 and its address."
    ),
    "ipv4-by-nat64": (
        "This machine has only IPv6: IPv4 goes through its network's NAT64 ({prefix}), and what is said "
        "about IPv4 is about that."
    ),
    "nat64-of-router-leads-nowhere": (
        "The router advertises a NAT64 with the prefix {prefix}, but no server answered through it: tell "
        "whoever runs this network."
    ),
    "nat64-of-dns-leads-nowhere": (
        "The name server makes addresses for a NAT64 with the prefix {prefix}, but no server answered "
        "through it: tell whoever runs this network."
    ),
    "nat64-unasked": (
        "No way to IPv4 was found. Whether the router advertises a NAT64 could not be asked: run this as "
        "root, or with CAP_NET_RAW."
    ),
    "nat64-not-named": (
        "This network has a NAT64 ({prefix}) that the name server does not know of, so other programs have "
        "no IPv4 here: use the network's own name server."
    ),
    "portal-answers": (
        "{asked}, an address that nobody can have, answers on this network: a captive portal answers for "
        "everybody."
    ),
    "portal-takes-tcp": (
        "{asked}, an address that nobody can have, answers on this network: a captive portal answers every "
        "connection until you have logged in. UDP gets out past it, and was measured."
    ),
    "portal-names": "Names resolve to {asked} here, where a web page answers: probably a captive portal.",
    "network-left": (
        "This machine left the network while it was measured ({address} was gone, or the route from it): "
        "what was silent then is not counted. Run it again."
    ),
    "time-over": "The time given was over before all questions were answered; what is missing is unknown.",
    "vpn-measured": (
        "The measurement went through {interface}, which is a VPN: everything said here is about the VPN. "
        "Choose another interface with --interface."
    ),
    "vpn-carries": (
        "IPv{family} went through {interface}, which is a VPN: everything said here about IPv{family} is "
        "about the VPN."
    ),
    "vpn-passed-by": (
        "IPv6 does not go through {interface}, the VPN, but by {other}: servers reached over IPv6 see this "
        "machine's own address."
    ),
    "router-off-path": (
        "The router that makes port mappings is not on the path: this machine's traffic leaves by "
        "{interface}."
    ),
    "default-routes-spread": (
        "This machine spreads what it sends over {interfaces:list}, each destination by one of them; "
        "{measured:or one of them} alone was measured. Choose another with --interface."
    ),
    "several-default-routes": (
        "There are several default routes ({interfaces:list}); {measured:or one of them} was measured. Choose"
        " another with --interface."
    ),
    "mappings-not-reached": "Mappings on this router alone do not reach you from the internet.",
    "mapping-left": (
        "The router has not confirmed that the {protocol:protocol} mapping of {transport} {internal} is "
        "gone. nattools map delete --mine tries again."
    ),
    "mapping-left-until": (
        "The router has not confirmed that the {protocol:protocol} mapping of {transport} {internal} is "
        "gone; it expires within {lifetime_s:about}. nattools map delete --mine tries again."
    ),
    "mapping-left-not-asked": (
        "The {protocol:protocol} mapping of {transport} {internal} was left on the router: {detail:or it "
        "could not be asked}."
    ),
    "mapping-may-exist": (
        "The {protocol:protocol} mapping of {transport} {internal} may still exist: removing it failed. "
        "nattools map delete --mine tries again."
    ),
    "mapping-never-shown": (
        "The router may have a {protocol:protocol} mapping of {transport} {internal} at an external port "
        "that it does not show. Look at its own list of port mappings."
    ),
    "mapping-not-listed": (
        "The router confirmed the {protocol:protocol} mapping of {transport} {internal}, but its table does "
        "not list it: only the test from outside counts."
    ),
    "mapping-listed-for-ever": (
        "The {protocol:protocol} mapping of {transport} {internal} was requested for {lifetime_s:about}; "
        "according to the router's table it stays until it is deleted."
    ),
    "mapping-listed-otherwise": (
        "The {protocol:protocol} mapping of {transport} {internal} was requested for {lifetime_s:about}; "
        "according to the router's table it lasts {listed_s:about}."
    ),
    "mapping-listed-elsewhere": (
        "The router's table lists the {protocol:protocol} mapping of {transport} {internal} at external "
        "port {port}, not at the one that it had confirmed."
    ),
    "external-address-outvoted": (
        "The server {server} says that the external address is {address}; the others say {majority}. Its "
        "answer was ignored."
    ),
    "external-addresses-several": (
        "Several external addresses were seen over {transport:upper}: {addresses:list}. The NAT has more "
        "than one, or this network has several uplinks."
    ),
    "external-addresses-in-turn": (
        "Over {transport:upper} several external addresses were seen, one after the other "
        "({addresses:list}): it may have changed during the measurement. Answers with different ones were "
        "not compared."
    ),
    "external-addresses-disputed": (
        "Several external addresses were seen over {transport:upper}, each by another server: "
        "{addresses:list}. Either this network has several uplinks, or a server is wrong."
    ),
    "external-address-changed": (
        "The external address changed during the measurement ({addresses:list}): the router restarted, or "
        "the provider gave another one. This report is about the time since."
    ),
    # faults of servers
    "server-silent": "no answer",
    "server-refused": "it refused: {detail}",
    "server-cut": "it, or a firewall on the way, cut the connection when it was asked",
    "server-connection-refused": "it, or a firewall on the way, refused the connection",
    "server-port-closed": "its port is closed: nothing listens there",
    "server-unreachable": "it cannot be reached: {detail}",
    "server-prohibited": "a firewall rejects packets to it: {detail}",
    "server-unresolved": "{detail}",
    "server-tls": "no TLS with it: {detail}",
    "server-dtls": "STUN over DTLS is not supported: leave out ?transport=udp to ask over TLS",
    "server-origin-differs": (
        "The server {server} says that it answers from {origin}, but its answer came from {source}."
    ),
    "server-same-address": (
        "The server {server} was asked to answer from its other address and answered from {source}."
    ),
    "server-same-port": (
        "The server {server} was asked to answer from its other port and answered from {source}."
    ),
    "server-no-change": (
        "The server {server} names another address but answers no CHANGE-REQUEST from there."
    ),
    "server-overloaded": (
        "The server {server} lost {lost:percent} of what was sent to it, and others did not: it is "
        "overloaded, or far. Name others with --server."
    ),
    "server-names-itself": "The server {server} names its own address as its other address.",
    "server-impossible-address": (
        "The server {server} reports your address as {address}, {why:kind}: its answer was ignored."
    ),
    "server-mapped-ipv6": "The server {server} writes your IPv4 address as IPv6: {address}.",
    "addresses-rewritten": (
        "Something on the way rewrites addresses within packets (an ALG): the server sent {address}, and "
        "{rewritten} arrived. It breaks other programs: switch it off in the router."
    ),
    "server-not-stun": "The server {server} sent an invalid STUN answer: {detail:or malformed}.",
    "server-filtering-unused": "The filtering tests of {server} were not used.",
    # second opinions
    "opinion-missing": "It gave no verdict: {detail:or it said nothing}.",
    "opinion-multicast-only": (
        "A known limit: it searches only by multicast and waits a fixed time; nattools asks the router "
        "itself too."
    ),
    "opinion-unexplained": "The reason is not known; the observations are in the report.",
    "opinion-unexplained-server": (
        "The reason is not known; both rest on the same server, and the observations are in the report."
    ),
    "opinion-own-unknown": "nattools could not measure enough to have a verdict of its own.",
    "opinion-any-answer": (
        "A known fault: it counts any answer as one from the server's other address, and this server "
        "answered from the address that was asked, or was not to be trusted."
    ),
    "opinion-own-address": (
        "A known fault: it does not know this machine's own address (it binds to any), so it takes a "
        "machine without NAT for one behind a NAT."
    ),
    "opinion-one-loss": (
        "This path loses packets ({loss:percent}): it decides on few packets, and a lost one changes its "
        "verdict."
    ),
}
