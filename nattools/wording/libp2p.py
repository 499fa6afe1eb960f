"""What libp2p peers saw, and what follows for a libp2p node here."""

from __future__ import annotations

SENTENCES = {
    # peers
    "peer-unresolved": "Its name cannot be looked up: {detail}.",
    "peer-other-family": (
        "This machine has no way to IPv{family} addresses, or only the other family was asked for."
    ),
    "peer-name-blocked": (
        "Its name leads to this machine itself ({address}): a name server here blocks it, as ad blockers do, "
        "or the hosts file does."
    ),
    "peer-id-alone": (
        "This is the id of a peer without an address: ipfs id on its machine tells where it listens, or ipfs "
        "routing findpeer."
    ),
    "peer-without-port": "It has no port: write /tcp/4001 behind it, or the port where that peer listens.",
    "peer-unsupported": (
        "Addresses of this kind ({detail:or none that is known}) are not supported: only TCP is. Name its "
        "TCP address to have it asked."
    ),
    "peer-web-socket-port": (
        "{remote} accepts connections. Browsers connect there by WebSocket, which is not supported here: who "
        "it is was not asked."
    ),
    "peer-silent": "Nothing answers at {remote}: it is down, or TCP to that port is blocked.",
    "peer-port-closed": "Nothing listens at {remote}.",
    "peer-unreachable": "{remote} cannot be reached: {detail:or there is no route}.",
    "peer-prohibited": "A firewall rejects packets to {remote}.",
    "peer-closed": "It closed the connection before it identified itself.",
    "peer-not-libp2p": "What answers there is not this peer: {detail}.",
    "peer-failed": "No connection was made: {detail:or no reason is known}.",
    "peer-says-nothing": "It accepts connections but does not identify itself.",
    "peer-quic-answers": "Its QUIC port answers; who it is was not asked, since only TCP is supported here.",
    "peer-quic-silent": "Its QUIC port does not answer, which proves nothing: not every server does.",
    "libp2p-names-lost": (
        "No libp2p name could be looked up (TXT records of _dnsaddr names): a node that has only names finds "
        "no first peers here. Ask another name server, or give it addresses that begin with /ip4 or /dns4."
    ),
    # addresses
    "libp2p-without-autonat": (
        "None of these peers has AutoNAT v2, with which a node asks others to connect to it. Name one that "
        "has, or a nattools serve --libp2p."
    ),
    "libp2p-not-seen": (
        "No peer with AutoNAT v2 says from where it sees this machine, so there is no address to try. Name "
        "another peer, or a nattools serve --libp2p."
    ),
    "address-reached": (
        "The peer {by} connected to it from {origin}, to which this machine had sent nothing: so can others."
    ),
    "address-not-reached": "Tried by {by:and}, who could not connect.",
    "address-false-positive": (
        "{known} could connect, since this machine had sent to it; {by:and} could not. AutoNAT takes this "
        "address for reachable (a false positive), but others cannot connect."
    ),
    "address-only-known": (
        "{known} could connect, but this machine had sent to it before, and a NAT that filters by address "
        "lets in the addresses that it knows."
    ),
    "settle-other-address": (
        "A second peer with AutoNAT v2 would tell, or nattools serve --libp2p with two addresses: it dials "
        "from the other one."
    ),
    "address-claimed": "{by} says that it connected, but nothing arrived here.",
    "address-refused": "{by} does not dial this address.",
    "address-rejected": "{by} did not dial: it was asked too often, or is busy.",
    "address-tried-once": "One attempt to connect failed, which may have been chance.",
    "address-unanswered": "Nobody who was asked to connect to it answered.",
    # relays
    "place-refused": "It refuses a reservation: it has none left, or none for this address.",
    "place-denied": "It gives reservations only to peers that it knows.",
    "place-limit": (
        "It refuses a reservation: it has given as many as it allows, or was asked too often from here."
    ),
    "place-status": "It refuses: {status}.",
    "place-silent": "It did not answer the request for a reservation.",
    "place-carries-nothing": (
        "It gave a reservation, but no connection was made through it ({status:or silence})."
    ),
    # connections through a relay, and what became of them
    "call-no-place": "It has no reservation at that relay: it is not running, or has left.",
    "call-not-taken": "The relay could not reach it, or it did not accept the connection.",
    "call-limit": "The relay has as many connections as it allows.",
    "call-denied": "The relay does not allow that.",
    "call-failed": "No connection was made through the relay ({status}).",
    "upgrade-dialled": "One end just connected to the other: {remote}.",
    "upgrade-met": "Both called each other at once, in attempt {attempts}: {remote}.",
    "upgrade-failed": "Both called each other {attempts} times, and none got through.",
    "upgrade-no-addresses": "It names no address over TCP at which it is seen.",
    "upgrade-not-spoken": "It does not speak DCUtR, or did not answer in time.",
    "upgrade-silent": "It did not begin an upgrade.",
    # whom a node here meets directly
    "dcutr-not-needed": "Others connect to a port here that is in use, so no upgrade is needed.",
    "dcutr-possible": (
        "Your network shows one port to everybody (over {over:upper}), which DCUtR needs: a relayed "
        "connection becomes direct with {direct} of {kinds} kinds of peers."
    ),
    "dcutr-birthday-only": (
        "Your NAT uses a different port for each peer, and libp2p does not guess ports: direct with {direct} "
        "of {kinds} kinds of peers, relayed with the rest. nattools punch guesses them."
    ),
    "dcutr-tcp-varies": (
        "UDP is blocked, and over TCP each peer sees a different port: direct with {direct} of {kinds} kinds "
        "of peers."
    ),
    "dcutr-nothing-passes": "Neither UDP nor TCP passes.",
    "dcutr-unknown": "The network was not measured: no server answered.",
    "dcutr-mapping-unknown": "Whether all peers see the same port of yours is not known.",
    "upgrade-they-are-open": "Anybody can connect to them.",
    "upgrade-we-are-open": "Anybody can connect to you.",
    "upgrade-both-keep-ports": "Both show one port to everybody, and open it by connecting at once.",
    "upgrade-they-know-our-address": "They let in any port of an address that they have sent to.",
    "upgrade-we-know-their-address": "Your NAT lets in any port of an address that you have sent to.",
    "upgrade-port-not-guessed": (
        "One side's port differs for each peer, and the other lets in only known ports."
    ),
    "upgrade-no-port-guessed": "Neither side's port is known in advance.",
    "upgrade-udp-blocked": "Without UDP there is only TCP, and neither side can be connected to.",
    "upgrade-nothing-passes": "Neither UDP nor TCP passes.",
    "upgrade-tcp-not-measured": "TCP was not measured.",
    "upgrade-own-mapping-unknown": "Your own mapping is not known.",
    "upgrade-own-filtering-unknown": "Your own filtering is not known.",
    # the verdict
    "libp2p-reached": "Peers connect directly to {address}.",
    "libp2p-mapped": "Peers connect through a port that your router opens, as go-libp2p and kubo ask it to.",
    "libp2p-open": "Peers connect directly to a port that is in use.",
    "libp2p-upgraded": (
        "Through a relay first, then directly with {direct} of {kinds} kinds of peers (DCUtR)."
    ),
    "libp2p-relayed": (
        "Direct with {direct} of {kinds} kinds of peers; with the rest only through relays, which end a "
        "connection after 2 minutes or 128 KiB unless they are your own."
    ),
    "libp2p-unknown": "Whether peers can connect is not known: how the NAT maps ports was not measured.",
}
