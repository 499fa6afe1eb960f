"""The support code of `nattools ipv6`: the answers, without any address, in thirteen characters that can be
read out.

A row of choices is one number (each choice a digit to the base of how many there are), written with the
digits and letters of Crockford's base 32, which has no I, L, O or U: what sounds or looks alike is read
alike. The first character is the version, the last one a check that catches a wrong character and two that
changed places. Version 1 had ten characters, and fewer choices; it is still read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, get_args

from msgspec.structs import replace

from nattools.model.droppedat import DroppedAt
from nattools.model.ipv6 import (
    PROBLEMS,
    Inbound,
    InboundByTransport,
    Ipv6,
    Nat64Use,
    PathMtu,
    PathMtuByFamily,
    PinholeTrial,
    ProblemCode,
    ReachableByTransport,
    Translation,
    explained,
)
from nattools.model.packetform import FormPassage, FragmentsByFamily

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ALIKE: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_VERSION: Final = "2"
_LENGTHS: Final = {"1": 10, "2": 13}
_TRUTHS: Final = (None, False, True)
_FIRST: Final[tuple[ProblemCode, ...]] = PROBLEMS[:15]
_LATER: Final[tuple[ProblemCode, ...]] = PROBLEMS[15:]
"""Their order is part of the code. Later ones go into a later version of it."""


class _Choice(NamedTuple):
    """One of `values`, as `of` finds it in the answers."""

    of: Callable[[Ipv6], Any]
    values: tuple[Any, ...]


def _nat64(found: Ipv6) -> bool | str | None:
    return "none" if found.nat64 is None else found.nat64.works


def _pinhole(found: Ipv6) -> bool | str | None:
    return "none" if found.pinhole is None else found.pinhole.verified_inbound


def _pinhole_stopped(found: Ipv6) -> bool:
    return found.pinhole is not None and found.pinhole.outcome == "stopped"


def _black_hole(found: Ipv6) -> bool | None:
    return None if found.path_mtu.ipv6 is None else found.path_mtu.ipv6.black_hole


def _problem(code: ProblemCode) -> _Choice:
    return _Choice(lambda found: found.has(code), (False, True))


def _passes(
    which: Callable[[Ipv6], FormPassage | None], way: Callable[[FormPassage], bool | None]
) -> _Choice:
    def of(found: Ipv6) -> bool | None:
        passage = which(found)
        return None if passage is None else way(passage)

    return _Choice(of, _TRUTHS)


_OLD_CHOICES: Final[dict[str, _Choice]] = {
    "capable": _Choice(lambda found: found.capable, _TRUTHS),
    "works": _Choice(lambda found: found.works, _TRUTHS),
    "udp": _Choice(lambda found: found.inbound.udp, get_args(Inbound)),
    "tcp": _Choice(lambda found: found.inbound.tcp, get_args(Inbound)),
    "icmp": _Choice(lambda found: found.reachable.icmp, _TRUTHS),
    "dropped_at": _Choice(lambda found: found.dropped_at, (None, *get_args(DroppedAt))),
    "translation": _Choice(lambda found: found.translation, get_args(Translation)),
    "nat64": _Choice(_nat64, ("none", *_TRUTHS)),
    "pinhole": _Choice(_pinhole, ("none", *_TRUTHS)),
    "punched": _Choice(lambda found: found.punched, _TRUTHS),
    "preferred": _Choice(lambda found: found.preferred, (None, 4, 6)),
    "black_hole": _Choice(_black_hole, _TRUTHS),
    **{code: _problem(code) for code in _FIRST},
}
_CHOICES: Final[dict[str, _Choice]] = {
    **_OLD_CHOICES,
    "fragments_out": _passes(lambda found: found.fragments.ipv6, lambda each: each.outbound),
    "fragments_in": _passes(lambda found: found.fragments.ipv6, lambda each: each.inbound),
    "headers_out": _passes(lambda found: found.extension_headers, lambda each: each.outbound),
    "headers_in": _passes(lambda found: found.extension_headers, lambda each: each.inbound),
    **{code: _problem(code) for code in _LATER},
    "pinhole_stopped": _Choice(_pinhole_stopped, (False, True)),
}
_BY_VERSION: Final = {"1": _OLD_CHOICES, "2": _CHOICES}


def support_code(found: Ipv6) -> str:
    """The code of these answers, in groups: "2ABC-DEFG-HJKMN"."""
    number = 0
    for choice in _CHOICES.values():
        number = number * len(choice.values) + choice.values.index(choice.of(found))
    digits = ""
    for _ in range(_LENGTHS[_VERSION] - 2):
        number, digit = divmod(number, 32)
        digits = _ALPHABET[digit] + digits
    text = _VERSION + digits
    text += _ALPHABET[_check(text)]
    return f"{text[:4]}-{text[4:8]}-{text[8:]}"


def read_support_code(text: str) -> Ipv6:
    """The answers that a code stands for, however it was written down. ValueError: it is none, with the
    reason."""
    plain = text.upper().translate(_ALIKE)
    length = _LENGTHS.get(plain[:1], _LENGTHS[_VERSION])
    if len(plain) != length:
        raise ValueError(f"a support code has {length} letters and digits, this one {len(plain)}")
    if any(each not in _ALPHABET for each in plain):
        raise ValueError("a support code has digits and letters, but no U and no other signs")
    if plain[0] not in _BY_VERSION:
        raise ValueError(f"this code was made by a later nattools (it begins with {plain[0]})")
    if _ALPHABET[_check(plain[:-1])] != plain[-1]:
        raise ValueError("a letter or digit is wrong, or two have changed places: have it read out again")
    number = 0
    for each in plain[1:-1]:
        number = number * 32 + _ALPHABET.index(each)
    chosen: dict[str, Any] = {}
    for name, choice in reversed(_BY_VERSION[plain[0]].items()):
        number, place = divmod(number, len(choice.values))
        chosen[name] = choice.values[place]
    if number:
        raise ValueError("no nattools has made this code")
    return _answers(chosen)


def _check(text: str) -> int:
    """A polynomial over the field of 32 elements, as Reed-Solomon codes have: one wrong character, or two
    that changed places, always give another value."""
    found = 0
    for each in text:
        found = _twice(found ^ _ALPHABET.index(each))
    return found


def _twice(element: int) -> int:
    """Multiplied by the field's generator, modulo x^5 + x^2 + 1."""
    doubled = element << 1
    return doubled ^ 0b100101 if doubled & 32 else doubled


def _answers(chosen: dict[str, Any]) -> Ipv6:
    reached = {"open": True, "unknown": None}
    nat64, pinhole, hole = chosen["nat64"], chosen["pinhole"], chosen["black_hole"]
    way = chosen.get
    found = Ipv6(
        capable=chosen["capable"],
        works=chosen["works"],
        inbound=InboundByTransport(udp=chosen["udp"], tcp=chosen["tcp"]),
        reachable=ReachableByTransport(
            udp=reached.get(chosen["udp"], False),
            tcp=reached.get(chosen["tcp"], False),
            icmp=chosen["icmp"],
        ),
        dropped_at=chosen["dropped_at"],
        translation=chosen["translation"],
        nat64=None if nat64 == "none" else Nat64Use(works=nat64),
        pinhole=_tried_pinhole(pinhole, stopped=way("pinhole_stopped") is True),
        punched=chosen["punched"],
        preferred=chosen["preferred"],
        path_mtu=PathMtuByFamily(ipv6=None if hole is None else PathMtu(black_hole=hole)),
        fragments=FragmentsByFamily(ipv6=_passage(way("fragments_out"), way("fragments_in"))),
        extension_headers=_passage(way("headers_out"), way("headers_in")),
    )
    codes = [code for code in (*_FIRST, *_LATER) if chosen.get(code)]
    found = replace(found, problems=tuple(explained(code, found) for code in codes))
    return replace(found, code=support_code(found))


def _tried_pinhole(verified: bool | str | None, *, stopped: bool) -> PinholeTrial | None:
    if isinstance(verified, str):
        return None
    at: DroppedAt | None = "host" if stopped else None
    return PinholeTrial(protocol="pcp", verified_inbound=verified, dropped_at=at)


def _passage(outbound: bool | None, inbound: bool | None) -> FormPassage | None:
    known = outbound is not None or inbound is not None
    return FormPassage(outbound=outbound, inbound=inbound) if known else None
