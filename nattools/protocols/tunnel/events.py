"""What a session tells whoever drives it."""

from __future__ import annotations

import msgspec

from nattools.protocols.tunnel.purpose import Purpose


class Greeted(msgspec.Struct, frozen=True):
    """The peer is here (again). `uses`: what it was started for."""

    uses: tuple[str, ...]


class Opened(msgspec.Struct, frozen=True):
    """The peer has opened a stream: use it, or reset it."""

    stream: int
    purpose: Purpose


class Data(msgspec.Struct, frozen=True):
    """Bytes of a stream, in order and once. Call `consume` when they have been used."""

    stream: int
    data: bytes


class Ended(msgspec.Struct, frozen=True):
    """The peer has no more to say on this stream."""

    stream: int


class Reset(msgspec.Struct, frozen=True):
    """The peer has reset this stream; it is forgotten."""

    stream: int
    reason: str


class Progress(msgspec.Struct, frozen=True):
    """The peer has received more of a stream: `kept` has become less."""

    stream: int


class Done(msgspec.Struct, frozen=True):
    """A stream is over: each side has all of the other's bytes."""

    stream: int


class Answered(msgspec.Struct, frozen=True):
    """An echo has come back."""

    number: int


class Goodbye(msgspec.Struct, frozen=True):
    """The peer is done; an empty `reason` means that all is well."""

    reason: str


Event = Greeted | Opened | Data | Ended | Reset | Progress | Done | Answered | Goodbye
