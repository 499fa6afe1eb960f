"""A report without what tells who sent it. Every text of it goes through here, whatever field it stands in:
what is not a word of nattools' own becomes a pseudonym."""

from __future__ import annotations

import re
from collections.abc import Container
from ipaddress import ip_address
from typing import Any

import msgspec

from nattools.errors import CannotRun, ProtocolError
from nattools.model.endpoint import parse_address
from nattools.model.provider import Provider
from nattools.model.report import Report
from nattools.protocols.nat64 import Nat64Prefix, parse_prefix
from nattools.report.redaction.knownwords import constants, is_known, value_names
from nattools.report.redaction.nameplaces import is_figure_here, is_name_here
from nattools.report.redaction.pseudonyms import Pseudonyms, plain_mac, taken_by
from nattools.wording.texts import with_texts

_TOKEN = re.compile(
    r"""
    (?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))
    |(?P<mac>(?<![\w.-])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![\w:-]))
    |(?P<alone>(?<!\S):\d{1,5}(?![\w.:]))
    |(?P<coded>
        (?:(?:%|=|\\+x|\\+u|&\#x?)[0-9A-Fa-f]{2,6};?){2,}[\w%=;-]*
        |(?<![\w.:,/-])[0-9A-Fa-f]{2}(?P<gap>[ ,])[0-9A-Fa-f]{2}(?:(?P=gap)[0-9A-Fa-f]{2}){3,}(?![\w-])
        |(?<![\w.:,/-])\d{1,3}(?P<comma>[ ,/])\d{1,3}(?:(?P=comma)\d{1,3}){2,}(?![\w.:-])
     )
    |(?P<address>
        (?<![\w.])(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*:|::)[0-9A-Fa-f:.]*(?:[0-9A-Fa-f]|::)
        |(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\w)
     )(?:/(?P<length>\d{1,3})(?!\w|\.\w))?(?P<port>\]?:\d{1,5}(?![\w.:]))?
    |(?P<word>\w[\w.'-]*)
    |(?P<sign>[^\x00-\x7f]+)
    """,
    re.VERBOSE,
)
_VERSION = re.compile(r"\d{1,3}\.\d{1,3}(?:\.\d{1,3})?(?=[-+])", re.ASCII)
"""What is kept of a version whose end somebody chose, as a kernel's."""
_PORTS = ("aimed", "hit", "pool", "port_range", "blocked_ports", "open_ports", "wanted_port", "external_port")
"""Numbers of a report that are ports."""
_PORTS_AS_TEXT = ("port", "ports")
_MACHINES = ("peers", "neighbours")
"""Lists of machines that somebody gave their names."""
_TAILNETS = ("tailnets", "status")
"""A list of networks with names, and what a program says of its own."""
_UNNAMED = re.compile(r"tailnet \d+", re.ASCII)
_NUMBERS = re.compile(r"\d{1,5}(?:(?:, | and | or |-)\d{1,5})*", re.ASCII)

_DIGITS = re.compile(r"\d+", re.ASCII)


class Redaction(msgspec.Struct, frozen=True):
    """What to take out. `salt`: reports that are redacted with the same one agree in their pseudonyms.
    `keep` "private": private addresses stay; "asn", "country": whose network it was stays, as the report says
    or `provider`. `ports`: ports are changed too."""

    salt: str | None = None
    keep: frozenset[str] = frozenset()
    ports: bool = False
    provider: Provider | None = None


def redacted(report: Report, wanted: Redaction) -> Report:
    """The report with pseudonyms for all that tells who sent it; its verdicts, times and figures stay.

    CannotRun: something of the original would still stand in the result, so that there is none."""
    provider, before = wanted.provider or report.provider, report.redacted
    report = msgspec.structs.replace(report, provider=None, redacted=None)
    plain = msgspec.to_builtins(report)
    search = _Search()
    _walk(plain, "", search)
    pseudonyms = Pseudonyms(
        wanted.salt,
        keep_private="private" in wanted.keep,
        ports=wanted.ports,
        taken=search.originals,
        prefixes=tuple(search.prefixes),
    )
    scrubber = _Scrubber(pseudonyms, names=search.names, given=search.given, ports=wanted.ports)
    result = with_texts(msgspec.convert(_walk(plain, "", scrubber), Report))
    _check(result, scrubber.replaced)
    kept = provider and _kept(provider, wanted.keep)
    return msgspec.structs.replace(result, provider=kept, redacted=pseudonyms.mark(before))


def _kept(provider: Provider, keep: frozenset[str]) -> Provider | None:
    """As much of it as may stay."""
    kept = Provider(
        asn=provider.asn if "asn" in keep else None,
        name=provider.name if "asn" in keep else None,
        country=provider.country if "country" in keep else None,
    )
    return None if kept == Provider() else kept


class _Reading:
    """What becomes of the texts and ports of a report."""

    changes_ports = False

    def text(self, text: str) -> str:
        """Any."""
        return text

    def name(self, text: str) -> str:
        """What somebody called a machine or its network."""
        return self.text(text)

    def value(self, text: str) -> str:
        """What may be such a name: a value of a sentence."""
        return self.text(text)

    def port(self, number: int) -> int:
        """If `changes_ports`."""
        return number


def _walk(part: Any, name: str, reading: _Reading) -> Any:
    """All texts changed, keys of tables included, but for those of sentences' values; and ports, which have
    names that say so."""
    if isinstance(part, str):
        if name in _PORTS_AS_TEXT and _NUMBERS.fullmatch(part):
            if not reading.changes_ports:
                return part
            return _DIGITS.sub(lambda digits: str(reading.port(int(digits.group()))), part)
        return reading.value(part) if name in _TAILNETS else reading.text(part)
    if isinstance(part, dict):
        return {
            key if key in value_names() else reading.text(key): _walk_field(part, name, key, reading)
            for key in part
        }
    if isinstance(part, list | tuple):
        return [_walk(value, name, reading) for value in part]
    if reading.changes_ports and name in _PORTS and isinstance(part, int) and 0 <= part < 65536:
        return reading.port(part)
    return part


def _walk_field(part: dict[str, Any], name: str, key: str, reading: _Reading) -> Any:
    """A field of what is called `name`."""
    value = part[key]
    if key == "name" and isinstance(value, str) and _is_given(value, part, name):
        return reading.name(value)
    if name == "values" and key not in _PORTS_AS_TEXT:
        if isinstance(value, str):
            return reading.value(value)
        if isinstance(value, list | tuple):
            return [
                reading.value(each) if isinstance(each, str) else _walk(each, key, reading) for each in value
            ]
    return _walk(value, key, reading)


def _is_given(text: str, part: dict[str, Any], name: str) -> bool:
    """Is it the name that somebody gave a machine, or a network, and not what nattools calls one without?"""
    if name in _MACHINES:
        return True
    named = name in _TAILNETS or part.get("kind") == "tailnet"
    return named and text.lower() not in constants() and not _UNNAMED.fullmatch(text)


class _Search(_Reading):
    """The first reading: what stands in the report, so that no pseudonym is another original; and what
    machines and networks are called."""

    def __init__(self) -> None:
        self.originals: set[str] = set()
        self.names: set[str] = set()
        self.given: set[str] = set()
        self.prefixes: dict[Nat64Prefix, None] = {}

    def text(self, text: str) -> str:
        for token in _TOKEN.finditer(text):
            address = _address(token)
            if token["alone"]:
                continue
            if address is None:
                word = _word(token).lower()
                self.originals.add(plain_mac(token["mac"]) if token["mac"] else word)
                if token["word"] and is_name_here(text, token.start(), token.start() + len(word)):
                    self.names.add(word)
                continue
            self.originals.update(taken_by(address))
            if token["length"]:
                self._prefix(f"{address}/{token['length']}")
        return text

    def name(self, text: str) -> str:
        self.given.add(text.lower())
        return self.text(text)

    def _prefix(self, text: str) -> None:
        try:
            self.prefixes[parse_prefix(text)] = None
        except ProtocolError:
            return


class _Scrubber(_Reading):
    """The second reading. `names`: words that are names somewhere; `given`: what machines and networks are
    called. `replaced`: the originals that must be gone, which is all but words of nattools' own."""

    def __init__(
        self, pseudonyms: Pseudonyms, *, names: Container[str], given: Container[str], ports: bool
    ) -> None:
        self.replaced: set[str] = set()
        self.changes_ports = ports
        self._pseudonyms = pseudonyms
        self._names = names
        self._given = given

    def text(self, text: str) -> str:
        """A text with pseudonyms; a value of a closed set stays."""
        return text if text in constants() else _TOKEN.sub(self._token, text)

    def name(self, text: str) -> str:
        """It may be words of nattools' own: Mark, Max Pi."""
        words = text.split()
        return self._pseudonyms.name(text) if words and all(map(is_known, words)) else self.text(text)

    def port(self, number: int) -> int:
        return self._pseudonyms.port(number)

    def value(self, text: str) -> str:
        """The text redacted: the same name has the same pseudonym; a value of a closed set stays."""
        given = text.lower() in self._given and text not in constants()
        return self.name(text) if given else self.text(text)

    def _token(self, token: re.Match[str]) -> str:
        whole = token.group()
        if token["time"]:
            return whole
        if token["alone"]:
            return f":{self._port(whole[1:])}"
        address = _address(token)
        if address is not None:
            return self._address(token, address)
        if token["mac"]:
            self.replaced.add(whole)
            return self._pseudonyms.mac(whole)
        word = _word(token)
        if not token["coded"] and self._may_stay(word, token):
            return whole
        if not is_known(word):
            self.replaced.add(word)
        version = _VERSION.match(word)
        return (version.group() if version else self._pseudonyms.name(word)) + whole[len(word) :]

    def _may_stay(self, word: str, token: re.Match[str]) -> bool:
        """Is it a word of nattools' own or a figure, and where it stands no name?"""
        place = token.string, token.start(), token.start() + len(word)
        if is_name_here(*place) or (word.lower() in self._names and word == token.string):
            return False
        return is_known(word) and (not word[0].isdigit() or is_figure_here(*place))

    def _address(self, token: re.Match[str], address: str) -> str:
        length = token["length"]
        if length and int(length) <= parse_address(address).max_prefixlen:
            made = f"{self._pseudonyms.network(address, int(length))}/{length}"
        else:
            made = self._pseudonyms.address(address) + (f"/{length}" if length else "")
        if not made.startswith(token["address"]):
            self.replaced.add(token["address"])
        before, colon, port = (token["port"] or "").rpartition(":")
        if not colon:
            return made
        return f"{made}{before}:{self._port(port)}"

    def _port(self, digits: str) -> int:
        number = int(digits)
        return self._pseudonyms.port(number) if number < 65536 else number


def _word(token: re.Match[str]) -> str:
    """Without the marks that end a sentence."""
    return token.group().rstrip(".'-")


def _address(token: re.Match[str]) -> str | None:
    """The address in canonical form; None for what only looks so."""
    if not token["address"]:
        return None
    try:
        return str(ip_address(token["address"]))
    except ValueError:
        return None


class _Leftovers(_Reading):
    """The last reading: what still stands there."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def text(self, text: str) -> str:
        if text not in constants():
            self.found.update(token["address"] or _word(token) for token in _TOKEN.finditer(text))
        return text


def _check(report: Report, originals: set[str]) -> None:
    """Is nothing of the original left? CannotRun otherwise."""
    left = _Leftovers()
    _walk(msgspec.to_builtins(report), "", left)
    if left.found & originals:
        raise CannotRun(
            "the report cannot be redacted: something of the original would remain in it",
            "Please report this as a defect of nattools, without the report.",
        )
