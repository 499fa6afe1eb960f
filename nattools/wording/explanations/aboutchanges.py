"""About what changes: between two reports, and during a watch."""

from __future__ import annotations

from nattools.wording.explanations.topic import Topic

TOPICS = (
    Topic(
        "watch-flow",
        "The NAT ended or changed a mapping that was in use",
        ("watch-flow-*",),
        "A mapping lives as long as packets pass (RFC 4787 4.3). This one did not: the router restarted or "
        "lost its table, has too few sessions, or the provider gave it another address.",
        "One socket asked a server for its external address every 10 s; a new socket was asked beside it.",
        "Connections through this NAT break at such moments: let programs reconnect. Look at the router's "
        "log for the time; renew its firmware; see whether its table of sessions is full.",
    ),
    Topic(
        "watch-server",
        "A server went or came back",
        ("watch-server-*",),
        "One of the servers that are measured with no longer answers, or answers again; others do.",
        "The measurement before and this one.",
        "If it is yours, see that it runs. If nothing else changed, it is not your network.",
    ),
    Topic(
        "watch-woke",
        "The machine slept during a watch",
        ("watch-woke",),
        "The machine was asleep, so nothing was measured and no mapping was kept alive. NATs dropped its "
        "mappings meanwhile, as they should.",
        "A clock that runs during sleep gets ahead of one that does not. What was measured across a sleep "
        "is discarded.",
        "Nothing, or keep the machine from sleeping for as long as you watch.",
    ),
    Topic(
        "watch-resumed",
        "The program was stopped during a watch",
        ("watch-resumed",),
        "The program did not run for a while: it was stopped (Ctrl-Z), or its virtual machine was paused. No "
        "mapping was kept alive meanwhile, and the NAT was right to drop them.",
        "What was due every five seconds was done much later. What was measured across the pause is "
        "discarded.",
        "Nothing.",
    ),
    Topic(
        "watch",
        "A watch",
        ("watch-*",),
        "A watch keeps measuring and reports what has changed.",
        "Each measurement is held against the one before.",
        "Where nothing can be measured, see whether the machine is online.",
    ),
    Topic(
        "diff-network",
        "Measured in another network",
        ("diff-other-network", "diff-router", "diff-interface", "diff-own-address"),
        "Another interface, router or own address: a machine that moved, a VPN, or a router that was "
        "exchanged.",
        "The interface, default router and own address of both reports.",
        "Compare reports of one network, or take the differences as those of two networks.",
    ),
    Topic(
        "diff-address",
        "Another external address",
        ("diff-outside-address", "diff-other-address"),
        "The provider gave the router another address, as many do every day or after a reconnect.",
        "What servers saw, in both reports; not what a pool of addresses shows by chance.",
        "Peers, DNS names and port mappings need the new one: nattools map keep renews mappings by itself.",
    ),
    Topic(
        "diff-figures",
        "Loss or round trips have changed",
        ("diff-loss", "diff-round-trip", "diff-relay-round-trip", "diff-slower", "diff-faster"),
        "More than two measurements of one network would differ by chance.",
        "Losses of all questions that were asked; round trips whose middle halves do not overlap.",
        "Look at Wi-Fi first, then at what else uses the line, then ask the provider.",
    ),
)
