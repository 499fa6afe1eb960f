"""As much of YAML as headscale's DERP maps are written in: nested keys, lists, plain and quoted values,
comments.

No anchors, tags, several documents or blocks of text: whoever uses them is told the line.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Final, NamedTuple

import msgspec

from nattools.errors import ProtocolError

_COMMENT: Final = re.compile(r"""("(?:\\.|[^"\\])*"?|'[^']*'?)|(?:^|(?<=\s))#.*""")
_KEY: Final = re.compile(
    r"""(?:"([^"]*)"|'([^']*)'|([^\s"'\[\]{}#&*!|>%@`-][^:]*|-[^\s:][^:]*)):(?:\s+|\Z)"""
)
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}\Z", re.ASCII)
_WORDS: Final = {"": None, "~": None, "null": None, "true": True, "false": False}
_DEEPEST: Final = 12


class _Line(NamedTuple):
    number: int
    indent: int
    text: str


def read_yaml(text: str) -> Any:
    """Dictionaries, lists and values. ProtocolError: it is not of that kind; the text names the line."""
    lines: deque[_Line] = deque()
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub(lambda found: found[1] or "", raw).rstrip()
        if line.strip() and line != "---":
            lines.append(_Line(number, len(line) - len(line.lstrip(" ")), line.lstrip(" ")))
    if not lines:
        raise ProtocolError("it is empty")
    value = _block(lines, 0)
    if lines:
        raise ProtocolError(f"line {lines[0].number} is not indented as those before it")
    return value


def _block(lines: deque[_Line], depth: int) -> Any:
    """Take all lines that are indented as the first one is, with what belongs to them."""
    if depth > _DEEPEST:
        raise ProtocolError(f"line {lines[0].number} is nested too deep")
    return (_list if _is_item(lines[0]) else _dictionary)(lines, lines[0].indent, depth)


def _is_item(line: _Line) -> bool:
    return line.text == "-" or line.text.startswith("- ")


def _list(lines: deque[_Line], indent: int, depth: int) -> list[Any]:
    found = []
    while lines and lines[0].indent == indent and _is_item(lines[0]):
        first = lines.popleft()
        text = first.text[1:].lstrip(" ")
        if _KEY.match(text) or text.startswith("- "):  # a block that begins behind the dash
            lines.appendleft(_Line(first.number, indent + len(first.text) - len(text), text))
            found.append(_block(lines, depth + 1))
        else:
            found.append(_value(first, text) if text else _below(lines, indent + 1, depth))
    return found


def _dictionary(lines: deque[_Line], indent: int, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while lines and lines[0].indent == indent and not _is_item(lines[0]):
        line = lines.popleft()
        key = _KEY.match(line.text)
        if key is None:
            raise ProtocolError(f"line {line.number} is neither JSON nor 'key: value'")
        text = line.text[key.end() :]
        name = next(each for each in key.groups() if each is not None).strip()
        found[name] = _value(line, text) if text else _below(lines, indent, depth)
    return found


def _below(lines: deque[_Line], indent: int, depth: int) -> Any:
    """The block that belongs to a key without a value; a list may stand right below it. None: there is
    none."""
    if lines and (lines[0].indent > indent or (lines[0].indent == indent and _is_item(lines[0]))):
        return _block(lines, depth + 1)
    return None


def _value(line: _Line, text: str) -> Any:
    if text[0] in '"[{':
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            raise ProtocolError(f"the value in line {line.number} cannot be read") from None
    if text[0] in "&*!|>%@`":
        raise ProtocolError(f"line {line.number} uses more of YAML than is read here")
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return int(text) if _NUMBER.match(text) else text
