"""What is not known of a NAT's behaviour and why, and how it compares with what the RFCs require."""

from __future__ import annotations

SENTENCES = {
    # why a finding is unknown, and what would settle it
    "nothing-answered": "Nothing answered.",
    "servers-refused": "The server {server} refused: {detail}. Another one would settle it (--server HOST).",
    "answers-doubted": (
        "What the servers say of this machine's address cannot be true: another server would settle it "
        "(--server HOST)."
    ),
    "gap": "{reason:capital}. It takes {settle}.",
    "reachable-no-server": "No server answered over any transport.",
    "reachable-no-route": "A router on the way says that it has no route ({detail}); that may change.",
    "reachable-maybe-loss": "None of {copies} copies was answered; more would tell filtering from loss.",
    "reachable-no-tcp-server": (
        "No server answered over TCP; one that is known to support it, such as nattools serve, would settle "
        "it."
    ),
    "address-disputed": "The servers disagree about this machine's address: a third server would settle it.",
    "mapping-few-ports": (
        "Most servers saw the same port, but this NAT has so few that they may be the same by chance."
    ),
    "mapping-inconsistent": (
        "Some ports were mapped alike for all destinations, others were not. Another run would settle it."
    ),
    "mapping-differs-by-address": (
        "It differs between addresses; whether it also differs between ports of one address was not seen."
    ),
    "mapping-addresses-disputed": (
        "The servers do not agree about this machine's external address ({addresses:list})."
    ),
    "mapping-one-address": "It is the same for two ports of one address; no second address answered.",
    "mapping-one-destination": "Fewer than two destinations answered one local port.",
    "mapping-settle": (
        "Answers from two addresses of one server, each on two ports, would settle it: nattools serve."
    ),
    "filtering-ports-open": "Other ports of a known address get in; other addresses were not tried.",
    "filtering-addresses-closed": (
        "Other addresses are filtered; other ports of a known address were not tried."
    ),
    "filtering-settle": "More copies, or a nattools serve with two addresses, would settle it.",
    "filtering-maybe-loss": (
        "Silence after {copies} copies may be loss on this path: more copies would settle it."
    ),
    "filtering-server-unproven": (
        "Nothing came from the server's other address, which may be its own fault: a nattools serve with two "
        "addresses, or a second server that supports RFC 5780, would settle it."
    ),
    "filtering-no-udp-server": (
        "No server here can answer from another address (RFC 5780): run nattools serve on a machine with two "
        "addresses, or name a server that can with --server."
    ),
    "filtering-no-tcp-server": "It takes a server that connects back: nattools serve.",
    "hairpinning-no-nat": "There is no NAT to hairpin packets.",
    "hairpinning-not-tested": "It was not tested.",
    "hairpinning-maybe-loss": "Nothing came back; more copies would tell it from loss.",
    "hairpinning-maybe-filtered": (
        "Nothing came back, but this NAT's filter may have dropped it: two hosts behind it would settle it."
    ),
    "allocation-few-ports": "{seen} external ports were seen; it takes {needed} or more to tell.",
    "allocation-ports-close": (
        "The ports lie close together: sequential, or from a small block. More ports would tell."
    ),
    "lifetime-udp-only": "It is measured over UDP only.",
    "lifetime-ask": "nattools nat --lifetime measures it; that takes as long as the mapping lives.",
    "lifetime-inconclusive": "No test was conclusive on this path.",
    "lifetime-shorter": "Shorter than {expired_s:seconds}; no shorter time was tried.",
    "lifetime-at-least": "At least {alive_s:seconds}; longer was not tried.",
    "layers-no-router": "No router on the path answered.",
    "layers-ambiguous": "The routers on the path do not show how many of them translate.",
    "layers-settle": (
        "Packets with a small TTL, and a server that answers from another address, would settle it."
    ),
    # requirements of RFC 4787, RFC 5382 and RFC 5508
    "not-measured": "Not measured.",
    "no-nat": "There is no NAT.",
    "nat-unknown": "Whether there is a NAT is not known.",
    "mapping-not-known": "Not known.",
    "needs-two-hosts": "It takes two hosts behind the NAT.",
    "needs-overlapping-network": "It takes a second network with the same addresses.",
    "needs-gateway-traffic": "It takes traffic of the protocols that gateways inspect.",
    "needs-icmp-error": "It takes an ICMP error sent on purpose; there is no probe for it yet.",
    "no-probe": "There is no probe for it yet.",
    "mapping-varies": "The external port depends on the destination.",
    "mapping-stable": "All destinations see the same external port.",
    "addresses-several": "Several external addresses were seen: {addresses:list}.",
    "addresses-paired": "{ports} internal ports all had the external address {address}.",
    "addresses-in-turn": (
        "The external address may have changed during the measurement ({addresses:list}): answers from "
        "before and after cannot be compared."
    ),
    "addresses-in-turn-settle": "Measuring again would settle it.",
    "ports-too-few": "Too few internal ports were seen.",
    "port-overloaded": "{external} was given to {ports} internal ports.",
    "parity-changed": "Even ports became odd, or odd ports even.",
    "parity-kept": "All ports kept their parity.",
    "parity-few-ports": "Too few ports were seen to tell it from chance.",
    "mapping-survived": "A mapping survived {idle_s:seconds} of silence.",
    "mapping-expired": "No mapping survived {idle_s:seconds} of silence.",
    "lifetime-between": "Between {alive_s:seconds} and {expired_s:seconds}.",
    "refresh-untested": "Whether traffic that goes out keeps a mapping alive was not tested.",
    "refresh-outbound": "Outbound packets kept the mapping alive.",
    "refresh-not-outbound": "Outbound packets did not keep the mapping alive.",
    "filtering-is": "Filtering is {filtering}.",
    "hairpinning-none": "Packets to the machine's own external address do not come back.",
    "hairpinning-source-unseen": "Packets come back; their source was not seen.",
    "hairpinning-external-source": "Packets come back with the sender's external address.",
    "hairpinning-internal-source": "Packets come back with the sender's internal address.",
    "quoted-checksum-translated": (
        "An ICMP error about a datagram quotes it with the checksum that the NAT gave it, and the outside "
        "port can be worked out from that."
    ),
    "quoted-checksum-silent": "No router beyond the NAT reported what expired there.",
    "port-moved": "A port moved while others stayed: two flows collided, or a server is wrong.",
    "nothing-changed": "Nothing changed during the measurement, which proves nothing.",
    "simultaneous-open-no-peer": "It takes a peer with two addresses: nattools serve.",
    "simultaneous-open-not-tried": "It was not tried: nattools diagnose tries it.",
    "simultaneous-open-passed": "The server's second address and this machine connected at the same time.",
    "syn-refused": "An unsolicited SYN was refused at once.",
    "syn-dropped": "An unsolicited SYN was met with silence; for how long was not timed.",
    "no-dial-back": "No server connected back.",
    "icmp-translated": "Time Exceeded from beyond the NAT arrived here.",
}
