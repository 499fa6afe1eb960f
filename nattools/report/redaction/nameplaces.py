"""Where in a text a word can only be a name that somebody chose, even if nattools has the same word: in URLs,
mail addresses and the paths of users' files. And which numbers are figures, where others could be part of a
name, a telephone number or a code."""

from __future__ import annotations

import re

_URL = re.compile(r"\W*(?:[a-z][a-z0-9+.-]*://|(?:stun|turn)s?:)", re.IGNORECASE)
_DNS = re.compile(r"/dns(?:4|6|addr)?/$")
_OWN_FOLDERS = re.compile(
    r"\W*?(?:/(?:home|users|media|mnt|volumes|run|root|tmp|var|opt|srv)/|~|[a-z]:[\\/]|\\\\)", re.IGNORECASE
)
"""How a path begins in which people's folders stand; not those of the system's own files."""
_LONGEST = 1000
"""So far back a text is looked at, that a stranger's may be as long as it likes."""
_OF_URLS = frozenset({"transport", "udp", "tcp", "localhost"})
_FIGURE_BEFORE = re.compile(
    r"(?:\b(?:ports?|udp|tcp|quic|rfc|mtu|ttl|errno|below|above)[ (/:]*(?:\d{1,5}(?:,|-| to| and| or) ?)*"
    r"|(?:^|[ \W])(?:(?:stun|turn)s?:|[a-z]+://)\S*:|[\w-]\.[\w-]+\.?:|\]:)$",
    re.IGNORECASE | re.ASCII,
)
_FIGURE_BEHIND = re.compile(
    r" ?(?:m?s|min|h|days?|bytes?|bits?|[kKMG]?B|[kMG]?bit/s|[kMG]iB|packets?|ports?|times|tries|reports?"
    r"|hops?|would|seconds|minutes|hours|datagrams|mappings|frames)\b",
    re.ASCII,
)
_LONG = re.compile(r"\d{4}")
_BUILD = re.compile(r"\d{1,2}\.\d\.\d{4,5}", re.ASCII)
"""Windows' version."""


def is_name_here(text: str, start: int, end: int) -> bool:
    """Is what stands there a part of a URL, of a mail address, or of the path of a user's file?"""
    if text[end : end + 1] == "@" or text[max(start - 1, 0) : start] == "@":
        return True
    before = text[_chunk(text, start) : start]
    word = text[start:end]
    if _URL.match(before):
        known = word.lower() in _OF_URLS or word.isdigit() or ("." in word and text[start - 1] in "/:")
        return not known
    return bool(_DNS.search(before) or _OWN_FOLDERS.match(before))


def _chunk(text: str, start: int) -> int:
    """Where what stands together with it begins, if that is not too far back."""
    least = max(start - _LONGEST, 0)
    return max(least, *(text.rfind(space, least, start) + 1 for space in " \t\n"))


def is_figure_here(text: str, start: int, end: int) -> bool:
    """Is a number of four or five digits a port, a size, a time or of a standard, by the words around it?"""
    if not _LONG.search(text, start, end) or _BUILD.fullmatch(text, start, end):
        return True
    return bool(_FIGURE_BEFORE.search(text[max(start - 120, 0) : start]) or _FIGURE_BEHIND.match(text, end))
