"""Secrets in all the forms in which they hide in reports, what of each must not be found afterwards, and
reports that are full of them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import inspect

from nattools.model.report import Report


class Secret(NamedTuple):
    """A text that a report holds, and the parts of it that tell who sent that."""

    text: str
    needles: tuple[str, ...]


class Person(NamedTuple):
    """Whose network it was: nothing in common with anybody else, nor with nattools' own words."""

    name: str
    token: str
    mac: bytes
    ipv4: IPv4Address
    site: int


_SYLLABLES = ("ko", "wal", "zy", "bru", "nek", "tso", "mir", "jaf", "qui", "vex", "lud", "hop")
_ALPHABET = "bcdfghjkmnpqrtvwxz23456789"


def person(number: int) -> Person:
    """The `number`th one, 0..255."""
    first, second, third = number % 12, number // 12 % 12, (number * 5 + 7) % 12
    seed = number * 7919 + 104729
    token = "".join(_ALPHABET[(seed >> place) * 31 % len(_ALPHABET)] for place in range(16))
    return Person(
        name=f"{_SYLLABLES[first]}{_SYLLABLES[second]}{_SYLLABLES[third]}zq",
        token=f"{token[:12]}q{number:03d}",
        mac=bytes((0x3C, 0xA6, 0x2F, 0xB0 | number >> 4, 0x5A ^ number, 0xE1)),
        ipv4=IPv4Address(bytes((84, 137, 61 + number % 128, 89 + number % 100))),
        site=0x2A02_8071_0000 | 0xB180 + number,
    )


def forms(who: Person) -> tuple[Secret, ...]:
    """All of one person's."""
    return (*_names(who), *_encoded(who), *_machines(who), *_ipv4(who), *_ipv6(who), *_numbers(who))


def _names(who: Person) -> Iterator[Secret]:
    name, token = who.name, who.token
    for text in (
        name,
        f"{name}-laptop.local",
        f"{name.capitalize()}'s iPhone",
        f"cannot open /home/{name}/.config/nattools/relay.toml: permission denied",
        f"C:\\Users\\{name}\\AppData\\report.json",
        f"{name}@kitchen.example.org",
        f"SSID {name.upper()} Guest",
        f"[Errno 2] No such file or directory: '/media/{name}/usb'",
        f"stun:{name}:3478",
        f"BEGIN{name}END",
        f"server at {name}, line 3; user={name}; host:{name}",
    ):
        yield Secret(text, (name,))
    yield Secret(f"https://{name}:{token}@relay.example.org/cb?key={token}#{name}", (name, token))
    yield Secret(f"Authorization: Bearer {token}.{token[::-1]}", (token, token[::-1]))
    yield Secret(f"tskey-auth-{token}-CNTRL", (token,))
    yield Secret(
        f"uuid:2f402f80-da50-11e1-9b23-{who.mac.hex()}::upnp:rootdevice", (who.mac.hex(), "2f402f80")
    )


def _encoded(who: Person) -> Iterator[Secret]:
    raw = who.name.encode()
    for text in (
        base64.b64encode(raw).decode(),
        raw.hex(),
        who.name[::-1],
        "".join(f"%{byte:02x}" for byte in raw),
        "".join(f"\\x{byte:02x}" for byte in raw),
        "".join(f"&#{byte};" for byte in raw),
        raw.hex(" "),
        ",".join(map(str, raw)),
        quote(f"{who.name} {who.name}"),
        who.name.encode("utf-16-be").hex(),
        "".join(chr(0xFF01 + ord(letter) - 0x21) for letter in who.name),
    ):
        yield Secret(f"value {text}", (text.rstrip("="), who.name))


def _machines(who: Person) -> Iterator[Secret]:
    mac = who.mac
    for text in (
        mac.hex(":"),
        mac.hex("-").upper(),
        mac.hex(),
        f"{mac[:2].hex()}.{mac[2:4].hex()}.{mac[4:].hex()}",
        mac.hex(" "),
        f"enx{mac.hex()}",
    ):
        yield Secret(f"card {text}", (text, mac[3:].hex(), mac[3:].hex(":")))
    eui = bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]
    half = int.from_bytes(eui, "big")
    for network in (0xFE80 << 112, who.site << 80, 0xFD12_3456_0000_0000 << 64):
        text = str(IPv6Address(network | half))
        yield Secret(f"from {text}%3 port 546", (text, eui[5:].hex()[2:], f"{half & 0xFFFF:x}"))
    group = str(IPv6Address((0xFF02 << 112) | (0x1FF << 24) | int.from_bytes(mac[3:], "big")))
    yield Secret(f"joined {group}", (group, mac[4:].hex()))


def _ipv4(who: Person) -> Iterator[Secret]:
    dotted, value = str(who.ipv4), int(who.ipv4)
    digits = who.ipv4.packed
    for text in (
        dotted,
        f"{dotted}:41641",
        f"http://{dotted}:5000/rootDesc.xml",
        f"{dotted.replace('.', '-')}.dyn.{who.name}.net",
        f"{IPv4Address(digits[::-1])}.in-addr.arpa",
        f"p{value:08x}.dip0.{who.name}.de",
        f"0x{value:08x}",
        str(value),
        ",".join(map(str, digits)),
        "_".join(map(str, digits)),
        f"[::ffff:{dotted}]:3478",
    ):
        yield Secret(f"seen as {text}", (text, dotted, f"{value:08x}", dotted.replace(".", "-")))


def _ipv6(who: Person) -> Iterator[Secret]:
    value = int(who.ipv4)
    high, low = f"{value >> 16:x}", f"{value & 0xFFFF:x}"
    embedded = (
        (0x64FF9B << 96) | value,
        (0x64FF9B0001 << 80) | (value >> 16 << 64) | (value & 0xFFFF) << 40,
        (0x2002 << 112) | value << 80 | 1,
        (0x20010000 << 96) | value << 64 | 0x8000 << 48 | (value ^ 0xFFFFFFFF),
        (0xFFFF << 32) | value,
        value,
        (who.site << 80) | value,
        (0xFE80 << 112) | (0x5EFE << 32) | value,
    )
    for number in embedded:
        text = str(IPv6Address(number))
        yield Secret(f"via {text}", (text, f"{high}:{low}", str(who.ipv4)))
    site = str(IPv6Address(who.site << 80))
    yield Secret(f"prefix {site}/56", (site, f"{who.site & 0xFFFF:x}"))
    yield Secret(f"[{IPv6Address(who.site << 80 | 0xABC)}]:51820", (f"{who.site & 0xFFFF:x}",))
    nibbles = ".".join(reversed(f"{who.site << 80 | 0xABC:032x}"))
    yield Secret(f"{nibbles}.ip6.arpa", (nibbles,))
    yield Secret(f"joined ff3e:30:{site}1", (f"{who.site & 0xFFFF:x}",))


def _numbers(who: Person) -> Iterator[Secret]:
    number = int.from_bytes(who.mac[3:], "big")
    serial = f"{number % 90000 + 10000}"
    for text in (f"SN {serial}", f"Telekom-{serial}", f"WLAN {serial}", f"+49 170 {serial}{serial}", serial):
        yield Secret(text, (serial,))
    yield Secret(f"IMEI 35{number:08d}00003", (f"{number:08d}",))


def all_secrets(people: int) -> list[Secret]:
    """Those of so many people, one form after the other."""
    each = (forms(person(number)) for number in range(people))
    return [secret for form in zip(*each, strict=True) for secret in form]


def left_of(secret: Secret, text: str) -> list[str]:
    """Which parts of it stand in a text that is in lower case."""
    return [needle for needle in secret.needles if needle.lower() in text]


def filled(kind: Any, source: Iterator[str], planted: list[str], many: int = 2) -> Any:
    """A value of the type, with one of the texts of `source` in each text, which are collected; tuples have
    `many` elements, or one of each type that is allowed."""
    match kind:
        case inspect.StrType():
            planted.append(next(source))
            return planted[-1]
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.UnionType():
            first = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
            return filled(first, source, planted, many)
        case inspect.StructType():
            made = {field.encode_name: filled(field.type, source, planted, many) for field in kind.fields}
            return made | ({kind.tag_field: kind.tag} if kind.tag_field else {})
        case inspect.VarTupleType() if isinstance(kind.item_type, inspect.UnionType):
            return [filled(each, source, planted, many) for each in kind.item_type.types]
        case inspect.VarTupleType():
            return [filled(kind.item_type, source, planted, many) for _ in range(many)]
        case inspect.TupleType():
            return [filled(each, source, planted, many) for each in kind.item_types]
        case inspect.DictType():
            several = isinstance(kind.value_type, inspect.UnionType)
            values = kind.value_type.types if several else (kind.value_type,)
            pairs = ((filled(kind.key_type, source, planted), each) for each in values)
            return {key: filled(each, source, planted, many) for key, each in pairs}
        case inspect.BoolType():
            return True
        case inspect.IntType() | inspect.FloatType():
            return 1
        case inspect.NoneType():
            return None
    raise AssertionError(f"no example of {kind}")


def planted_into(report: Report, source: Iterator[Secret]) -> tuple[Report, list[Secret]]:
    """The report with a secret behind each text that is free, and those. By the report's own types, so that
    it holds for fields that are yet to come."""
    planted: list[Secret] = []

    def put(kind: Any, value: Any) -> Any:
        if value is None:
            return None
        match kind:
            case inspect.StrType():
                planted.append(next(source))
                return f"{value}; {planted[-1].text}"  # behind "tcp" a number is a port
            case inspect.StructType():
                return value | {
                    field.encode_name: put(field.type, value[field.encode_name])
                    for field in kind.fields
                    if field.encode_name in value
                }
            case inspect.UnionType():
                return put(_chosen(kind, value), value)
            case inspect.VarTupleType():
                return [put(kind.item_type, each) for each in value]
            case inspect.TupleType():
                return [put(*each) for each in zip(kind.item_types, value, strict=True)]
            case inspect.DictType():
                return {key: put(kind.value_type, each) for key, each in value.items()}
        return value

    made = put(inspect.type_info(Report), msgspec.to_builtins(report))
    return msgspec.convert(made, Report), planted


def _chosen(kind: inspect.UnionType, value: Any) -> Any:
    """The type among several that the value is of; None: one that holds no text."""
    for each in kind.types:
        if isinstance(each, inspect.StructType):
            if isinstance(value, dict) and value.get(each.tag_field or "", each.tag) == each.tag:
                return each
        elif isinstance(value, _PLAIN.get(type(each), ())):
            return each
    return None


_PLAIN: dict[type, type | tuple[type, ...]] = {
    inspect.StrType: str,
    inspect.VarTupleType: (list, tuple),
    inspect.TupleType: (list, tuple),
    inspect.DictType: dict,
}
