"""About measuring itself: servers, what could not be asked, second opinions, comparisons."""

from __future__ import annotations

from nattools.wording.explanations.topic import Topic

TOPICS = (
    Topic(
        "hole-punching-tried",
        "Hole punching was tried",
        (
            "punch-worked", "punch-not-tried", "punch-kept-out", "punch-port-missed",
            "punch-ports-missed", "punch-silent", "punch-refused", "punch-failed", "tcp-worked",
            "tcp-kept-out", "tcp-reached", "tcp-not-tried", "tcp-simultaneous-dropped",
            "settle-with-second-address",
        ),
        "A server's second address, to which this machine had sent nothing, played the peer: both sent at "
        "once. If that got in, hole punching works here.",
        "The server told what it sent, and this machine what arrived.",
        "If it failed, see why beside it: the next port was not the predicted one, or nothing gets in at "
        "all.",
    ),
    Topic(
        "birthday",
        "Birthday probes",
        ("birthday-*",),
        "Where a port cannot be predicted, one side opens many ports and the other tries many, until two "
        "meet by chance: as in a group of 23 two people probably share a birthday.",
        "Predicted from how the NAT draws ports, and tried with a server that has two addresses.",
        "Use it when nothing else works: it takes hundreds of the router's sessions for some minutes.",
    ),
    Topic(
        "tcp-ports",
        "TCP from both sides",
        ("tcp-*",),
        "Over TCP both sides can open a connection at the same moment (RFC 9293 3.5), if their NATs let "
        "that pass and the external ports are known.",
        "Servers were asked over TCP which port they see.",
        "Nothing: programs that can use TCP will.",
    ),
    Topic(
        "kinds-of-peers",
        "How this machine connects to each kind of peer",
        ("peer-own-*", "peer-both-random", "peer-tcp-not-measured"),
        "It takes two to connect. For each kind of network that a peer may be behind, the report says by "
        "what.",
        "Predicted from both sides' behaviour; no connection was made.",
        "nattools punch makes one.",
    ),
    Topic(
        "not-known",
        "It could not be measured",
        (
            "gap", "settle-*", "name-server", "name-second-server", "udp-mapping-unknown", "*-settle",
            "servers-refused", "answers-doubted", "reachable-maybe-loss", "mapping-inconsistent",
            "mapping-few-ports", "mapping-differs-by-address", "mapping-one-*", "allocation-*", "layers-*",
            "measure-at-peer", "measure-nat-at-peer", "ts-map-missing",
        ),
        "Unknown is an answer: nattools does not guess. The sentence says what is missing.",
        "Too little came back, or no server here can ask the question.",
        "Do what is named as settling it: mostly a nattools serve with two addresses outside.",
    ),
    Topic(
        "time-over",
        "The time given was over",
        ("time-over", "punch-time-over"),
        "--timeout ended the command before all was asked.",
        "The clock.",
        "Give it more time: what is missing is unknown, not bad.",
    ),
    Topic(
        "network-left",
        "This machine left the network meanwhile",
        ("network-left", "router-silent-meanwhile"),
        "While it was measured this machine lost the address that it was measured from, or the route: the "
        "cable was out, the Wi-Fi was another one, a VPN came or went, or the machine was suspended.",
        "Once a second the own addresses and routes are looked at. No silence counts then, since nobody "
        "knows whose it was; answers do.",
        "Run it again.",
    ),
    Topic(
        "server-faults",
        "A server was silent or did something odd",
        ("server-*",),
        "What a server says is not believed where it cannot be true, where others say otherwise, or where "
        "it does not do what it claims.",
        "Where its answers truly came from, and what they said, held against what it claims and against "
        "others.",
        "Name another server (--server). If it is your own: nattools serve does it right.",
    ),
    Topic(
        "second-opinion",
        "Another program says something else",
        ("opinion-*",),
        "--cross-check asks pystun3 or miniupnpc the same. Where they disagree with nattools, the reason "
        "is named if it is known.",
        "Both ran at the same time, on the same network.",
        "Look at the observations: they are what was sent and seen.",
    ),
    Topic(
        "differences",
        "What changed between two reports",
        ("diff-*",),
        "`report diff A B` tells what changed and what that means; what varies from run to run is left "
        "out.",
        "The findings of both reports, compared.",
        "Look at the first line: a new NAT, a port that is no longer opened, or loss explain the rest.",
    ),
)  # fmt: skip
