"""Words that say nothing of who sent a report: those that nattools itself and the system write.

Everything else in a report's texts came from a network, a router, a server or a person. So that no field can
be forgotten, what is kept is listed, and not what is taken out.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import msgspec

import nattools
from nattools.model.report import Report
from nattools.wording.sentences import tables

WORD = re.compile(r"\w[\w.'-]*", re.ASCII)
_LONGEST = 40
_FOLDERS = ("engine", "model", "net", "probes", "protocols", "traversal", "wording")
"""Where the program's own words stand. Not the lab, whose examples have people's names."""
_RESOLVER = """
    name or service not known temporary failure in resolution nodename nor servname provided no address
    associated with hostname getaddrinfo failed non-recoverable errno ssl certificate verify self-signed
    unable to get local issuer alert handshake wrong version number eof occurred violation of protocol
"""
_INTERFACE = re.compile(
    r"(?:lo|eth|wlan|wwan|en|ppp|tun|tap|wg|utun|br|bond|bridge|docker|tailscale)\d{0,3}"
    r"|(?:en|wl|ww)(?:p\d{1,3}s\d{1,3}(?:f\d)?|o\d{1,3}|s\d{1,3})"
)
"""Names that systems give by themselves; not those that hold a MAC address (systemd's `enx...`)."""
_NUMBER = re.compile(
    r"(?!\d{4}\.\d{4}\.\d{4})v?\d{1,5}(?:\.\d{1,5}){0,2}(?:s|ms|x|st|nd|rd|th|h)?|RFC\d{3,4}|REQ-\d{1,2}[a-z]?",
    re.ASCII,
)
"""Not a MAC address with dots."""


def is_known(word: str) -> bool:
    """Is it a word of nattools or of the system, a number of at most five digits, or a name that every such
    interface has?"""
    if len(word) > _LONGEST or not word.isascii():
        return False
    return bool(_NUMBER.fullmatch(word)) or word.lower() in known_words() or bool(_INTERFACE.fullmatch(word))


@cache
def known_words() -> frozenset[str]:
    """All words of the program, in lower case."""
    texts = [*_sources(), _RESOLVER, *(os.strerror(code) for code in errno.errorcode)]
    found = {word.rstrip(".'-").lower() for text in texts for word in WORD.findall(text)}
    pieces = {piece for word in found if "_" not in word for piece in word.split("-") if piece.isalpha()}
    return frozenset(found | pieces)


def _sources() -> Iterator[str]:
    package = Path(nattools.__file__).parent
    for folder in _FOLDERS:
        for path in sorted((package / folder).rglob("*.py")):
            yield path.read_text(encoding="utf-8")


@cache
def constants() -> frozenset[str]:
    """All values of closed sets in the types of a report, its fields' names among them: "works", "udp4"."""
    found: set[str] = set()
    _collect(msgspec.json.schema(Report), found)
    return frozenset(found)


@cache
def value_names() -> frozenset[str]:
    """What the values of sentences are called."""
    templates = (template for table in tables().values() for template in table.values())
    return frozenset(name for each in templates for _, name, _, _ in Formatter().parse(each) if name)


def _collect(part: Any, found: set[str]) -> None:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "enum":
                found.update(one for one in value if isinstance(one, str))
            elif key == "const" and isinstance(value, str):
                found.add(value)
            elif key == "properties":
                found.update(value)
            _collect(value, found)
    elif isinstance(part, list):
        for value in part:
            _collect(value, found)
