"""`nattools serve`: the server that the other commands measure with."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import Annotated

import typer

from nattools.net.host import HostNetwork
from nattools.server.choose import default_addresses
from nattools.server.serve import ServeConfig, serve

Listen = Annotated[
    list[str] | None,
    typer.Option(
        "--listen",
        metavar="ADDRESS",
        help="An address of this machine to serve on; twice for RFC 5780, and IPv6 beside IPv4. "
        "Left out: the addresses that the default routes use.",
    ),
]
Port = Annotated[int, typer.Option("--port", metavar="N", help="The port that clients are told.")]
AlternatePort = Annotated[
    int | None,
    typer.Option(
        "--alternate-port",
        metavar="N",
        help="The second port, for RFC 5780. Left out: the next one. 0: none.",
    ),
]
NoTcp = Annotated[bool, typer.Option("--no-tcp", help="Serve over UDP alone.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Tell of every dial-back.")]


def command(
    listen: Listen = None,
    port: Port = 3478,
    alternate_port: AlternatePort = None,
    no_tcp: NoTcp = False,
    verbose: Verbose = False,
) -> None:
    """Serve STUN (RFC 8489, and RFC 5780 with two addresses) and dial-back, until SIGTERM or Ctrl-C.

    Clients need one option: --server ADDRESS. It is ready when it says so on standard error.
    """
    network = HostNetwork()
    config = ServeConfig(
        addresses=tuple(listen or default_addresses(network)),
        port=port,
        alternate_port=_alternate(port, alternate_port),
        tcp=not no_tcp,
        report=_report if verbose else None,
    )
    asyncio.run(_serve_until_told(network, config))


async def _serve_until_told(network: HostNetwork, config: ServeConfig) -> None:
    """Ends in good order on SIGTERM; on Ctrl-C, asyncio cancels it and raises KeyboardInterrupt."""
    stop = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # Windows has no SIGTERM to handle
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    running = await serve(network, config)
    try:
        _tell("nattools serve is ready: " + running.services.replace("\n", "\n  "))
        await stop.wait()
    finally:
        await running.close()


def _alternate(port: int, alternate_port: int | None) -> int | None:
    """Beside a port that the system chooses, the system chooses the second one too."""
    if alternate_port is None:
        return port + 1 if port else 0
    return alternate_port or None


def _report(text: str) -> None:
    _tell(f"nattools serve: {text}")


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
