"""What a server tells its operator once it serves: what it offers, and what it could not do and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from nattools.model.endpoint import family_of
from nattools.server.site import Site


def describe(
    sites: Iterable[Site],
    is_public: Callable[[str], bool],
    *,
    tcp: bool,
    dial_back: bool,
    mailbox: bool = False,
    tls: bool = False,
) -> str:
    """Lines of text, the first one a summary."""
    lines = [_summary(tcp, dial_back)]
    for site in sites:
        lines += _lines(site, is_public)
    if mailbox:
        lines.append(
            f"Mailbox (WebSocket) on the same ports over TCP{', with and without TLS' if tls else ''}"
        )
    return "\n".join(lines)


def _summary(tcp: bool, dial_back: bool) -> str:
    services = "STUN (RFC 8489)" + (" and dial-back" if dial_back else "")
    return f"{services} over {'UDP and TCP' if tcp else 'UDP'}"


def _lines(site: Site, is_public: Callable[[str], bool]) -> Iterator[str]:
    hosts = [row[0].host for row in site.endpoints]
    ports = [endpoint.port for endpoint in site.endpoints[0]]
    family = f"IPv{family_of(hosts[0])}"
    yield f"{family}  {' and '.join(hosts)}, port{'s' * (len(ports) > 1)} {' and '.join(map(str, ports))}"
    yield "      " + _behaviour(len(hosts), len(ports))
    for host in hosts:
        if not is_public(host):
            yield f"      {host} is not a public address: clients elsewhere cannot reach it"


def _behaviour(hosts: int, ports: int) -> str:
    if hosts == 2 and ports == 2:
        return "RFC 5780: clients learn mapping and filtering behaviour in full"
    if ports == 1:
        return "No RFC 5780 (OTHER-ADDRESS is left out): it needs two ports, and two addresses"
    return "No RFC 5780 (OTHER-ADDRESS is left out): it needs a second address. Change-port is answered"
