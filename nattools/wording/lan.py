"""What a report says of the local network."""

from __future__ import annotations

SENTENCES = {
    "lan-not-asked": "Nobody asked the machines here.",
    "settle-lan": (
        "nattools lan listens for longer, and on two machines at once it proves what passes between them."
    ),
    "lan-strangers": (
        "{interface} has a public address ({address}): those beside it are other people's machines, and were "
        "not asked."
    ),
    "lan-isolated": "This network keeps its machines apart: the router answers, and {address} does not.",
    "lan-proven": "Another machine here runs nattools lan ({address}); between you pass {ways:and}.",
    "lan-lost": "What does not pass: {ways:and}.",
    "lan-multicast-lasts": "What is sent to a group still comes after five minutes.",
    "lan-multicast-dies": (
        "What is sent to a group comes at first and stops after some minutes: a switch looks who listens "
        "(IGMP snooping), and nobody asks again."
    ),
    "lan-set-querier": "Switch on an IGMP querier on the router or switch, or switch IGMP snooping off.",
    "lan-somebody": "Another machine here answers ({address}).",
    "lan-only-multicast": "Machines here announce themselves, and none answers to what is sent to it alone.",
    "lan-only-heard": (
        "Multicast passes between the machines here; whether they are reached one by one was not seen at a "
        "glance."
    ),
    "lan-known-silent": (
        "The router answers, and of the machines here ({count} were asked) none does: they sleep or answer "
        "no ping, or this network keeps its machines apart."
    ),
    "lan-router-alone": (
        "The router answers, and nobody else was seen: either nobody else is here, or this network keeps "
        "its machines apart."
    ),
    "lan-nobody": "Nobody answers on {interface}.",
    "lan-beyond-reached": (
        "{address} is on another network: the router lets packets through to it, and neither multicast nor "
        "broadcast, by which programs find each other."
    ),
    "lan-beyond-silent": (
        "{address} is on another network and does not answer through the router: it is off or answers no "
        "ping, or a firewall stands between the two networks."
    ),
    "lan-name-address": (
        "Tell programs the other machine's address (Syncthing: tcp://ADDRESS:22000), and have one machine or "
        "the router reflect multicast DNS for AirPlay and Chromecast (avahi: enable-reflector=yes)."
    ),
    "lan-allow-clients": (
        "Switch off client isolation (AP isolation, guest network) in the access point, or use a network "
        "that is no guest's."
    ),
    "lan-allow-multicast": (
        "Let the access point or switch pass multicast on: look for IGMP snooping, multicast filtering or "
        "multicast rate in its settings."
    ),
    "lan-run-on-both": (
        "Run nattools lan on another machine here at the same time: then both directions are proven."
    ),
    "lan-apart": "Machines are kept apart here.",
    "lan-no-ipv6": "{interface} has no IPv6 address, not even a link-local one.",
    "lan-yggdrasil-heard": "A node at {address} sends its beacons here.",
    "lan-yggdrasil-ready": "Multicast over IPv6 passes, by which its nodes find each other.",
    "lan-yggdrasil-not": (
        "Multicast over IPv6 does not pass, by which its nodes find each other: name peers in its "
        "configuration."
    ),
    "lan-yggdrasil-unknown": "Whether multicast over IPv6 passes was not seen.",
    "lan-batman-no-ethernet": "{interface} carries no Ethernet frames.",
    "lan-batman": (
        "{interface} can join a mesh (batctl if add {interface}); whether frames of type 0x4305 pass takes "
        "a second node to tell."
    ),
    "lan-batman-small": (
        "{interface} can join a mesh, with frames in pieces: its MTU is {mtu}, and 1532 would carry them "
        "whole. Whether frames of type 0x4305 pass takes a second node to tell."
    ),
    "lan-qaul-ready": "Multicast DNS over IPv4 and unicast pass: nodes find and reach each other.",
    "lan-qaul-not": (
        "It takes multicast DNS over IPv4, and TCP or QUIC between the nodes: one of them does not pass. "
        "Add the other node by its address, port 9229."
    ),
    "lan-qaul-unknown": "Multicast DNS over IPv4 and unicast were not both seen to pass.",
    "lan-casting-ready": "Multicast DNS and unicast pass: screens and speakers on this network are found.",
    "lan-casting-not": (
        "It takes multicast DNS and unicast: one of them does not pass. Across networks it takes a "
        "reflector (avahi: enable-reflector=yes)."
    ),
    "lan-casting-unknown": "Multicast DNS and unicast were not both seen to pass.",
    "lan-syncthing-ready": (
        "Broadcast over IPv4 or multicast over IPv6 passes, and so does unicast: devices find each other."
    ),
    "lan-syncthing-not": (
        "Neither broadcast nor multicast over IPv6 passes, or no unicast: give the other device's address, "
        "tcp://ADDRESS:22000."
    ),
    "lan-syncthing-unknown": "Broadcast and unicast were not both seen to pass.",
}
