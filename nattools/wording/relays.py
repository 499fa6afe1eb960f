"""Why a relay does not relay, what to do about it, and what a diagnosis says of relays."""

from __future__ import annotations

SENTENCES = {
    # on the way to it
    "relay-unresolved": "Its name cannot be looked up: {detail}.",
    "relay-check-name": "Check the spelling, and this machine's name servers (DNS).",
    "relay-silent-udp": "Nothing answers over UDP at {server}: it is down, or UDP to that port is blocked.",
    "relay-only-stun": "It answers STUN, but no request for an allocation: it may not be a relay.",
    "relay-try-tcp": "Try it over TCP, or over TLS (turns:), if it supports that.",
    "relay-silent-tcp": "Nothing answers over TCP at {server}: it is down, or TCP to that port is blocked.",
    "relay-try-443": "Networks that block ports let TCP port 443 out: a relay with TLS there helps.",
    "relay-port-closed": "Nothing listens at {server}.",
    "relay-check-port": "Check the port, and that the relay runs there over {transport:upper}.",
    "relay-unreachable": "{server} cannot be reached: {detail:or there is no route}.",
    "relay-prohibited": "A firewall rejects packets to {server}.",
    "relay-ask-network": "Ask whoever runs this network, or use another one.",
    "relay-not-tls": "TLS with {server} fails: {detail}.",
    "relay-check-tls-port": "Check the port: turns: uses 5349 unless one is named, and often 443.",
    "relay-certificate": "It cannot be trusted: {detail}.",
    "relay-self-signed": (
        "Its certificate is self-signed, and the map does not name it: Tailscale's clients do not relay "
        "through it either, though netcheck shows how far away it is."
    ),
    "relay-pin-certificate": (
        "Name it in the map (CertName: sha256-raw:..., as derper -certmode manual logs it), or give the "
        "server a certificate of an authority."
    ),
    "relay-check-certificate": (
        "Name the relay as its certificate does. If you do, its operator has to renew the certificate, or "
        "this network intercepts TLS."
    ),
    "relay-not-a-relay": "Something else answers in its place: {detail}.",
    "relay-check-uri": "Check the address and the port: what answers there is not a relay of that kind.",
    "relay-portal": "A captive portal answers in its place: this network wants you to log in first.",
    "relay-log-in": "Open a web page in a browser and log in to this network.",
    "relay-closed": "It closed the connection.",
    "relay-no-answer": "It accepts the connection but does not answer.",
    "relay-ask-operator": "Ask whoever runs it: its log has the reason.",
    "relay-network-left": "This machine left the network meanwhile, so its silence says nothing of it.",
    "relay-run-again": "Run it again to settle it.",
    # credentials
    "relay-credentials-missing": "It asks for a user name and a password, but none are given here.",
    "relay-give-credentials": "Give them: --turn-user NAME:PASSWORD, or --turn-secret SECRET.",
    "relay-credentials-refused": "It does not accept the user name and password.",
    "relay-check-credentials": (
        "Check both. Those made with --turn-secret need the relay's own secret, and clocks that agree."
    ),
    "relay-credentials-expired": "These credentials were good until {detail}.",
    "relay-renew-credentials": "Get new ones where these came from; --turn-secret makes them here.",
    "relay-challenge": "Its challenge cannot be answered: {detail}.",
    "relay-verifies": "It lets in only the keys of its own network: it verifies its clients.",
    "relay-verified-network": (
        "Use it from a node of that network; or its operator lets others in: derper without -verify-clients, "
        "headscale with verify_clients: false."
    ),
    # what it says no to
    "relay-error-300": "It redirects its clients to another server, and that led nowhere.",
    "relay-error-400": "It says that the request is malformed.",
    "relay-error-403-allocate": "It forbids this machine an allocation.",
    "relay-error-403-permit": "It does not relay to this machine's own address.",
    "relay-denied-peer": "Its operator denies such peers (denied-peer-ip in coturn); others it may relay to.",
    "relay-error-420": "It does not know an attribute that the request needs.",
    "relay-error-437": "It says that this port already has an allocation, or no longer has one.",
    "relay-try-again": "Try again, from another port. If it persists, something on the way rewrites ports.",
    "relay-error-438": "It calls every nonce stale, even its newest one.",
    "relay-check-clock": "Its clock or its nonces are at fault: ask whoever runs it.",
    "relay-error-440": "It gives no addresses of the family asked for.",
    "relay-other-family": "Try the other family: -4 or -6.",
    "relay-error-441": "It says that these are not the credentials of the allocation.",
    "relay-error-442": "It does not relay UDP.",
    "relay-error-443": "It cannot relay to an address of that family.",
    "relay-error-486": "This user has as many allocations as it allows.",
    "relay-close-others": "Close this user's other sessions, or wait ten minutes until they have expired.",
    "relay-error-508": "It has no ports or no capacity left.",
    "relay-other-relay": "Try later, or another relay.",
    "relay-error-other": "It refuses with error {code}: {detail:or no reason given}.",
    # it allocates
    "relay-private-address": (
        "It gives the address {relayed}, which is private: nobody outside its own network can send there."
    ),
    "relay-set-external": "Its operator has to name its public address (external-ip in coturn).",
    "relay-nothing-relayed": (
        "It gives the address {relayed} but relays nothing: none of {sent} datagrams came through, in either "
        "direction."
    ),
    "relay-open-range": (
        "Its firewall has to let UDP in and out at its relayed ports (49152 to 65535 unless set otherwise)."
    ),
    "relay-not-reached": (
        "What is sent through it arrives, but nothing sent to {relayed}, the address that it gives, does."
    ),
    "relay-other-address": (
        "It gives the address {relayed}, where nothing arrives; at its own address, {detail}, the same port "
        "relays."
    ),
    "relay-inward-only": (
        "What is sent to {relayed}, the address that it gives, arrives, but nothing leaves from there."
    ),
    "relay-derp-silent": "It lets this machine in but passes nothing on.",
    "relay-missing": "{detail}.",
    "relay-install-derp": "Install PyNaCl where nattools is installed: pip install pynacl.",
    # verdicts
    "relay-works": "{uri} relays over {transport:upper}: a round trip through it takes {rtt_ms:ms}.",
    "relay-fails": "{uri} does not relay.",
    "relay-untried": "Whether {uri} relays was not tried.",
    "relay-derp-near": "The nearest, {uri}, is {rtt_ms:ms} away; whether it relays was not tried.",
    "relay-derp-silent-all": "No DERP server answered.",
    "relay-none-named": "No relay was named.",
    "settle-relay-turn": "nattools relay turn:HOST --turn-user NAME:PASSWORD tries one.",
    "settle-relay-derp": "nattools relay tries the nearest ones.",
}
