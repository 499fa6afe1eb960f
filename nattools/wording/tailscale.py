"""What a report says of Tailscale and headscale."""

from __future__ import annotations

from nattools.wording import verdicts

SENTENCES = {
    # in a sentence
    "ts-direct-count": "Tailscale connects directly with {direct} of {kinds} kinds of networks.",
    "ts-clashes": (
        "Some of what a tailnet uses here is also used by another tailnet or by this network: see below."
    ),
    "ts-ways-unknown": "Which peers it reaches directly is not known: this NAT's behaviour was not measured.",
    "ts-ways-partly-unknown": "For the others it is not known: no server here could measure the filtering.",
    "ts-all-relayed": "UDP does not get out here, so Tailscale relays everything over HTTPS.",
    "ts-services-alone": (
        "UDP leaves this network only to well-known ports ({ports:list}): STUN works, and netcheck says so, "
        "but no peer's port can be reached. Tailscale relays everything."
    ),
    "ts-easy": "Everybody who can send UDP reaches this machine.",
    "ts-mapped": "The router opens a port for it, which everybody who can send UDP reaches.",
    "ts-hard": (
        "This NAT uses a different port for each peer (a hard NAT), and Tailscale predicts no ports: it "
        "connects directly only to those who let in any port of an address."
    ),
    "ts-strict": (
        "This NAT lets in only ports that you have sent to, so a peer whose NAT uses a different port for "
        "each peer is relayed."
    ),
    "ts-firewalled": (
        "The firewall here lets in only ports that you have sent to, so a peer whose NAT uses a different "
        "port for each peer is relayed."
    ),
    "ts-relays-untried": (
        "UDP was not seen to get out; whether Tailscale's relays can be reached was not tried."
    ),
    "ts-nothing-passes": "UDP does not get out, and no relay can be reached.",
    "settle-tailscale": "nattools tailscale asks its servers.",
    # control servers
    "ts-control-answers": "The control server {url} answers.",
    "ts-control-unresolved": "The control server {url} is not found: {detail}.",
    "ts-control-here": (
        "The name of the control server {url} leads to this machine itself ({address}): a name server here "
        "blocks it, as ad blockers do, or the hosts file does."
    ),
    "ts-unblock-name": (
        "Take the name off the block list (Pi-hole, AdGuard Home, NextDNS, the hosts file), or ask another "
        "name server."
    ),
    "ts-control-left": "This machine left the network meanwhile, so the silence of {url} says nothing of it.",
    "ts-control-silent": "Nothing answers at the control server {url}: {detail}.",
    "ts-control-refused": "Nothing listens at the control server {url}.",
    "ts-control-unreachable": "The control server {url} cannot be reached: {detail}.",
    "ts-control-prohibited": "A firewall rejects packets to the control server {url}.",
    "ts-control-closed": "Something closes the connection to the control server {url}: {detail}.",
    "ts-control-not-tls": "What answers for the control server {url} does not speak TLS: {detail}.",
    "ts-control-certificate": (
        "The certificate shown for the control server {url} cannot be trusted: {detail}."
    ),
    "ts-control-certificate-by": (
        "The certificate shown for the control server {url} cannot be trusted ({detail}): {issuer} issued "
        "it. This network inspects TLS, or the server's own certificate is at fault."
    ),
    "ts-control-portal": "A captive portal answers for the control server {url}.",
    "ts-control-error": "The control server {url} does not give its key: {detail}.",
    "ts-control-other": "What answers at {url} is not a control server: {detail}.",
    "ts-check-dns": "Check the name, and that this network's name server does not block it.",
    "ts-let-https-out": (
        "Ask whoever runs this network to let TCP port 443 out to it, or use another network."
    ),
    "ts-check-control": "Check the URL and that the server runs; its own log says more.",
    "ts-exempt-from-inspection": (
        "Ask whoever runs this network to leave {url} out of TLS inspection. If the server is yours, check "
        "its certificate."
    ),
    "ts-upgrade-lost": (
        "The control server {url} answers, but a reverse proxy in front of it removes the header by which "
        "clients leave HTTP: none can log in."
    ),
    "ts-pass-upgrade": (
        "Have the proxy pass on the Upgrade and Connection headers (nginx: proxy_http_version 1.1, "
        "proxy_set_header Upgrade $http_upgrade)."
    ),
    # DERP
    "ts-map-missing": "Its DERP map {map} is not available: {detail}.",
    "ts-name-map": "Name a map in a file: --derp-map FILE (tailscale debug derp-map prints one).",
    "ts-home": "Its home region would be {region}, {rtt_ms:ms} away.",
    "ts-home-without-udp": (
        "Its home region would be {region}, {rtt_ms:ms} away by HTTPS: STUN is not answered."
    ),
    "ts-home-differs": "Its client says {said}.",
    "ts-no-region": "None of its DERP servers answers.",
    "ts-relay-verifies": (
        "{uri} lets in only the machines of its own tailnet, so whether it relays was not tried."
    ),
    "ts-relay-fails": "{uri} does not relay.",
    # what would make it direct
    "ts-let-udp-out": (
        "Have this network let UDP out: to any port, or at least to 3478 and from 41641. Until then "
        "everything is relayed."
    ),
    "ts-open-port": "Open UDP port 41641 for incoming packets in the firewall: then everybody can reach it.",
    "ts-map-port": (
        "Enable UPnP, NAT-PMP or PCP in the router, or forward UDP port 41641 to this machine: Tailscale "
        "uses both by itself, and then everybody who can send UDP reaches it."
    ),
    "ts-map-port-at": (
        "Enable UPnP, NAT-PMP or PCP in the router (http://{router}), or forward UDP port 41641 to this "
        "machine: Tailscale uses both by itself, and then everybody who can send UDP reaches it."
    ),
    "ts-ipv6": "With IPv6 on both sides no NAT is in the way.",
    # beyond netcheck
    "ts-filtering": "Filtering: {filtering}.",
    "ts-filtering-unknown": "Filtering: not measured; a nattools serve outside tells.",
    "ts-varies-after-all": "The mapping does vary by destination: netcheck had only one server's answers.",
    "ts-allocation": "Port allocation: {allocation}.",
    "ts-carrier-nat": "A second NAT, the provider's: port mappings on your router do not reach the internet.",
    "ts-double-nat": "A second NAT: port mappings on the nearer router do not reach the internet.",
    "ts-one-nat": "One NAT, no second behind it.",
    "ts-layers-unknown": "Whether there is a second NAT is not known.",
    "ts-hairpin": "Hairpinning works: two machines here can use each other's external address.",
    "ts-no-hairpin": "No hairpinning: two machines here can use only each other's internal address.",
    "ts-hairpin-unknown": "Hairpinning: not known.",
    "ts-lifetime": (
        "An idle mapping lives {lifetime_s:seconds}, longer than the {heartbeat_s:seconds} between a "
        "client's heartbeats."
    ),
    "ts-lifetime-short": (
        "An idle mapping lives {lifetime_s:seconds}, less than the {heartbeat_s:seconds} between a client's "
        "heartbeats: direct paths break."
    ),
    "ts-lifetime-unmeasured": (
        "How long an idle mapping lives was not measured (--lifetime); clients send every "
        "{heartbeat_s:seconds}."
    ),
    "ts-mapping-true": "A port mapping by {protocol:protocol} works from outside: {external}.",
    "ts-mapping-false": (
        "A port mapping by {protocol:protocol} was granted, but nothing gets in through {external}."
    ),
    "ts-mapping-unverified": (
        "A port mapping by {protocol:protocol} was granted ({external}); nobody tried it."
    ),
    "ts-no-mapping": "No router here makes port mappings.",
    "ts-mapping-not-asked": "No router was asked for port mappings.",
    # peers
    "peer-is-direct": "Packets go to {endpoint}.",
    "peer-expired": "Its key has expired.",
    "renew-key": "Log in again on that machine.",
    "peer-offline": "It is not online.",
    "peer-client-down": "The program on this machine is not running, or not logged in.",
    "peer-without-handshake": (
        "A path was found, and no handshake of WireGuard's has come through it: a firewall on one of the two "
        "machines, or packets that are too large for the path, stop it."
    ),
    "look-at-handshake": (
        "Let the program's UDP port in on both machines; if it is, make its interface's MTU smaller (1280)."
    ),
    "peer-direct-within": (
        "Packets go to {endpoint}, an address to which {via} has a route. Unless this machine has another "
        "way there, they go through {via}, and the program calls it direct all the same."
    ),
    "peer-trying": "Its program is trying to connect: no path has answered yet, not even through a relay.",
    "peer-unreached": "Every path was tried and none answered, not even through a relay.",
    "peer-unheard": (
        "Nothing has been heard from it: that machine is off, its program is not running, or no way to it "
        "works."
    ),
    "peer-never-answered": (
        "Packets go to it by {relay}, and none has ever come back: that machine is off or asleep, or its "
        "client does not reach that relay."
    ),
    "look-at-peer": "Check that the client runs on that machine: tailscale status.",
    "peer-without-roots": "It has no path, and no root server is reached that would relay to it.",
    "peer-idle": "No packets go there, so no path is chosen.",
    "ping-peer": "tailscale ping {name} makes it choose one.",
    "peer-way-unknown": "The status does not say which path packets take.",
    "peer-by-peer-relay": "Another machine of the tailnet relays its packets ({relay}).",
    "peer-relayed": "It is relayed.",
    "peer-relayed-by": "It is relayed by {relay}.",
    "peer-relayed-by-its": "It is relayed by {relay}, its home; ours is {own}.",
    "peer-near": (
        "It says that it is at {endpoint}, on this very network: a firewall on one of the two machines, or "
        "an access point that isolates its clients, stops UDP."
    ),
    "look-at-lan": "nattools lan on both machines tells; otherwise let UDP port 41641 in on both.",
    "look-at-lan-port": (
        "nattools lan on both machines tells; otherwise let UDP port {port} in on both, or the one that the "
        "program was given."
    ),
    "look-at-lan-alone": "nattools lan on both machines tells.",
    "own-network-unknown": "The reason is not known: this network was not measured.",
    "own-udp-blocked": verdicts.SENTENCES["udp-blocked"],
    "both-move": (
        "This NAT uses a different port for each peer, and so does the peer's ({ports} ports of one address "
        "were seen): two hard NATs."
    ),
    "own-moves": (
        "This NAT uses a different port for each peer, so the peer is relayed if its network is one of "
        "these: {kinds:list}."
    ),
    "peer-moves": (
        "Its NAT uses a different port for each peer ({ports} ports of one address were seen), and this side "
        "lets in only ports that it has sent to."
    ),
    "only-blocked-left": (
        "This side connects to everybody who can send UDP: the peer's network blocks UDP, or a firewall does."
    ),
    "one-of-these-left": "By elimination its network is one of these: {kinds:list}.",
    "measure-at-peer": "Run nattools tailscale on that machine.",
    "measure-nat-at-peer": "Run nattools nat on that machine.",
    "relayed-or-idle": "If nothing was sent to it lately, that means little: ping it, and look again.",
    "swarm-not-upgraded": (
        "The hole punch that would replace this (DCUtR) failed, is still to come, or is switched off at one "
        "end: nattools libp2p tells whether it can work from here."
    ),
    # other programs than Tailscale
    "punching-unknown": "Which networks are reached directly is not known: this one was not measured.",
    "punching-blocked": "UDP gets out of this network to no peer, so everything is relayed.",
    "punching-count": (
        "Hole punching without guessing ports reaches {direct} of {kinds} kinds of networks directly."
    ),
    "punching-hard": (
        "This NAT uses a different port for each peer, so only those are reached who let in any port of an "
        "address."
    ),
    "punching-strict": (
        "This network lets in only ports that you have sent to, so a peer whose NAT uses a different port "
        "for each peer is relayed."
    ),
    "open-port-of-program": (
        "Have the router open port {port} to this machine (UPnP, NAT-PMP or PCP, or forwarded by hand): that "
        "helps with every peer."
    ),
    "webrtc-opens-no-ports": (
        "Browsers ask no router for a port: a TURN server near both sides keeps the detour short."
    ),
    "webrtc-failed": "Every pair of addresses was tried, and none answered.",
    "webrtc-add-turn": (
        "Check that the page names a TURN server, and that it works from here: nattools relay turn:HOST "
        "--turn-user NAME:PASSWORD."
    ),
    "webrtc-relays-alone": (
        "This side offered relayed addresses alone: the page or the browser's settings want it so "
        "(iceTransportPolicy), whatever the networks allow."
    ),
    "webrtc-permit-others": "Have whoever runs the page permit all candidates, if a direct path is wanted.",
    # the programs themselves
    "client-down": "The client of {name} is not running or not logged in: nobody is reached before it is.",
    "client-stopped": "Its client is switched off.",
    "client-logged-out": "Its client is logged out.",
    "client-unapproved": "Its client waits for an administrator to approve this machine.",
    "client-of-another-user": "Its client is in use by another user of this machine.",
    "client-starting": "Its client is starting.",
    "client-without-management": "Its client has no connection to its management server.",
    "client-without-roots": (
        "No root server answers ZeroTier: new peers are not found, and none can be relayed to."
    ),
    "client-without-peers": "Its status lists no peers.",
    "client-exit-away": (
        "Its exit node {name} is not online: all traffic of this machine but the tailnet's own goes nowhere."
    ),
    "client-leave-exit": (
        "Start that machine, or leave it: tailscale set --exit-node= (an empty name removes it)."
    ),
    "client-complains": "It says itself: {text}.",
    "client-start": "Start it, or log in: {command}.",
    "client-approve": "Approve this machine in the admin console.",
    "client-let-roots": "Have this network let UDP out to port 9993, or set ZeroTier's TCP relay.",
    # addresses of kubo's
    "address-of-relay": "An address through a relay ({relay}).",
    "address-untested": "Nobody has tried it yet: AutoNAT asks several servers, one after the other.",
    "address-reachable": "Somebody outside has reached it.",
    "address-doubtful": (
        "AutoNAT says that it can be reached; but this NAT lets in addresses that you have sent to, and the "
        "peer that tried was one of them. Strangers may not get in."
    ),
    "address-unreachable": "Nobody who tried it got in; the filtering here is {filtering}.",
    # addresses that a node announces
    "announced-name": "A name: peers connect to whatever it resolves to.",
    "announced-here": "It serves programs on this machine alone.",
    "announced-inside": "It serves peers on this network alone.",
    "announced-unchecked": "Whether it is this network's was not seen: no server answered over that family.",
    "announced-own": "This is the address at which others see you.",
    "try-announced": "nattools libp2p tries whether they can connect.",
    "announced-elsewhere": (
        "It is none of the addresses at which others see you ({outside:list}): whoever calls it reaches "
        "nobody, or somebody else."
    ),
    "announce-no-more": (
        "Take it out of the node's settings, or write today's address there (kubo: Addresses.Announce, "
        "AppendAnnounce; js-libp2p: addresses.announce, appendAnnounce)."
    ),
    "announces-nothing-outside": (
        "The node announces no address outside this network and none through a relay: only peers here find "
        "it."
    ),
    "announce-outside": (
        "Forward its ports over TCP and UDP, and announce them (kubo: Addresses.AppendAnnounce; js-libp2p: "
        "addresses.appendAnnounce), or reserve a place at a relay."
    ),
    # several tailnets
    "clash-addresses": "Both have machines with the same address: {address}, {count} in all.",
    "clash-range": (
        "Both give their machines addresses of {network}. On Linux each client drops packets from there that "
        "come by another interface."
    ),
    "clash-carrier": (
        "{address} on {interface} belongs to the provider's network, in the range that the tailnet uses too: "
        "on Linux its client drops packets from there."
    ),
    "give-other-range": (
        "Give one of them another range (headscale: prefixes.v4), or run one client in userspace "
        "(tailscaled --tun=userspace-networking)."
    ),
    "clash-routes": "Both have a route to {network}: which one is used is chance.",
    "clash-routes-within": (
        "{owner} has a route to {network}, which takes that part out of the other's route to {wider}."
    ),
    "accept-one": "Accept the routes of only one of them (tailscale set --accept-routes=false on the other).",
    "clash-local": "It has a route to {network}, which includes this machine's own network ({address}).",
    "renumber": "Give one of the two networks other addresses, or do not accept that route here.",
    "clash-port": "Two clients are seen at {endpoint}: only one of them can have port {port}.",
    "choose-port": "Give one of them a port of its own: tailscaled --port=41642.",
    "clash-rules": (
        "Both clients set this system's routes, firewall rules and name servers, under the same names: the "
        "later one undoes what the other has set."
    ),
    "run-in-userspace": (
        "Run one of them in userspace (tailscaled --tun=userspace-networking) or in a container of its own."
    ),
    "clash-exit-nodes": (
        "Both want to send all traffic to their exit nodes; {owner:or it is not known which} gets it."
    ),
    "one-exit-node": "Keep one exit node: tailscale set --exit-node= removes the other.",
    "default-route-of": (
        "All other traffic goes by {owner}, and so do the servers and relays of {others:and}."
    ),
}
