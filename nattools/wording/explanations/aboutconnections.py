"""About connections: relays, `punch`, `pwnat`, and the programs that people run."""

from __future__ import annotations

from nattools.wording.explanations.topic import Topic

TOPICS = (
    Topic(
        "relay-credentials",
        "The relay wants credentials",
        (
            "relay-credentials-*", "relay-give-credentials", "relay-check-credentials",
            "relay-renew-credentials", "relay-challenge", "relay-check-clock", "relay-error-438",
            "relay-error-441", "relay-renew*",
        ),
        "TURN relays let in only who has a name and a password (RFC 8489 9.2), often ones that expire.",
        "The relay's own answer to the request for an address.",
        "Give them with --turn-user NAME:PASSWORD or --turn-secret; renew those that have expired; see "
        "that both clocks are right.",
    ),
    Topic(
        "relay-unreachable",
        "The relay cannot be reached",
        (
            "relay-unresolved", "relay-check-name", "relay-silent-*", "relay-try-tcp", "relay-try-443",
            "relay-port-closed", "relay-check-port", "relay-unreachable", "relay-prohibited",
            "relay-ask-network", "relay-closed", "relay-no-answer", "relay-derp-silent*",
        ),
        "The relay's name, address or port leads nowhere from here.",
        "Each step on the way was tried and timed: name, connection, TLS, login, address.",
        "Check the name; try TCP, or TLS on port 443; ask whoever runs the network or the relay.",
    ),
    Topic(
        "relay-tls",
        "TLS with the relay or server failed",
        (
            "relay-not-tls", "relay-check-tls-port", "relay-certificate", "relay-check-certificate",
            "ts-control-not-tls", "ts-control-certificate*", "ts-exempt-from-inspection",
        ),
        "The certificate is not for that name or nobody trusts it, or there is no TLS at that port. A "
        "firewall that opens TLS (inspection) looks like this too.",
        "The handshake, with the system's own certificates.",
        "Check name and port; let the firewall leave this name alone.",
        {
            "FortiGate": "The SSL inspection profile: certificate inspection, or exempt the name.",
            "Palo Alto": "Policies > Decryption: a rule that does not decrypt the name.",
            "pfSense": "The squid package: splice the name.",
            "OPNsense": "Services > Web Proxy: SSL no bump sites.",
        },
    ),
    Topic(
        "relaying",
        "Relays",
        ("relay-*",),
        "A relay passes everything on between two machines that cannot connect directly: TURN (RFC 8656) "
        "or DERP.",
        "An address was asked for, and packets were sent through it to this machine itself.",
        "Do what the sentence beside it says, or use another relay: nattools relay ranks them.",
    ),
    Topic(
        "meeting",
        "How two sides meet",
        ("mailbox-*", "token-*", "tokens-*", "text"),
        "The two sides of a punch tell each other their addresses through the mailbox of a nattools "
        "serve, under a code that the server cannot read (SPAKE2), or by tokens that people copy.",
        "What the mailbox and the peer said, or did not say.",
        "See that both have the same code, fresh and typed right, and reach the same server.",
    ),
    Topic(
        "plan",
        "The plan of a connection",
        ("plan-*", "step-*", "low-ports-*", "nothing-in-common", "direct-failed"),
        "Before anything is sent, both sides' networks say what is worth trying, in which order, with "
        "what odds.",
        "Both sides' measurements.",
        "Nothing: what would improve the odds is said with it.",
    ),
    Topic(
        "connection-lost",
        "A connection broke off, or was mended",
        (
            "path-*", "address-changed", "connection-broke", "peer-lost-path", "peer-quiet",
            "looking-for-path", "link-*", "direct-search*", "direct-found", "next-attempt",
        ),
        "A path ended: a NAT forgot it, an address changed, a side went away. nattools looks for another.",
        "Keep-alives that were not answered, and what the system told.",
        "Nothing, while it looks for another path; with --keep it goes on for as long as it takes.",
    ),
    Topic(
        "programs",
        "Will the programs that people run connect here?",
        (
            "ts-*", "peer-is-direct", "peer-expired", "renew-key", "peer-offline", "peer-idle",
            "ping-peer", "peer-way-unknown", "peer-by-peer-relay", "peer-relayed*", "own-network-unknown",
            "peer-moves", "only-blocked-left", "one-of-these-left", "peer-client-down",
            "peer-without-handshake", "look-at-handshake", "peer-direct-within", "peer-trying",
            "peer-unreached", "client-*", "webrtc-*", "announce*", "try-announced",
        ),
        "What was found about the network, in the words of that program (Tailscale and its like): which "
        "peers it reaches directly, and why others go through a relay.",
        "The network's behaviour, and what the program itself tells.",
        "Follow the advice given with it; a port that the router opens, or IPv6, helps most.",
    ),
    Topic(
        "pwnat",
        "Connecting without a third machine (pwnat)",
        ("pwnat-*", "by-knock"),
        "The listener sends a packet to where nobody answers; the caller makes an ICMP error about that "
        "packet, and the listener's NAT lets it in as a router's.",
        "What was sent, and which errors came.",
        "Where a NAT stops such errors, nattools punch with a server connects.",
    ),
    Topic(
        "punch",
        "What happened while two machines were connected",
        (),
        "One step of the conversation with the network or the peer, or its outcome.",
        "The timeline says when, and on which side.",
        "Nothing by itself: the first lines of the report say what would help.",
    ),
    Topic(
        "finding",
        "A finding",
        (),
        "The sentence says what was found. Its values stand beside the code in the report's JSON.",
        "The report names the observations that it rests on: -vv shows them.",
        "The advice stands with it, or in the report's first lines.",
    ),
)  # fmt: skip
