"""Text from servers, routers and saved reports, made safe to print.

A hostile server can put anything into a report: terminal escape sequences, marks that turn the direction of
writing, megabytes. Whatever is not printable is shown as its escape, and long text is cut.
"""

from __future__ import annotations

import unicodedata

from nattools.wording.terms import TIE

LIMIT = 600


def safe(text: str, limit: int = LIMIT) -> str:
    """One line of printable characters, at most about `limit` long.

    White space becomes a plain space; control, format, surrogate and unassigned characters become `\\xNN`,
    `\\uNNNN` or `\\UNNNNNNNN`.
    """
    cut = text if len(text) <= limit else f"{text[:limit]} ... ({len(text) - limit} more characters)"
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(_safe_character(character) for character in cut)


def _safe_character(character: str) -> str:
    if character.isprintable():
        return character
    if character in " \t\n\r\u00a0":
        return " "
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def valid_text(name: str) -> str:
    """A file's name as JSON can hold it: bytes that are no UTF-8 become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def width(text: str) -> int:
    """Columns that the text takes on a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrap(text: str, columns: int) -> list[str]:
    """One line of text as lines of at most `columns` (at least 2) columns, broken at spaces if possible."""
    lines: list[str] = []
    line = ""
    for word in filter(None, text.split(" ")):
        for piece in _pieces(word, columns):
            if line and width(line) + 1 + width(piece) <= columns:
                line += f" {piece}"
            else:
                lines += [line] if line else []
                line = piece
    return [untied(one) for one in [*lines, line]] if line else lines or [""]


def untied(text: str) -> str:
    """The text with plain spaces alone."""
    return text.replace(TIE, " ")


def _pieces(word: str, columns: int) -> list[str]:
    """A word that is too long for a line, broken behind a hyphen, or else where the line ends."""
    pieces = []
    while (end := _fitting(word, columns)) < len(word):
        end = word.rfind("-", 1, end) + 1 or end
        pieces.append(word[:end])
        word = word[end:]
    return [*pieces, word]


def _fitting(word: str, columns: int) -> int:
    """How many of its characters fit into a line; at least one."""
    taken = 0
    for place, character in enumerate(word):
        taken += _character_width(character)
        if taken > columns:
            return max(place, 1)
    return len(word)


def json_escape(character: str) -> str:
    """As JSON writes a character in ASCII: beyond 16 bits in two halves (RFC 8259 7)."""
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
