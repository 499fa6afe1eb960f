"""A report as one JSON document (RFC 8259)."""

from __future__ import annotations

import msgspec

from nattools.model.report import Report


def render_json(report: Report) -> str:
    """Exactly one JSON document, indented, ending in a newline. Control characters are escaped."""
    document = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
    return _escaped_controls(document) + "\n"


def _escaped_controls(document: str) -> str:
    """JSON lets DEL, C1 controls and marks of direction stand as they are; a terminal would obey them."""
    if document.isascii() and "\x7f" not in document:
        return document
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in document)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
