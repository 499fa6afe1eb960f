"""Other people's STUN clients, and what each says of a kind of NAT when it is right.

The kinds are scenarios that kernel NAT can be; each client is given what helps it most: its own address, so
that it can tell no NAT from a NAT, and a server with two addresses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

KINDS = (
    "open",
    "firewall",
    "kernel-full-cone",
    "kernel-address-restricted",
    "kernel-masquerade",
    "kernel-fully-random",
    "udp-blocked",
)
SERVER = "11.201.0.2"
TIMES = 3
"""So often a client is asked where it is not right: some wait for less than a second for an answer, and ask
once, so that on a busy machine they take it for a filter. What is wrong stays so."""


class Client(NamedTuple):
    """`program`: what must be installed. `command` gets the server's address and the host's own. `says`:
    texts that its output holds for a kind, if it is right; `never`: texts that would make it wrong."""

    name: str
    program: str
    command: Callable[[str, str], list[str]]
    says: Mapping[str, tuple[str, ...]]
    never: Mapping[str, tuple[str, ...]] = {}

    def is_right(self, kind: str, output: str) -> bool:
        """Does it say what is so?"""
        has_all = all(text in output for text in self.says[kind])
        return has_all and not any(text in output for text in self.never.get(kind, ()))


_PYSTUN = "import stun, sys; print(stun.get_ip_info(sys.argv[2], 0, sys.argv[1])[0])"
_CONE = "Independent Mapping, {} Filter, preserves ports, no hairpin"
_ONE_MAPPING, _ANY_FILTER = "Endpoint Independent Mapping!", "NAT with Endpoint Independent Filtering!"
_ADDRESS_FILTER = "NAT with Address Dependent Filtering!"
_PORT_FILTER = "NAT with Address and Port Dependent Filtering!"

VOVIDA = Client(
    "vovida stun",
    "stun",
    lambda server, own: ["stun", server],
    {
        "open": ("Primary: Open",),
        "firewall": ("Primary: Firewall",),
        "kernel-full-cone": (_CONE.format("Independent"),),
        "kernel-address-restricted": (_CONE.format("Address Dependent"),),
        "kernel-masquerade": (_CONE.format("Port Dependent"),),
        "kernel-fully-random": ("Dependent Mapping, random port, no hairpin",),
        "udp-blocked": ("Primary: Blocked",),
    },
    {"kernel-fully-random": ("Independent Mapping",)},
)
NATDISCOVERY = Client(
    "turnutils_natdiscovery",
    "turnutils_natdiscovery",
    lambda server, own: ["turnutils_natdiscovery", "-m", "-f", "-L", own, server],
    {
        # it calls every filter a NAT's: whether there is one, the line about the mapping says
        "open": ("No NAT! (Endpoint Independent Mapping)", _ANY_FILTER),
        "firewall": ("No NAT! (Endpoint Independent Mapping)", _PORT_FILTER),
        "kernel-full-cone": (f"NAT with {_ONE_MAPPING}", _ANY_FILTER),
        "kernel-address-restricted": (f"NAT with {_ONE_MAPPING}", _ADDRESS_FILTER),
        "kernel-masquerade": (f"NAT with {_ONE_MAPPING}", _PORT_FILTER),
        "kernel-fully-random": ("NAT with Address and Port Dependent Mapping!", _PORT_FILTER),
        "udp-blocked": ("STUN receive timeout",),
    },
    {"udp-blocked": ("UDP reflexive addr", "Mapping!", "Filtering!")},
)
PYSTUN3 = Client(
    "pystun3",
    sys.executable,
    lambda server, own: [sys.executable, "-c", _PYSTUN, server, own],
    {
        "open": ("Open Internet\n",),
        "firewall": ("Symmetric UDP Firewall\n",),
        "kernel-full-cone": ("Full Cone\n",),
        "kernel-address-restricted": ("Restric NAT\n",),
        "kernel-masquerade": ("Restric Port NAT\n",),
        "kernel-fully-random": ("Symmetric NAT\n",),
        "udp-blocked": ("Blocked\n",),
    },
)
CLIENTS = (VOVIDA, NATDISCOVERY, PYSTUN3)
