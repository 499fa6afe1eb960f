"""What a stream is for: whoever opens it says so, and the other side takes it or resets it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from nattools.errors import ProtocolError
from nattools.model.endpoint import Transport

MAX_PURPOSE: Final = 1024
"""Bytes of the msgpack form."""
MAX_BENCH_S: Final = 60.0

_VISIBLE: Final = r"^[^\x00-\x20\x7f]*\Z"  # names may be in any language, but no system call gets a NUL

Host = Annotated[str, Meta(min_length=1, max_length=255, pattern=_VISIBLE)]
Port = Annotated[int, Meta(ge=1, le=65535)]


class Pipe(msgspec.Struct, frozen=True, array_like=True, tag="pipe"):
    """One side's standard input to the other's standard output, both ways."""


class TcpTo(msgspec.Struct, frozen=True, array_like=True, tag="tcp"):
    """The bytes of a TCP connection that the other side is to make."""

    host: Host
    port: Port


class UdpTo(msgspec.Struct, frozen=True, array_like=True, tag="udp"):
    """The datagrams between one socket here and a place that the other side is to send them to."""

    host: Host
    port: Port


class Listen(msgspec.Struct, frozen=True, array_like=True, tag="listen"):
    """The other side is to listen for as long as this stream lasts. An empty `host` means its loopback;
    a `port` of 0 one that it chooses. Once it listens, it writes where, as text, and a line feed."""

    transport: Transport
    host: Annotated[str, Meta(max_length=255, pattern=_VISIBLE)]
    port: Annotated[int, Meta(ge=0, le=65535)]


class Accepted(msgspec.Struct, frozen=True, array_like=True, tag="accepted"):
    """What a client of the listener said; `listener` is the stream that asked for it, `source` the client."""

    listener: Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
    source: Annotated[str, Meta(max_length=80, pattern=_VISIBLE)]


class Bench(msgspec.Struct, frozen=True, array_like=True, tag="bench"):
    """Bytes to be counted. Of "up" and "datagrams" the other side counts what arrives and answers with the
    counts; of "down" it sends for so many seconds."""

    what: Literal["up", "down", "datagrams"]
    seconds: Annotated[float, Meta(gt=0, le=MAX_BENCH_S)]


Purpose = Pipe | TcpTo | UdpTo | Listen | Accepted | Bench

_decoder: Final[msgspec.msgpack.Decoder[Purpose]] = msgspec.msgpack.Decoder(Purpose)


def pack_purpose(purpose: Purpose) -> bytes:
    """The msgpack form."""
    return msgspec.msgpack.encode(purpose)


def unpack_purpose(data: bytes) -> Purpose:
    """Read it. ProtocolError: it is none."""
    if len(data) > MAX_PURPOSE:
        raise ProtocolError(f"a stream's purpose of {len(data)} bytes; {MAX_PURPOSE} are allowed")
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise ProtocolError(f"not a stream's purpose: {error}") from None
