"""Why a technique works or fails here, what came of trying it, and what the user can do."""

from __future__ import annotations

_EASY = "peers without a NAT, and those whose NAT does not filter by port (full cone, address-restricted)"

SENTENCES = {
    # direct-ipv4, direct-ipv6
    "addresses-unknown": "This machine's addresses are not known.",
    "no-address": "This machine has no IPv{family} address.",
    "enable-ipv6": "Your provider may offer IPv6: enable it in the router.",
    "address-private": "{address} is a private address: nobody outside can send to it.",
    "address-translated": (
        "From outside, {address} is seen as {external:or another address}: something in between translates "
        "it."
    ),
    "address-private-translated": (
        "{address} is a private address; from outside you are {external:or another address}."
    ),
    "address-shared-translated": (
        "{address} is an address of your provider's own network; from outside you are "
        "{external:or another address}."
    ),
    "address-in-vpn": (
        "{address} is this machine's address in the VPN ({interface}); from outside you are "
        "{external:or another address}."
    ),
    "address-over-ipv6-translated": (
        "{address} stands for IPv4 on a network that has only IPv6 (464XLAT or DS-Lite); from outside you "
        "are {external:or another address}."
    ),
    "forward-port": (
        "Ask your router for a port mapping (UPnP, NAT-PMP or PCP), or forward a port in its settings."
    ),
    "ask-for-own-address": (
        "Your provider shares one address among customers: ask for a public one, or use IPv6."
    ),
    "direct-not-measured": "IPv{family} was not measured from outside.",
    "direct-open": "The address is public, and unsolicited packets arrive.",
    "direct-forwarded": (
        "Whatever comes to {external:or your outside address} is passed on to this machine (a 1:1 NAT, or "
        "a DMZ): unsolicited {open:and} packets arrive."
    ),
    "direct-forwarded-stopped": (
        "What comes to {external:or your outside address} is passed on to this machine (a 1:1 NAT, or a "
        "DMZ), but its own firewall stops unsolicited packets."
    ),
    "direct-filtered-too": "{transport} is filtered.",
    "direct-untested-too": "{transport} was not tested.",
    "direct-half-filtered": (
        "The address is public, and unsolicited {open} packets arrive; {filtered} is filtered."
    ),
    "direct-half-tested": (
        "The address is public, and unsolicited {open} packets arrive; {untested} was not tested from "
        "outside."
    ),
    "direct-filtered": "The address is public, but a firewall drops unsolicited {filtered:and}.",
    "direct-stopped-host": (
        "The address is public, but this machine's own firewall stops unsolicited {filtered:and}."
    ),
    "direct-stopped-router": (
        "The address is public, but the router's firewall stops unsolicited {filtered:and}."
    ),
    "direct-stopped-beyond": (
        "The address is public, but a firewall beyond the router stops unsolicited {filtered:and}."
    ),
    "direct-stopped-unknown": (
        "The address is public, but a firewall somewhere stops unsolicited {filtered:and}."
    ),
    "direct-filtered-half-tested": (
        "The address is public, but a firewall drops unsolicited {filtered:and}; {untested} was not tested."
    ),
    "direct-untested": "The address is public, but nobody tested it from outside.",
    "open-firewall": "Open the port in the firewall: on this machine, on the router, or with your provider.",
    "settle-with-serve": "A nattools serve outside would settle it: nattools diagnose --server HOST.",
    # upnp-igd, nat-pmp, pcp
    "no-router": "There is no router with an address on this network to ask.",
    "router-not-asked": "The router was not asked: nattools map probe asks it.",
    "no-ipv4-to-map": "It maps only IPv4 ports, and this network has no IPv4.",
    "router-silent": "Nothing answered.",
    "router-silent-meanwhile": (
        "Nothing answered, but this machine left the network meanwhile. Run it again to settle it."
    ),
    "router-closed": "The router rejects the protocol's packets.",
    "router-refuses": "{name}: {meaning}",
    "router-answers-oddly": "Something answered, but not in valid {protocol:protocol}: {detail}.",
    "router-advice": "{advice}",
    "enable-protocol": "Enable {protocol:protocol} in your router's settings, if it supports it.",
    "enable-protocol-at": (
        "Enable {protocol:protocol} in your router's settings (http://{router}), if it supports it."
    ),
    "mapping-not-tried": "The router supports it; no mapping was tried: nattools map probe tries one.",
    "no-mapping-tried": "No mapping was tried.",
    "router-forbids-port": (
        "The router refuses the port over UPnP; asking by this protocol as well could hang the router."
    ),
    "allow-port": "Allow it in the router's settings.",
    "mapping-cannot-help": "It is enabled, but cannot help here.",
    "mapping-cannot-help-error": "It is enabled, but cannot help here ({error} {name}).",
    "no-mapping": "No mapping: {meaning}",
    "no-mapping-error": "No mapping ({error} {name}): {meaning}",
    "mapping-proven": "The router opened a port for everybody over {transports:and}; verified from outside.",
    "pinhole-proven": "The router opened an IPv6 pinhole over {transports:and}; verified from outside.",
    "mapping-not-over": "Not over {transports:and}.",
    "pinhole-not-over": "No pinhole over {transports:and}.",
    "mapping-untested-over": "Not tested over {transports:and}.",
    "pinhole-untested-over": "The pinhole over {transports:and} was not tested.",
    "mapping-off-path": (
        "The router makes mappings, but replies would not go back through it: this machine's traffic leaves "
        "by {interfaces:list}."
    ),
    "mapping-without-effect": "The router confirmed the mapping, but nothing arrives from outside.",
    "mapping-false": "The router confirmed {external:or the port}, but nothing arrives there from outside.",
    "gateway-off-path": (
        "{hosts:list} answers as an internet gateway, but is not the router that packets leave by: a mapping "
        "there has no effect."
    ),
    "mapping-arrives-elsewhere": (
        "Packets to {external} arrive at this machine's port {port}, not at {internal}: the router assigns "
        "a port but does not translate it, as VPN providers do."
    ),
    "listen-on-port": "Let the program listen on port {port}.",
    "mapping-stopped-here": (
        "The router opened {external:or the port}, and packets to it reach this machine, whose own firewall "
        "drops them."
    ),
    "mapping-stopped-at-router": (
        "The router confirmed {external:or the port} but forwards no packets that arrive there, although it "
        "does for another mapping."
    ),
    "allow-in-own-firewall": (
        "Allow the program's port in this machine's firewall: ufw allow PORT, firewall-cmd --add-port=PORT, "
        "or nft on Linux; on Windows allow the program in Windows Security."
    ),
    "check-router": (
        "Nothing reaches this machine: look for a firewall in the router's settings, and for a second NAT "
        "beyond it (nattools diagnose shows it). Otherwise the router's answer is wrong: restart it, or "
        "forward the port by hand."
    ),
    "check-firewall": (
        "Look for a firewall on this machine and in the router's settings; if there is none, the router's "
        "answer is wrong: restart it, or forward the port by hand."
    ),
    "mapping-not-enough": "The router makes mappings, but they do not reach the internet.",
    "mapping-unverified": "The router confirmed {external:or a port}; nobody tested it from outside.",
    "mapping-check-failed": (
        "The router confirmed {external:or a port}; the server that was to test it failed to."
    ),
    "settle-mapping-with-serve": "A nattools serve outside would settle it: --server HOST.",
    "second-nat-of-provider": (
        "The router's own external address, {address}, is not public: your provider runs a second NAT beyond "
        "it."
    ),
    "second-nat": (
        "The router's own external address, {address}, is not public: there is a second NAT beyond it."
    ),
    "second-nat-on-path": (
        "The router calls the outside address its own, but there is a second NAT beyond it: the routers on "
        "the path show that."
    ),
    "router-address-differs": (
        "The router's external address is {address}, but from outside you are {external}."
    ),
    "nat-before-pcp-router": "A NAT stands between this machine and the router that speaks PCP.",
    "router-without-public-address": (
        "The router itself has no public address: there is a second NAT beyond it."
    ),
    "bridge-or-forward-twice": (
        "If both routers are yours, set one to bridge mode or forward the port on the outer one as well; "
        "otherwise ask your provider for a public IPv4 address, or use IPv6."
    ),
    # udp-punch
    "udp-not-measured": "UDP was not measured.",
    "udp-blocked": "UDP does not get out of this network.",
    "udp-forbidden": "This machine's own firewall blocks outgoing UDP: the system refuses to send it.",
    "use-tcp-relay": "Use a relay over TCP or TLS, or another network.",
    "settle-two-addresses": (
        "Two addresses to ask would settle it: nattools serve, or --server with one that supports RFC 5780."
    ),
    "udp-mapping-unknown": "How the NAT maps ports is not known.",
    "port-untranslated": "There is no NAT: your port is the same for everybody.",
    "port-stable": "Your NAT uses one port for all peers.",
    "contacted-peers-get-in": "Any peer that you have sent to gets in.",
    "random-peer-needs-birthday": (
        "A peer whose port changes at random takes many tries (see UDP birthday probes)."
    ),
    "port-kept": (
        "Your NAT uses a different port for each peer, but keeps the internal port, so the next one can be "
        "predicted."
    ),
    "address-chosen": (
        "Your NAT keeps the internal port and shows each peer one of several addresses: all of them have to "
        "be tried, and two such networks may miss each other."
    ),
    "port-counted": (
        "Your NAT uses a different port for each peer, but counts in steps of {step}, so the next one can be "
        "predicted."
    ),
    "prediction-may-miss": "It fails when others take that port first.",
    "port-from-block": (
        "Your NAT uses a different port for each peer, from a block of {size}: without guessing, it works "
        "only with peers without a NAT, and those whose NAT does not filter by port (full cone, "
        "address-restricted)."
    ),
    "port-random": f"Your NAT uses a different random port for each peer: it works only with {_EASY}.",
    "port-unpredictable": (
        "Your NAT uses a different port for each peer; how it chooses them is not known. "
        f"It works at least with {_EASY}."
    ),
    "see-birthday": "For the others see UDP birthday probes.",
    "forward-or-ipv6": "A port mapping on your router (UPnP, NAT-PMP, PCP) or IPv6 would reach all.",
    "next-port-missed": f"Your NAT's next port was not the predicted one: it works only with {_EASY}.",
    "next-port-missed-stable": "Your NAT changed the port while it was tested.",
    "nothing-gets-in": "Something here lets nothing in, not even from peers that you have sent to.",
    # what came of trying it
    "punch-worked": "Tested with the server's second address: it got in.",
    "punch-not-tried": "It was not tried: {detail}.",
    "punch-kept-out": (
        "The server's second address ({peer}) sent {packets} packets here, and none of them got in."
    ),
    "punch-port-missed": "Port {port} was predicted, but it was {seen}.",
    "punch-ports-missed": "Port {first} to {last} was predicted, but it was {seen}.",
    "punch-silent": "It was tried {tries} times without success; that may be bad luck.",
    "punch-refused": "It was tried {tries} times and refused; that may be bad luck.",
    "punch-failed": "Testing it failed: {detail}.",
    # udp-birthday
    "birthday-allocation-unknown": (
        "Your port changes with each peer; how is not known. More fresh ports would settle it."
    ),
    "birthday-random": (
        "With peers whose port stays the same: {odds:percent} in {duration_s:.1f} s. Not practical with "
        "peers whose port is random too."
    ),
    "birthday-block": "With peers whose port stays the same: {odds:percent} in {duration_s:.1f} s.",
    "birthday-towards-random": (
        "With peers whose port changes at random: {odds:percent} in {duration_s:.1f} s."
    ),
    "birthday-needless-predictable": (
        "Not needed where your next port is predicted; not practical with peers whose port is random."
    ),
    "birthday-needless-open": "Not needed here: your side lets in any peer that you have sent to.",
    "birthday-sessions": (
        "Use it when nothing else works: the router keeps its many sessions for some minutes."
    ),
    "birthday-predicted-sessions": (
        "Predicted, not tested: it would take hundreds of the router's sessions."
    ),
    "birthday-predicted-no-server": (
        "Predicted, not tested: that takes a nattools serve with two addresses."
    ),
    "birthday-again": "Another run would show more of your NAT's ports, and may settle it.",
    "birthday-worked": (
        "Tested with the server's second address: of up to {planned:,} packets to ports picked at random, "
        "number {sent:,} got in ({expected:odds} expected)."
    ),
    "birthday-failed": "Predicted; testing it failed: {detail}.",
    "birthday-no-open-port": (
        "Predicted; it was tested, but afterwards none of this machine's ports was known to be open."
    ),
    "birthday-kept-out": (
        "The server's second address ({peer}) sent to {ports} ports that were open to it, and nothing got in."
    ),
    "birthday-few-open": (
        "Tested: the server's second address ({peer}) sent {packets:,} packets to ports picked at random, "
        "and none got in; only {open} of {checked} ports proved open: the router seems to keep only a few."
    ),
    "birthday-unexplained": (
        "Tested: the server's second address ({peer}) sent {packets:,} packets to ports picked at random, "
        "and none got in. That is not bad luck: the NAT must allocate ports some other way."
    ),
    "birthday-bad-luck": (
        "Tested: the server's second address ({peer}) sent {packets:,} packets to ports picked at random, "
        "and none got in; the odds of such bad luck are up to {chance:odds}."
    ),
    "birthday-fewer-sockets": "Only {detail}.",
    "birthday-ended-early": "It ended early: {detail}.",
    # tcp-punch
    "tcp-not-measured": (
        "TCP was not measured. A server that speaks STUN over TCP would tell: nattools serve."
    ),
    "tcp-blocked": "TCP to other ports does not get out of this network.",
    "udp-ports-restricted": (
        "UDP leaves this network only to ports of services ({ports:list}), and peers use any port."
    ),
    "tcp-ports-restricted": "TCP leaves this network only to certain ports, and peers use any port.",
    "use-relay-443": "Use a relay on port 443.",
    "tcp-open": "Anybody can connect to your external TCP port once it is open.",
    "tcp-port-stable": "Your external TCP port is the same for everybody.",
    "tcp-port-predicted": (
        "Your NAT uses a different TCP port for each peer, but the next one can be predicted."
    ),
    "tcp-port-varies": "Your NAT uses a different TCP port for each peer; it would have to be predicted.",
    "tcp-mapping-unknown": "How the NAT maps TCP ports is not known.",
    "tcp-worked": "Tested with the server's second address: it worked, with both connecting at once.",
    "tcp-kept-out": (
        "The server's second address ({peer}) connected {tries} times while this machine did, and never got "
        "in."
    ),
    "tcp-simultaneous-dropped": "Your router or firewall does not let two sides connect at the same time.",
    "tcp-reached": (
        "It was tried, but this machine's SYN reached the server's listening port, which proves nothing."
    ),
    "tcp-not-tried": "Simultaneous open was not tried.",
    "settle-with-second-address": "nattools diagnose tries it, with a nattools serve that has two addresses.",
    # kinds of peers
    "peer-mapped-udp": "It sends to the port that your router opens for everybody.",
    "peer-mapped-tcp": "Over TCP: it connects to the port that your router opens for everybody.",
    "peer-own-mapping-unknown": "Not known, because this network's own mapping behaviour is not.",
    "peer-own-allocation-unknown": (
        "How this network's NAT allocates ports is not known; more fresh ports would settle it."
    ),
    "peer-both-random": (
        "Both external ports change, one of them at random among all: it would take minutes and many packets."
    ),
    "peer-tcp-not-measured": "UDP does not pass on one side, and this network's TCP was not measured.",
    "peer-nothing-passes": "Neither UDP nor TCP gets out.",
    "peer-tcp-ports": "TCP leaves this network only to certain ports ({ports}); a relay there works.",
    "peer-udp-blocked": "UDP does not pass on one side; a relay over TCP or TLS does.",
}
