"""`nattools serve`: the server that the other commands measure with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nattools.cli.display.outputs import tell
from nattools.cli.options.peeroptions import peer_config
from nattools.cli.options.relayoptions import RelayOptions, relay_config
from nattools.errors import UsageError
from nattools.net.eventloop import allow_many_files, on_signal, run_interruptibly
from nattools.net.system.hostnetwork import HostNetwork
from nattools.net.system.libc import return_free_memory
from nattools.report.safetext import safe
from nattools.server.endpoints import default_addresses
from nattools.server.faultlog import FaultLog
from nattools.server.serving import ServeConfig, serve

_FILES, _STREAMS, _PEERS = 8192, 512, 4096

Listen = Annotated[
    list[str] | None,
    typer.Option(
        "--listen",
        metavar="ADDRESS",
        help="A local address to serve on; give two for RFC 5780, and IPv6 as well as IPv4. "
        "Default: the addresses of the default routes.",
    ),
]
Port = Annotated[int, typer.Option("--port", metavar="N", help="The port that clients connect to.")]
AlternatePort = Annotated[
    int | None,
    typer.Option(
        "--alternate-port",
        metavar="N",
        help="The second port, for RFC 5780 (default: the next one; 0: none).",
    ),
]
NoTcp = Annotated[bool, typer.Option("--no-tcp", help="Serve over UDP only.")]
NoMailbox = Annotated[bool, typer.Option("--no-mailbox", help="No mailbox for peers to meet in.")]
TlsCert = Annotated[
    str | None,
    typer.Option(
        "--tls-cert",
        metavar="FILE",
        help="A certificate in PEM, with its chain: TLS on the same ports, beside plain TCP; no DTLS.",
    ),
]
TlsKey = Annotated[str | None, typer.Option("--tls-key", metavar="FILE", help="Its private key, in PEM.")]
Relay = Annotated[
    bool, typer.Option("--relay", help="Relay for clients with credentials (TURN), on the same ports.")
]
RelayPorts = Annotated[
    str | None,
    typer.Option("--relay-ports", metavar="LO-HI", help="The ports to relay on (default: 49152-65535)."),
]
RelayLowPorts = Annotated[
    bool, typer.Option("--relay-low-ports", help="Relay to ports of peers below 1024 as well.")
]
TurnSecret = Annotated[
    str | None,
    typer.Option(
        "--turn-secret",
        metavar="SECRET|@FILE",
        envvar="NATTOOLS_TURN_SECRET",
        show_envvar=False,
        help="Make and accept time-limited credentials with this secret, as coturn's use-auth-secret does "
        "(also NATTOOLS_TURN_SECRET). Default: a random one.",
    ),
]
TurnUser = Annotated[
    list[str] | None,
    typer.Option("--turn-user", metavar="NAME:PASSWORD", help="A user of the relay; repeatable."),
]
TurnUri = Annotated[
    list[str] | None,
    typer.Option(
        "--turn-uri",
        metavar="URI",
        help="Hand out credentials for this relay, which has the same secret, instead of for its own; "
        "repeatable.",
    ),
]
Libp2p = Annotated[
    bool,
    typer.Option(
        "--libp2p", help="Be a libp2p peer too, on the same ports over TCP: identify, AutoNAT v2, relay v2."
    ),
]
Libp2pKey = Annotated[
    Path | None,
    typer.Option(
        "--libp2p-key",
        metavar="FILE",
        help="Its key, 32 bytes, made if there is none, so that its address stays. Default: a new one.",
    ),
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Log every dial-back.")]


def command(
    listen: Listen = None,
    port: Port = 3478,
    alternate_port: AlternatePort = None,
    no_tcp: NoTcp = False,
    no_mailbox: NoMailbox = False,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    relay: Relay = False,
    relay_ports: RelayPorts = None,
    relay_low_ports: RelayLowPorts = False,
    turn_secret: TurnSecret = None,
    turn_user: TurnUser = None,
    turn_uri: TurnUri = None,
    libp2p: Libp2p = False,
    libp2p_key: Libp2pKey = None,
    verbose: Verbose = False,
) -> None:
    """Serve STUN (RFC 8489, and RFC 5780 with two addresses), dial-back, the mailbox in which peers find each
    other and, with --relay, a relay (TURN), with --libp2p a libp2p peer, until SIGTERM or Ctrl-C.

    Clients need one option: --server ADDRESS. It is ready when it says so on standard error.
    """
    options = RelayOptions(relay, relay_ports, relay_low_ports, turn_secret, turn_user or (), turn_uri or ())
    files = allow_many_files()
    network = HostNetwork()
    config = ServeConfig(
        streams=min(_STREAMS, files // 4),
        peers=min(_PEERS, files // 2),
        addresses=tuple(listen or default_addresses(network)),
        port=port,
        alternate_port=_alternate(port, alternate_port),
        tcp=not no_tcp,
        mailbox=not no_mailbox,
        tls_files=_tls_files(tls_cert, tls_key),
        relay=relay_config(options, mailbox=not no_mailbox and not no_tcp, files=files),
        libp2p=peer_config(libp2p, libp2p_key, tcp=not no_tcp, files=files),
        report=(lambda text: tell(f"nattools serve: {text}")) if verbose else None,
        after_many=return_free_memory,
    )
    run_interruptibly(lambda: _serve_until_told(network, config), for_long=True)


async def _serve_until_told(network: HostNetwork, config: ServeConfig) -> None:
    """Ends in good order on SIGTERM; on Ctrl-C it is cancelled, and KeyboardInterrupt follows."""
    stop = asyncio.Event()
    on_signal(stop.set, "SIGTERM")
    faults = FaultLog(lambda text: tell(f"nattools serve: {safe(text)}"))
    asyncio.get_running_loop().set_exception_handler(faults)
    running = await serve(network, config)
    try:
        tell("nattools serve is ready: " + running.services.replace("\n", "\n  "))
        await stop.wait()
    finally:
        await running.close()


def _alternate(port: int, alternate_port: int | None) -> int | None:
    """Beside a port that the system chooses, the system chooses the second one too."""
    if alternate_port is None:
        return port + 1 if port else 0
    return alternate_port or None


def _tls_files(certificate: str | None, key: str | None) -> tuple[str, str] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("--tls-cert and --tls-key go together")
    return certificate, key
