"""What happened while one machine knocked at another by an ICMP error, and what would help."""

from __future__ import annotations

SENTENCES = {
    "pwnat-beacons": (
        "Port {port} sends a beacon now and then to {targets:and}, where nobody answers; a caller's ICMP "
        "error about one of them gets in."
    ),
    "pwnat-echoes": (
        "Echo requests go to {target} now and then, as from the original pwnat; whoever sends an ICMP error "
        "about one is taken for a caller at port {port}."
    ),
    "pwnat-port-read": (
        "This side's NAT leaves its own port in the checksums that routers quote, so the port of the beacons "
        "is known."
    ),
    "pwnat-port-changed": "The NAT now uses another port for the beacons: the command has changed.",
    "pwnat-ports-not": "Every destination sees that port.",
    "pwnat-ports-predictably": "Each further destination gets a port {step} further on.",
    "pwnat-ports-at-random": "Each further destination gets a random port.",
    "pwnat-look-as-root": (
        "If the NAT maps the beacons to another port than {port}, no caller can know it; run as root, "
        "listen checks whether the NAT reveals that port."
    ),
    "pwnat-port-unknown": (
        "This network's NAT uses a different port for each destination, and nobody tells which one it uses "
        "for the beacons: a caller that uses this command is not let in."
    ),
    "pwnat-called": "An ICMP error came as if {place} were calling.",
    "pwnat-hole-only": (
        "Packets came from {listener}, so its NAT let the error in; but what answers there is not nattools "
        "with this secret."
    ),
    "pwnat-no-beacon": "No beacon could be sent: {failure}.",
    "pwnat-knocked": "Somebody who knows the secret knocked, and claims to be at {place}.",
    "pwnat-stale": (
        "A knock with the right secret has a time that is {apart_s:about} off this machine's clock: it is an "
        "old one sent again, or one of the two clocks is wrong."
    ),
    "pwnat-no-secret": (
        "An ICMP error came that looks like a knock, from somebody without the secret: is the secret the "
        "same on the other machine?"
    ),
    "pwnat-busy": "Another caller is knocking; only one at a time is let in.",
    "pwnat-next-caller": "The previous caller did not get through; the next one is let in.",
    "pwnat-caller-gone": (
        "The caller no longer answers; another one that knows the secret is knocking and takes its place."
    ),
    "pwnat-used-once": "Part of the piped data went to the caller that is gone: start both sides again.",
    "pwnat-private-caller": (
        "The caller knocks, but its packet left with the private address {place}, and it does not know its "
        "public one: let it name a server with --server."
    ),
    "pwnat-nobody": "Nobody knocked within {wait_s:span}.",
    "pwnat-forged": (
        "{count} ICMP errors were made to look like a knock, without the secret: is it the same one on the "
        "other machine?"
    ),
    "pwnat-foreign": "{count} ICMP errors about beacons came, so they do get in; none of them was a knock.",
    "pwnat-caller-silent": "The caller at {place} knocked, but nothing else came from there.",
    "pwnat-caller-other": (
        "The caller at {place} knocked, and packets came that both NATs let through, but none from a "
        "nattools with this secret."
    ),
    "pwnat-knocking": "Knocking at {listener}.",
    "pwnat-place": "The knock says that this side is at {place}.",
    "pwnat-place-unknown": (
        "No public address of this side is known: the listener answers to the address that the knock comes "
        "from."
    ),
    "pwnat-not-sent": "The knock could not be sent: {failure}.",
    "pwnat-no-answer": (
        "{knocks} knocks at {listener} were not answered: no listener with this secret is there, or a router "
        "on the way dropped them."
    ),
    "pwnat-private-listener": (
        "{host} is not a public address: unless both machines are on one network, use the public address of "
        "the listener's network."
    ),
    "pwnat-behind-nat": (
        "This side is behind a NAT, and most of them do not pass a knock on: Linux routers drop it or send "
        "it out with its private address."
    ),
    "pwnat-name-server": "Name a server with --server, so that the knock can say where this side is.",
    "pwnat-test": (
        "nattools pwnat test --server HOST shows on either side whether its router lets this through; it may "
        "work with the roles swapped."
    ),
    "pwnat-apart": "The two sides are not connected.",
    # would it work here?
    "pwnat-listener-passes": (
        "A stranger's ICMP error about this machine's packets gets in, so it can listen (nattools pwnat "
        "listen)."
    ),
    "pwnat-listener-reads-port": (
        "It can listen as root (nattools pwnat listen): the NAT gives each destination another port, and "
        "gives that port away in the checksums that ICMP errors quote."
    ),
    "pwnat-listener-id-rewritten": (
        "It cannot listen: the NAT uses a different port for each destination, so no caller knows which one "
        "to quote."
    ),
    "pwnat-listener-id-rewritten-unseen": (
        "It cannot listen: the NAT uses a different port for each destination, so no caller knows which one "
        "to quote. As root, it could if the NAT reveals that port; that was not checked."
    ),
    "pwnat-listener-quote-not-matched": (
        "It cannot listen: the NAT lets in only errors that come from where the packet was sent."
    ),
    "pwnat-listener-invalid-dropped": (
        "It cannot listen: genuine ICMP errors from routers get in, but crafted ones do not."
    ),
    "pwnat-listener-icmp-blocked": "It cannot listen: no ICMP errors get in.",
    "pwnat-listener-unknown": "Whether it can listen is not known.",
    "pwnat-caller-passes": (
        "A crafted ICMP error gets out as it should, so it can call (nattools pwnat connect)."
    ),
    "pwnat-caller-untranslated": (
        "It can hardly call: the router sends the ICMP error on with this machine's private address, and "
        "most providers drop that."
    ),
    "pwnat-caller-invalid-dropped": (
        "It cannot call: the router drops an ICMP error that belongs to none of its sessions, as Linux "
        "routers do."
    ),
    "pwnat-caller-icmp-blocked": "It cannot call: no ICMP gets out and back.",
    "pwnat-caller-unknown": "Whether it can call is not known.",
    "pwnat-both": "This machine can listen, and it can call.",
    "pwnat-listens": "This machine can listen, but not call: run pwnat listen here, pwnat connect there.",
    "pwnat-calls": "This machine can call, but not listen: run pwnat connect here, pwnat listen there.",
    "pwnat-neither": "This machine can neither listen nor call.",
    "pwnat-not-known": "Not everything about this machine's part is known.",
    "pwnat-untested": "It was not tried.",
    "pwnat-settle": (
        "To find out: nattools pwnat test, as root, with --server and a nattools serve that runs as root."
    ),
    "by-knock": (
        "The listener's NAT let the caller's ICMP error in, and each side then opened its own NAT for the "
        "other."
    ),
}
