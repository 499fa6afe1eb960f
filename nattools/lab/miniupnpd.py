"""miniupnpd as a kernel router's mapper: what it is told, and whether it can be what a scenario wants."""

from __future__ import annotations

from nattools.lab.scenario import MapperSpec, NatSpec

HTTP_PORT = 5000
_UUID = "7e57ab1e-0000-4000-8000-00000000a001"


def gap(spec: MapperSpec) -> str | None:
    """Why miniupnpd cannot do what the spec says, as a clause; None when it can."""
    if spec.faults:
        return None  # it is not miniupnpd then
    if ("nat-pmp" in spec.protocols) != ("pcp" in spec.protocols):
        return "miniupnpd speaks NAT-PMP and PCP together or neither"
    return None


def configuration(
    nat: NatSpec, mapper: MapperSpec, *, inside: str, lan: str, wan: str, table: str, chains: dict[str, str]
) -> str:
    """The text of its configuration file, for the interfaces `lan` and `wan` and the inside network, with the
    nft table and the chains (`forward`, `prerouting`, `postrouting`) that it writes its rules into."""
    low, high = mapper.ports
    lines = (
        f"ext_ifname={wan}",
        f"listening_ip={lan}",  # the name: an address would be of IPv4 alone
        f"http_port={HTTP_PORT}",
        f"enable_natpmp={_yes('pcp' in mapper.protocols)}",
        f"enable_upnp={_yes('upnp-igd' in mapper.protocols)}",
        f"force_igd_desc_v1={_yes(mapper.igd == 1)}",
        f"ipv6_disable={_yes(nat.ipv6 is None)}",
        "secure_mode=yes",
        f"min_lifetime={mapper.shortest_s}",
        f"max_lifetime={mapper.longest_s}",
        f"uuid={_UUID}",
        f"upnp_table_name={table}",
        f"upnp_nat_table_name={table}",
        f"upnp_forward_chain={chains['forward']}",
        f"upnp_nat_chain={chains['prerouting']}",
        f"upnp_nat_postrouting_chain={chains['postrouting']}",
        f"allow {low}-{high} {inside} {low}-{high}",
        "deny 0-65535 0.0.0.0/0 0-65535",
    )
    return "".join(f"{line}\n" for line in lines)


def _yes(value: bool) -> str:
    return "yes" if value else "no"
