"""What happened while two machines were connected, why it worked or did not, and what would help."""

from __future__ import annotations

from nattools.wording import verdicts

SENTENCES = {
    "text": "{text}",
    # meeting in a mailbox
    "mailbox-room-open": "Room {room} is open at {mailbox}.",
    "mailbox-nobody-yet": (
        "Nobody else is in this room yet. If the other machine shows a code and waits too, the two codes "
        "differ."
    ),
    "mailbox-peer-confirmed": "The peer is there and has the same code.",
    "mailbox-nobody-came": "Nobody joined with this code within {wait_s:.0f} s.",
    "mailbox-unreachable": "The mailbox at {mailbox} cannot be reached: {problem}.",
    "mailbox-peer-absent": "The peer is not in the mailbox.",
    "mailbox-peer-silent": "The peer did not introduce itself.",
    "mailbox-peer-left": "The peer has left.",
    "mailbox-peer-gone": "The peer left the mailbox and did not come back within {limit_s:.0f} s.",
    "mailbox-left": "The peer left the mailbox without a goodbye that can be verified.",
    "mailbox-gave-up": "The peer gave up.",
    "mailbox-wrong-code": "The peer has a different code. This one is used up: make a new one.",
    "mailbox-unconfirmed": (
        "The peer did not prove within {limit_s:.0f} s that it has the code. This one is used up: make a "
        "new one."
    ),
    "mailbox-taken": "Two others use this code already.",
    "mailbox-used-up": "This code was used before: make a new one.",
    "mailbox-full": "The mailbox has no room left.",
    "mailbox-rate": "The mailbox gets too many messages from this address: wait a minute.",
    "mailbox-expired": "This code has expired: make a new one.",
    "mailbox-replaced": "Another connection took the place of this one in the mailbox.",
    "mailbox-version": "The mailbox speaks another version of the protocol.",
    "mailbox-protocol": "The mailbox says that this side violated its protocol.",
    "mailbox-invalid": "The mailbox sent something invalid: {problem}.",
    "mailbox-garbage": "The peer or the mailbox sent an invalid message.",
    "mailbox-altered": "A message was altered on its way.",
    "mailbox-replayed": "A message was delivered a second time.",
    "mailbox-reordered": "Messages came out of order, or one was withheld.",
    "mailbox-reflected": "The mailbox sent this side's own message back.",
    "mailbox-another-peer": "Somebody else came in place of the peer.",
    "mailbox-flood": "The mailbox or the peer sends too many messages.",
    "mailbox-over": "The conversation in the mailbox is over.",
    # exchanging tokens
    "token-made": "This side's token is made. Waiting for the peer's.",
    "token-received": "The peer's token has been read.",
    "token-missing": "No token was entered within {wait_s:.0f} s.",
    "tokens-once": "Tokens are exchanged once; nothing more can be sent to the peer.",
    "tokens-tried": (
        "{strategy} is not tried again after {times} times: both tokens have to be pasted within a minute of "
        "each other. If the peer was later, exchange new tokens."
    ),
    "tokens-stale": (
        "This side's NAT has moved on from port {told} to {now} since its token was made, and the peer tries "
        "only the next {reach}. Exchange new tokens, and paste them sooner."
    ),
    # what each side brings
    "network-classic": "The network is: {classic}.",
    "network-behaviour": "The network: {mapping} mapping, {filtering} filtering.",
    "network-blocks-udp": "The network blocks outgoing UDP.",
    "network-not-measured": "The network was not measured: no server answered.",
    "router-protocols": "The router makes port mappings by {protocols:list}.",
    "router-mapped": "The router mapped {external} to {internal} by {protocol}.",
    "own-addresses": "Own addresses: {endpoints:list}.",
    "external-addresses": "Seen from outside as {endpoints:list}.",
    "more-addresses": "And {count} more.",
    "no-addresses": "There is no address to try.",
    # the plan
    "plan-made": "{steps:then}; odds {odds:percent}.",
    "plan-made-beside": "{steps:then}; whether one of them works depends on their own network.",
    "plan-limit": (
        "While the peer does not answer, at most {packets:,} packets a day go to at most {addresses} "
        "addresses."
    ),
    "plan-none": "No direct path is known.",
    "plan-no-common-family": "The two sides have no measured address family in common.",
    "plan-mapping-unmeasured": "How {whose} network maps ports was not measured.",
    "plan-allocation-unknown": (
        "How {whose} NAT chooses ports is not known; a measurement with more fresh ports would tell."
    ),
    "plan-tcp-unmeasured": "UDP does not pass on one side, and {whose} TCP was not measured.",
    "plan-tcp-mapping-unknown": "How {whose} NAT maps TCP ports is not known.",
    "plan-tcp-allocation-unknown": (
        "How a NAT chooses TCP ports is not known; a measurement with more fresh ports would tell."
    ),
    "plan-no-hairpinning": (
        "Both are behind {external}, whose NAT does not support hairpinning: they connect only if they can "
        "reach each other's own addresses."
    ),
    "plan-one-outside": (
        "Both are behind {external}: they connect if they can reach each other's own addresses, and need a "
        "relay otherwise."
    ),
    "relay-in-reserve-at": "The relay {uri} carries everything, more slowly, while no direct path works.",
    "relay-only": "Only a relay may be used.",
    "relay-disagreed": "One side allows only a relay (--relay-only), the other allows none (--no-relay).",
    "relay-allocated": "The relay {uri} gives the address {relayed}.",
    "relay-refused": "The relay {uri} cannot be used: {detail}.",
    "direct-failed": "No direct path was found: {steps:then} did not connect.",
    "relay-renewal": "The relay's credentials end soon; the path is replaced before that.",
    "relay-renewed": "Connected through the relay to {remote}, with new credentials.",
    "relay-renewal-failed": "The relay gave no new path; the old one stays in use.",
    "direct-search": "Looking for a direct path again; the relay carries everything meanwhile.",
    "direct-found": "Connected directly to {remote} now; the relay is no longer used.",
    "direct-search-failed": "No direct path was found; the relay stays in use.",
    "path-changed-direct": "A direct path works, from {local} to {remote}; the relay is no longer used.",
    "relay-in-reserve": "A relay that both sides reach carries everything, more slowly.",
    "relay-both-change": verdicts.SENTENCES["peer-both-random"],
    "relay-tcp-restricted": "UDP does not pass on one side, and {whose} TCP reaches certain ports at most.",
    "relay-tcp-ports": "TCP leaves {whose} network only to certain ports ({ports}); a relay there works.",
    "relay-udp-ports": "UDP leaves {whose} network only to certain ports ({ports}); a relay there works.",
    "relay-udp-blocked": verdicts.SENTENCES["peer-udp-blocked"],
    "nothing-in-common": "There is no strategy that both sides allow.",
    "relay-would-help": (
        "A relay that both sides reach would connect them: nattools serve --relay at a public address is one."
    ),
    "relay-within-tls-would-help": (
        "A relay within TLS at port 443 would connect them: nattools serve --relay --port 443 with "
        "--tls-cert and --tls-key, named with --turn turns:HOST; or a DERP server, named with "
        "--turn derp://HOST on both machines."
    ),
    "low-ports-open": (
        "If {whose} program may bind ports below 1024 and the router there is a Linux one, a direct path "
        "opens: {strategy}, {odds:percent} within {seconds:.0f} s."
    ),
    "low-ports-save": (
        "If {whose} program may bind ports below 1024 and the router there is a Linux one, it takes "
        "{packets} packets at most: {strategy}, {odds:percent} within {seconds:.0f} s."
    ),
    "low-ports-on-both-open": (
        "If the programs on both sides may bind ports below 1024 and both routers are Linux ones, a direct "
        "path opens: {strategy}, {odds:percent} within {seconds:.0f} s."
    ),
    "low-ports-on-both-save": (
        "If the programs on both sides may bind ports below 1024 and both routers are Linux ones, it takes "
        "{packets} packets at most: {strategy}, {odds:percent} within {seconds:.0f} s."
    ),
    # why a step should work
    "step-open": "Anybody can send to {whose} address: sending to it is enough.",
    "step-open-external": "Anybody can send to {whose} external address: sending to it is enough.",
    "step-one-router": (
        "Both are behind {external}: they connect if their own network lets them reach each other, or if "
        "its router sends packets back in."
    ),
    "step-without-ttl": (
        "Once more, from new ports and to the peer's outside address alone, in case a router forgets ports "
        "at ICMP errors."
    ),
    "step-both-keep": "Both sides keep their external ports: both send, and each opens its own NAT.",
    "step-other-roles": "Again with the roles swapped: one side opens and waits, the other calls first.",
    "step-any-port": "Whatever {other} external port is, {whose} side accepts the packets.",
    "step-next-port": (
        "The next of {whose} external ports can be predicted, unless others take the next {count} first."
    ),
    "step-wider": (
        "Again from where the counters are then, with a wider range, in case others take more ports than "
        "expected."
    ),
    "step-birthday": (
        "{sockets} of {whose} ports out of {ports:,}, and {probes:,} tries at {rate:.0f} a second."
    ),
    "step-birthday-block": (
        "{sockets} of {whose} ports out of a block of {ports}, and {probes:,} tries at {rate:.0f} a second."
    ),
    "step-birthday-low": (
        "{sockets} of {whose} ports out of {ports:,}, and {probes:,} tries at {rate:.0f} a second: a Linux "
        "router maps source ports below 1024 into those alone."
    ),
    "step-called": (
        "The next of {whose} external ports can be predicted, and packets to it are let in from any of "
        "{other} ports."
    ),
    "step-both-next-ports": (
        "Both sides' next ports can be predicted, even if others take up to {count} of them first."
    ),
    "step-both-next-port": "Both sides' next ports can be predicted, unless others take them first.",
    "step-fill-next-port": (
        "All {ports} ports that {whose} mappings can get are opened towards the next of {other} ports, "
        "which can be predicted."
    ),
    "step-fill": (
        "All {ports} ports that {whose} mappings can get are opened, each towards {targets} of {other} "
        "{across}, and {tries} of these try them all. They are used up for a while."
    ),
    "step-tcp-open": "Over TCP: anybody can connect to {whose} address.",
    "step-tcp-open-external": "Over TCP: anybody can connect to {whose} external port, once it is open.",
    "step-tcp-both-open": (
        "Over TCP, both opening at once, if both routers let that pass as they should (RFC 5382 REQ-2)."
    ),
    "step-tcp-next-port": (
        "Over TCP, both opening at once: the next of {whose} external ports can be predicted."
    ),
    "step-tcp-any-port": (
        "Over TCP: {whose} side connects from any port, since the other one filters by address alone."
    ),
    "step-tcp-birthday": "Over TCP: {sockets} of {whose} ports out of {ports:,}, and {probes:,} tries.",
    "step-tcp-birthday-again": "The same with other ports, in case the first ones were unlucky.",
    # attempts
    "peer-unknown-message": "The peer sent a message that this version does not know: {problem}.",
    "peer-mirrors": "The peer is a mirror of this side: it sent this side's own introduction.",
    "peer-begins-again": "The peer keeps starting over.",
    "peer-dawdles": "There was no connection within {limit_s:span}: the peer begins but does not go on.",
    "peer-not-at-step": "The peer did not come to this step.",
    "peer-credentials-invalid": "The peer's ICE credentials are invalid: {problem}.",
    "peer-credentials-unknown": "The peer's ICE credentials are not known.",
    "peer-port-unknown": "The peer's external {transport} port is not known.",
    "own-port-unknown": "No server reports this machine's external {transport} port.",
    "peer-address-refused": "The peer says that it is at {endpoint}: {reason}.",
    "no-check-answered": "No check was answered.",
    "path-works": "A path to {remote} works.",
    "stream-works": "A TCP connection to {remote} works.",
    "path-did-not-last": "The path that was found did not last.",
    "path-unconfirmed": "A path works, but the peer did not confirm that it uses it.",
    "peer-heard-only": "Packets from the peer arrived, but it did not answer ours.",
    "others-heard-only": "Packets arrived, but none from the peer.",
    "nothing-sent": "No packet could be sent.",
    "nothing-heard": "Nothing from the peer arrived.",
    "stream-unconfirmed": "A TCP connection works, but the peer did not confirm that it uses it.",
    "stream-to-another": "A TCP connection was made, but not with the peer.",
    "no-stream": "No TCP connection was made: {outcomes:list}.",
    "path-nominated": "The path from {local} to {remote} is used.",
    "path-changed-lost": "The path from {local} to {remote} is used now: the one before was lost.",
    "path-changed-nearer": (
        "The path from {local} to {remote} is used now: it is shorter than the one before."
    ),
    "path-changed-nominated": "The path from {local} to {remote} is used now: the peer chose it.",
    "budget-spent": (
        "The announced number of packets has been sent: no more go to addresses where nobody answers."
    ),
    "steps-failed": "Tried without success: {steps:and}.",
    "cannot-run": "{problem}.",
    # the connection
    "secured": "Encrypted by {protocol}. The peer has proved that it has the same secret.",
    "not-secured": "A path was found, but it could not be secured.",
    "address-changed": "This machine's address has changed.",
    "connection-broke": "The connection broke.",
    "peer-lost-path": "The peer has lost the path.",
    "peer-quiet": "Nothing was heard from the peer for {silent_s:.0f} s.",
    "looking-for-path": "Looking for another path, for up to {limit_s:span}.",
    "next-attempt": "Next attempt in {pause_s:g} s.",
    "waiting-for-peer": "Waiting for the peer.",
    "path-recovered": "The old path works again.",
    "path-not-replaced": "The path was lost, and no other was found in {limit_s:span}.",
    "punch-time-over": "The time limit was reached.",
    "link-failed": "The connection could not be secured: {problem}.",
    "link-silent": "There was no answer over {protocol} in {limit_s:g} s.",
    "path-too-narrow": (
        "Small packets pass, but nothing of {size:,} bytes: something on the path loses larger packets, or "
        "QUIC."
    ),
    "stopped": "It was stopped before there was a result.",
    "both-done": "Both sides are done.",
    # why it worked
    "by-host": "One side can be reached at its own address.",
    "by-reflexive": (
        "Both sides sent to where a server had seen the other, and each opened its own NAT by doing so."
    ),
    "by-mapped": "A router made a port mapping, and packets came through it.",
    "by-low-ttl": (
        "One side opened its own NAT with packets that went no farther, then the other one connected."
    ),
    "by-prediction": "The next external port of a sequential NAT was predicted.",
    "by-birthday": "One side opened many ports, and a try of the other side found one.",
    "by-simultaneous-open": "Both sides opened a TCP connection at the same moment.",
    "by-relay": "A relay carries everything.",
}
