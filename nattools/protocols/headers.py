"""Header lines as HTTP and SSDP write them (RFC 9112 5, UPnP Device Architecture 1.3). Pure, and bounded."""

from __future__ import annotations

from nattools.errors import ProtocolError

MAX_HEAD = 16384
MAX_HEADERS = 100
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


class Headers:
    """Names are lower case; the values of lines with the same name are joined by a comma, save that
    `get_all` has them apart. Values are text without control characters."""

    __slots__ = ("_lines",)

    def __init__(self, lines: list[tuple[str, str]]) -> None:
        self._lines = lines

    def get(self, name: str, default: str = "") -> str:
        """The value of a header, by its lower-case name."""
        values = self.get_all(name)
        return ", ".join(values) if values else default

    def get_all(self, name: str) -> list[str]:
        """The values of all lines with that name, in order."""
        return [value for known, value in self._lines if known == name]

    def __len__(self) -> int:
        return len(self._lines)


def split_head(data: bytes | bytearray) -> int | None:
    """Where the body begins, None if the head is not all there. A line may end with LF alone (RFC 9112 2.2).

    ProtocolError: no head is that long."""
    ends = []
    for blank in (b"\r\n\r\n", b"\n\n", b"\n\r\n"):
        found = data.find(blank, 0, MAX_HEAD)
        if found >= 0:
            ends.append(found + len(blank))
    if ends:
        return min(ends)
    if len(data) >= MAX_HEAD:
        raise ProtocolError(f"a head of more than {MAX_HEAD} bytes")
    return None


def parse_head(data: bytes | bytearray) -> tuple[str, Headers]:
    """The first line, and the header lines; lines that are none are skipped. ProtocolError: too many."""
    text = bytes(data).decode("utf-8", "replace").replace("\r\n", "\n")
    first, _, rest = text.strip("\n").partition("\n")
    lines: list[tuple[str, str]] = []
    for line in rest.split("\n"):
        if not line.strip():
            continue
        if line[0] in " \t" and lines:
            name, value = lines[-1]
            lines[-1] = name, f"{value} {_clean(line)}"
            continue
        header = _header(line)
        if header is not None:
            lines.append(header)
        if len(lines) > MAX_HEADERS:
            raise ProtocolError(f"more than {MAX_HEADERS} header lines")
    return _clean(first), Headers(lines)


def _header(line: str) -> tuple[str, str] | None:
    """None: it is no header line. Some devices write such, and what matters is on the others."""
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t").lower()  # some routers put a blank before the colon
    if not colon or not name or not set(name) <= _TOKEN:
        return None
    return name, _clean(value)


def _clean(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text).strip()
