"""`nattools libp2p`: will libp2p connect here, and if not, why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from msgspec.structs import replace

from nattools.cli import running
from nattools.cli.display.help import measure
from nattools.cli.display.outputs import tell
from nattools.cli.options import sharedoptions
from nattools.cli.options.sharedoptions import OF_NAT, OptionGroup, Request, checked_seconds
from nattools.cli.running import Invocation
from nattools.engine.measureoptions import Emit, MeasureOptions
from nattools.errors import ProtocolError, UsageError
from nattools.model.report import Report
from nattools.net.base import Network
from nattools.report.safetext import safe

if TYPE_CHECKING:
    from nattools.engine.portmap.journal import Journal
    from nattools.protocols.libp2p.multiaddr import Multiaddr

Peers = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MULTIADDR]...",
        help="/ip4/192.0.2.1/tcp/4001, /dnsaddr/NAME (default: bootstrap peers of the public network).",
    ),
]


Wait = Annotated[
    float | None,
    measure("--wait", metavar="S", help="Then wait S seconds for calls through a relay (DCUtR)."),
]


class PeersRequest(msgspec.Struct, frozen=True):
    """The peers that were named, checked; `wait_s`: for how long to be called afterwards."""

    named: tuple[Multiaddr, ...]
    wait_s: float = 0.0


def _peers_request(peer: Peers = None, *, wait: Wait = None) -> PeersRequest:
    """UsageError says what is wrong with an address."""
    from nattools.engine.peersearch import MOST_PEERS

    wait_s = checked_seconds(wait, "--wait") or 0.0
    found = tuple(dict.fromkeys(map(_address, peer or [])))
    if len(found) > MOST_PEERS:
        raise UsageError(f"{len(found)} peers are named; at most {MOST_PEERS} are asked")
    return PeersRequest(found, wait_s)


def _address(text: str) -> Multiaddr:
    from nattools.protocols.libp2p.multiaddr import parse_multiaddr

    try:
        return parse_multiaddr(text)
    except ProtocolError as error:
        raise UsageError(f"{safe(text, 80)!r}: {error}") from None


@sharedoptions.takes(
    wanted=OptionGroup(_peers_request), request=sharedoptions.measuring("libp2p", without=OF_NAT)
)
def command(wanted: PeersRequest, request: Request) -> int:
    """Will libp2p connect here, and if not, why: which peers answer and from where they see this machine,
    whether they can dial it (AutoNAT v2, with its false positives found out), whether a relay gives a
    reservation and carries, and with which kinds of peers a relayed connection becomes direct (DCUtR). A peer
    behind a relay (/p2p-circuit) is called, and the connection upgraded.

    Without arguments: the servers that are configured, if they speak libp2p (nattools serve --libp2p), and
    bootstrap peers of the public network. Exit code 1 if no peer answered."""

    async def work(network: Network, chosen: MeasureOptions, emit: Emit, journal: Journal | None) -> Report:
        from nattools.engine.libp2pmeasurement import measure_libp2p

        return await measure_libp2p(network, _searched(wanted, chosen), emit)

    report = running.run(Invocation(request, work))
    running.deliver(report, request)
    peers = report.libp2p.peers if report.libp2p is not None else ()
    return 0 if any(peer.identified for peer in peers) else 1


def _searched(wanted: PeersRequest, chosen: MeasureOptions) -> MeasureOptions:
    """Those named, else those of the scenario, else the public ones where nothing else is configured."""
    from nattools.engine.peersearch import PeerSearch, bootstrap_peers

    if wanted.named:
        search = PeerSearch(wanted.named, named=True)
    elif chosen.libp2p is not None:
        search = chosen.libp2p
    else:
        public = chosen.default_servers and chosen.scenario is None
        search = bootstrap_peers() if public else PeerSearch()
    return replace(chosen, libp2p=replace(search, wait_s=wanted.wait_s, told=_say_where))


def _say_where(address: str) -> None:
    """Whoever is to call has to know it."""
    tell(f"nattools libp2p: can be called at {safe(address, 400)}")
