"""`nattools nat`."""

from __future__ import annotations

from nattools.cli.measuring import measuring_command

command = measuring_command(
    "nat",
    "Measure NAT behaviour over UDP and TCP, IPv4 and IPv6: mapping, filtering, port allocation, "
    "hairpinning, binding lifetime, layers of NAT.",
)
