"""The frames of the tunnel: a length, a type, and the body.

    0..3  length of the body, unsigned, in network byte order, at most MAX_BODY
    4     type
    5...  body

`hello` and the purpose within `open` are msgpack; the other bodies are numbers of fixed size, with bytes or
text behind them. Offsets count a stream's bytes from 0; its end counts as one byte more, so that a
stream of 10 bytes is acknowledged to its end with 11 (as TCP counts FIN, RFC 9293 3.4).
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct as Layout
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from nattools.errors import ProtocolError
from nattools.model.endpoint import Transport

VERSION: Final = 1
SESSION_SIZE: Final = 16
MAX_DATA: Final = 32_768
"""Bytes of one data frame: small enough for other streams to get their turn."""
MAX_BODY: Final = MAX_DATA + 12
MAX_STREAMS: Final = 256
"""That each side may have opened and not ended at one time."""
MAX_REASON: Final = 300
"""Bytes of the text of a reset or goodbye."""
MAX_OFFSET: Final = 1 << 62
_MAX_USES: Final = 16
MAX_PURPOSE: Final = 1024
"""Bytes of the msgpack form."""
MAX_BENCH_S: Final = 60.0

_VISIBLE: Final = r"^[^\x00-\x20\x7f]*\Z"  # names may be in any language, but no system call gets a NUL

StreamId = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
Offset = Annotated[int, Meta(ge=0, le=MAX_OFFSET)]


class State(msgspec.Struct, frozen=True, array_like=True):
    """How far its sender has received a stream, and up to which offset it may be sent."""

    stream: StreamId
    received: Offset
    limit: Offset


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """The first frame on every connection, from both sides. `opened`: how many of the other side's streams
    were heard of, ever; `streams`: those of both sides that are not over; `uses`: what the program was
    started for, in words that both sides know."""

    version: int
    session: Annotated[bytes, Meta(min_length=SESSION_SIZE, max_length=SESSION_SIZE)]
    opened: Annotated[int, Meta(ge=0, le=0x7FFFFFFF)]
    streams: Annotated[tuple[State, ...], Meta(max_length=2 * MAX_STREAMS)] = ()
    uses: Annotated[tuple[Annotated[str, Meta(max_length=32)], ...], Meta(max_length=_MAX_USES)] = ()


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


class Open(msgspec.Struct, frozen=True):
    """A new stream; each side numbers its own, one after the other."""

    stream: int
    purpose: Purpose


class DataFrame(msgspec.Struct, frozen=True):
    """Bytes of a stream, the first of them at `offset`."""

    stream: int
    offset: int
    data: bytes


class Credit(msgspec.Struct, frozen=True):
    """Received up to `received`; bytes may be sent up to `limit`."""

    stream: int
    received: int
    limit: int


class EndFrame(msgspec.Struct, frozen=True):
    """The stream's sender has no more to say; it said `final` bytes."""

    stream: int
    final: int


class Reset(msgspec.Struct, frozen=True):
    """Both directions are over, and what was on its way is of no interest any more."""

    stream: int
    reason: str


class Gone(msgspec.Struct, frozen=True):
    """The answer to a reset: its sender has forgotten the stream."""

    stream: int


class EchoRequest(msgspec.Struct, frozen=True):
    """To be answered at once."""

    number: int


class EchoAnswer(msgspec.Struct, frozen=True):
    """The answer."""

    number: int


class Goodbye(msgspec.Struct, frozen=True):
    """Its sender has nothing more to do here; an empty `reason` means that all is well."""

    reason: str


Frame = Hello | Open | DataFrame | Credit | EndFrame | Reset | Gone | EchoRequest | EchoAnswer | Goodbye

_HEAD: Final = Layout("!IB")
_DATA_HEAD: Final = Layout("!IBIQ")
_hello: Final = msgspec.msgpack.Decoder(Hello)
_purpose: Final[msgspec.msgpack.Decoder[Purpose]] = msgspec.msgpack.Decoder(Purpose)


def _read_purpose(data: bytes) -> Purpose:
    if len(data) > MAX_PURPOSE:
        raise ProtocolError(f"a stream's purpose of {len(data)} bytes; {MAX_PURPOSE} are allowed")
    try:
        return _purpose.decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise ProtocolError(f"not a stream's purpose: {error}") from None


def _read_data(data: bytes) -> bytes:
    if not data:
        raise ProtocolError("a data frame without data")
    return data


def _reason(text: str) -> bytes:
    """Cut to what is allowed, between two characters."""
    return text.encode(errors="replace")[:MAX_REASON].decode(errors="ignore").encode()


def _read_reason(data: bytes) -> str:
    if len(data) > MAX_REASON:
        raise ProtocolError(f"a reason of {len(data)} bytes; {MAX_REASON} are allowed")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProtocolError("a reason that is not text") from None


class _Type(NamedTuple):
    """A type of frame: numbers of fixed size, then perhaps one more field. A number behind the first is an
    offset."""

    frame: Callable[..., Frame]
    name: str
    numbers: Layout
    write: Callable[[Any], bytes] | None = None
    read: Callable[[bytes], Any] | None = None


_TYPES: Final = (
    _Type(Hello, "hello", Layout("")),  # msgpack, all of it
    _Type(Open, "open", Layout("!I"), msgspec.msgpack.encode, _read_purpose),
    _Type(DataFrame, "data", Layout("!IQ"), bytes, _read_data),
    _Type(Credit, "credit", Layout("!IQQ")),
    _Type(EndFrame, "end", Layout("!IQ")),
    _Type(Reset, "reset", Layout("!I"), _reason, _read_reason),
    _Type(Gone, "gone", Layout("!I")),
    _Type(EchoRequest, "echo request", Layout("!Q")),
    _Type(EchoAnswer, "echo answer", Layout("!Q")),
    _Type(Goodbye, "goodbye", Layout(""), _reason, _read_reason),
)
"""By the number on the wire."""
_NUMBER_OF: Final[dict[Callable[..., Frame], int]] = {
    each.frame: number for number, each in enumerate(_TYPES)
}
_DATA: Final = _NUMBER_OF[DataFrame]


def data_frame(stream: int, offset: int, data: bytes) -> bytes:
    """A data frame's bytes, without the detour over `DataFrame`: most of all frames are such."""
    return _DATA_HEAD.pack(len(data) + 12, _DATA, stream, offset) + data


def encode(frame: Frame) -> bytes:
    """The frame's bytes."""
    number = _NUMBER_OF[type(frame)]
    kind, fields = _TYPES[number], msgspec.structs.astuple(frame)
    if isinstance(frame, Hello):
        body = msgspec.msgpack.encode(frame)
    elif kind.write is None:
        body = kind.numbers.pack(*fields)
    else:
        body = kind.numbers.pack(*fields[:-1]) + kind.write(fields[-1])
    return _HEAD.pack(len(body), number) + body


def decode(number: int, body: bytes) -> Frame:
    """Read a frame's body. ProtocolError: it is none."""
    if number >= len(_TYPES):
        raise ProtocolError(f"a frame of the unknown type {number}")
    kind = _TYPES[number]
    if kind.frame is Hello:
        return _read_hello(body)
    size = kind.numbers.size
    if len(body) < size or (len(body) > size and kind.read is None):
        raise ProtocolError(f"{kind.name}: a frame of {len(body)} bytes instead of {size}")
    fields: tuple[Any, ...] = kind.numbers.unpack_from(body)
    for offset in fields[1:]:
        if offset > MAX_OFFSET:
            raise ProtocolError(f"an absurd offset: {offset}")
    return kind.frame(*fields) if kind.read is None else kind.frame(*fields, kind.read(body[size:]))


def _read_hello(body: bytes) -> Hello:
    try:
        return _hello.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise ProtocolError(f"not a hello: {error}") from None


class Deframer:
    """Cuts the byte stream into frames. It never holds more than one frame and what was fed last."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. ProtocolError: what came is no frame."""
        buffer = self._buffer + data if self._buffer else data
        frames: list[Frame] = []
        position, available = 0, len(buffer)
        while available - position >= _HEAD.size:
            length, kind = _HEAD.unpack_from(buffer, position)
            if length > MAX_BODY:
                raise ProtocolError(f"a frame of {length} bytes; {MAX_BODY} are allowed")
            start = position + _HEAD.size
            if available < start + length:
                break
            position = start + length
            frames.append(decode(kind, buffer[start:position]))
        self._buffer = buffer[position:]
        return frames
