"""The network failures that the operating system's error numbers stand for."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final, Literal

from nattools.net.base import IcmpError, SendFailure, TcpFailure

_Meaning = Literal["refused", "timeout", "unreachable", "prohibited", "too-big", "reset"]

_MEANINGS: dict[int, _Meaning] = {
    errno.ECONNREFUSED: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
    errno.EPERM: "prohibited",
    errno.EACCES: "prohibited",
    errno.EMSGSIZE: "too-big",
    errno.ECONNRESET: "reset",
    errno.ECONNABORTED: "reset",
    errno.EPIPE: "reset",
    # the Windows Sockets numbers, where they differ
    10013: "prohibited",
    10040: "too-big",
    10050: "unreachable",
    10051: "unreachable",
    10053: "reset",
    10054: "reset",
    10060: "timeout",
    10061: "refused",
    10065: "unreachable",
}

RAW_ADVICE: Final = "Run as root, or with CAP_NET_RAW."
"""Where raw sockets are not permitted."""

PORT_IN_USE = (errno.EADDRNOTAVAIL, 10049, errno.EADDRINUSE, 10048)


def describe(error: OSError) -> str:
    """The system's own sentence for an error, in lower case and without its number."""
    # asyncio puts the address into strerror, and resolvers have numbers of their own
    if error.errno and not isinstance(error, socket.gaierror):
        text = os.strerror(error.errno)
    else:
        text = str(error.strerror or error)
    return text[:1].lower() + text[1:]


def _meaning(error: OSError) -> _Meaning | None:
    for number in (error.errno, getattr(error, "winerror", None)):
        if number in _MEANINGS:
            return _MEANINGS[number]
    return None


def send_failure(error: OSError) -> SendFailure:
    """Why a datagram did not leave."""
    match _meaning(error):
        case "unreachable" | "prohibited" | "too-big" | "refused" as meaning:
            return meaning
        case _:
            return "error"


def tcp_failure(error: OSError) -> TcpFailure:
    """Why a connection did not come about."""
    match _meaning(error):
        case "refused" | "timeout" | "unreachable" | "prohibited" | "reset" as meaning:
            return TcpFailure(meaning, describe(error))
        case _ if error.errno in PORT_IN_USE:
            return TcpFailure(
                "error", "this local port has a connection to that address and port, or had one a moment ago"
            )
        case _:
            return TcpFailure("error", describe(error))


def icmp_failure(error: IcmpError) -> TcpFailure:
    """A connection attempt that an ICMP error ended."""
    message = f"ICMP type {error.icmp_type}, code {error.icmp_code} from {error.offender or 'unknown'}"
    match error.kind:
        case "port-unreachable":
            return TcpFailure("refused", message)
        case "prohibited":
            return TcpFailure("prohibited", message)
        case _:
            return TcpFailure("unreachable", f"{error.kind}: {message}")
