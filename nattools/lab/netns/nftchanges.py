"""nftables texts for what happens to a router while it runs: pure."""

from __future__ import annotations

import re

from nattools.lab.netns.nft import TABLE
from nattools.lab.scenario import NatSpec, RouterSpec

_HOOKED_CHAIN = re.compile(r"^  chain (\w+) \{$", re.MULTILINE)
_LOOKED_UP = re.compile(r"^  (map|set) (\w+) \{$", re.MULTILINE)
CUT = "nattools_cut"
CUTTING = f"""table inet {CUT} {{
  chain arriving {{
    type filter hook prerouting priority -400; policy drop;
    iifname "lo" accept
  }}
}}
"""
"""Loses whatever arrives at a node, before anything else looks at it."""
MENDING = f"delete table inet {CUT}\n"


def forgetting(spec: RouterSpec) -> str:
    """Empties the table of ports that were used lately; "" where there is none."""
    if spec.filtering == "address-and-port-dependent":
        return ""
    return f"flush {'map' if isinstance(spec, NatSpec) else 'set'} inet {TABLE} used\n"


def replacing(before: str, after: str) -> str:
    """One ruleset (as `nft.ruleset` writes it) in the place of another one, at once. The rules of port
    mappings stay, for their chains are neither emptied nor deleted; a chain that is no more is left empty."""
    lines = [f"flush chain inet {TABLE} {name}" for name in _HOOKED_CHAIN.findall(before)]
    lines += [f"delete {kind} inet {TABLE} {name}" for kind, name in _LOOKED_UP.findall(before)]
    return "\n".join([*lines, after])
