"""Commands whose reports hold all that is promised to other people's scripts."""

from __future__ import annotations

RUNS: dict[str, tuple[str, ...]] = {
    "diagnose": ("diagnose", "--lab", "mapping-all"),
    "nat": ("nat", "--lab", "home-router", "--lifetime"),
    "ipv6": ("ipv6", "--lab", "ipv6-pinhole-pcp"),
    "slow": ("ipv6", "--lab", "ipv6-black-hole"),
    "nat64": ("ipv6", "--lab", "nat64"),
    "refused": ("map", "add", "--lab", "mapping-all", "22"),
    "map": ("map", "add", "--lab", "mapping-all", "5000"),
    "punch": ("punch", "--lab", "two-homes"),
    "relayed": ("punch", "--lab", "punch-only-443-turns"),
    "test": ("pwnat", "test", "--lab", "pwnat-public"),
    "connect": ("pwnat", "connect", "--lab", "pwnat-public"),
    "relay": ("relay", "--lab", "relay-near"),
    "lan": ("lan", "--lab", "lan-open"),
    "libp2p": ("libp2p", "--lab", "libp2p-symmetric"),
    "tailscale": ("tailscale", "--lab", "tailnet-symmetric"),
}
