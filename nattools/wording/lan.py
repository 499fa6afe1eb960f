"""What a report says of the local network."""

from __future__ import annotations

SENTENCES = {
    "lan-not-asked": "The machines on the local network were not asked.",
    "settle-lan": (
        "nattools lan listens for longer, and on two machines at once it proves what passes between them."
    ),
    "lan-strangers": (
        "{interface} has a public address ({address}): its neighbours are other people's machines, and were "
        "not asked."
    ),
    "lan-isolated": "This network isolates its machines: the router answers, but {address} does not.",
    "lan-proven": "Another machine here runs nattools lan ({address}); {ways:and} pass between the two.",
    "lan-lost": "Did not pass: {ways:and}.",
    "lan-multicast-lasts": "Multicast still arrives after five minutes.",
    "lan-multicast-dies": (
        "Multicast arrives at first and stops after some minutes: a switch tracks who listens (IGMP "
        "snooping), and there is no querier to ask again."
    ),
    "lan-set-querier": "Switch on an IGMP querier on the router or switch, or switch IGMP snooping off.",
    "lan-somebody": "Another machine here answers ({address}).",
    "lan-only-multicast": "Machines here announce themselves, but none answers unicast.",
    "lan-only-heard": (
        "Multicast passes between the machines here; whether unicast does was not seen in the short time."
    ),
    "lan-known-silent": (
        "The router answers, but none of the other machines does ({count} were asked): they are asleep or "
        "ignore pings, or this network isolates its machines."
    ),
    "lan-router-alone": (
        "The router answers, and nobody else was seen: either nobody else is here, or this network isolates "
        "its machines."
    ),
    "lan-nobody": "Nobody answers on {interface}.",
    "lan-beyond-reached": (
        "{address} is on another network: the router forwards packets to it, but no multicast or broadcast, "
        "which programs use to find each other."
    ),
    "lan-beyond-silent": (
        "{address} is on another network and does not answer through the router: it is off or answers no "
        "ping, or a firewall stands between the two networks."
    ),
    "lan-repeated": (
        "{by} repeats here what {address} announces itself: services appear twice, and machines that hear "
        "their own name from another one append a number to it (-2, -3)."
    ),
    "lan-reflect-elsewhere": (
        "Have the reflector pass multicast DNS on between different networks alone: it has two interfaces on "
        "this one, or there are two reflectors (avahi: allow-interfaces)."
    ),
    "lan-name-address": (
        "Tell programs the other machine's address (Syncthing: tcp://ADDRESS:22000), and have one machine or "
        "the router reflect multicast DNS for AirPlay and Chromecast (avahi: enable-reflector=yes)."
    ),
    "lan-allow-clients": (
        "Switch off client isolation (AP isolation, guest network) in the access point, or use a network "
        "that is not for guests."
    ),
    "lan-allow-multicast": (
        "Let the access point or switch forward multicast: look for IGMP snooping, multicast filtering or "
        "multicast rate in its settings."
    ),
    "lan-run-on-both": (
        "Run nattools lan on another machine here at the same time: then both directions are proven."
    ),
    "lan-apart": "Machines are isolated from each other here.",
    "lan-no-ipv6": "{interface} has no IPv6 address, not even a link-local one.",
    "lan-yggdrasil-heard": "A node at {address} sends its beacons here.",
    "lan-yggdrasil-ready": "Multicast over IPv6 passes: its nodes find each other by it.",
    "lan-yggdrasil-not": (
        "Multicast over IPv6, by which its nodes find each other, does not pass: name peers in its "
        "configuration."
    ),
    "lan-yggdrasil-unknown": "Whether multicast over IPv6 passes was not seen.",
    "lan-batman-no-ethernet": "{interface} carries no Ethernet frames.",
    "lan-batman": (
        "{interface} can join a mesh (batctl if add {interface}); it takes a second node to tell whether "
        "frames of type 0x4305 pass."
    ),
    "lan-batman-small": (
        "{interface} can join a mesh, but large frames are fragmented: its MTU is {mtu}, and 1532 would "
        "avoid that. It takes a second node to tell whether frames of type 0x4305 pass."
    ),
    "lan-qaul-ready": "Multicast DNS over IPv4 and unicast pass: nodes find and reach each other.",
    "lan-qaul-not": (
        "It needs multicast DNS over IPv4, and TCP or QUIC between the nodes: one of them does not pass. Add "
        "the other node by its address, port 9229."
    ),
    "lan-qaul-unknown": "Multicast DNS over IPv4 and unicast were not both seen to pass.",
    "lan-casting-ready": "Multicast DNS and unicast pass: screens and speakers on this network are found.",
    "lan-casting-not": (
        "It needs multicast DNS and unicast: one of them does not pass. Across networks it takes a reflector "
        "(avahi: enable-reflector=yes)."
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
