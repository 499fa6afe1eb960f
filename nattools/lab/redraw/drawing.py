"""A scenario in the making, and its TOML text. What a report leaves open is marked there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_NAME = re.compile(r"[^A-Za-z0-9_-]+", re.ASCII)
_LONGEST_NAME = 12
_TEXT_LIMIT = 300

Key = tuple[tuple[str, ...], str]


class Drawing:
    """Tables by their place, in order. `mark` says of a value why it is there: the report does not tell."""

    def __init__(self, title: str, description: str) -> None:
        self._head = {"title": title, "description": description}
        self._tables: dict[tuple[str, ...], dict[str, Any]] = {}
        self._marks: dict[Key, str] = {}
        self._notes: list[str] = []

    def table(self, *place: str) -> dict[str, Any]:
        """A table; made if there is none yet."""
        return self._tables.setdefault(place, {})

    def __contains__(self, place: object) -> bool:
        """Is there such a table already?"""
        return place in self._tables

    def mark(self, place: tuple[str, ...], key: str, why: str) -> None:
        """A comment behind a value."""
        self._marks[place, key] = why

    def note(self, text: str) -> None:
        """Something that the report does not tell and that no value stands for."""
        if text not in self._notes:
            self._notes.append(text)

    def name(self, wanted: str, kind: str) -> str:
        """A name that a node may have and no other one has."""
        base = _NAME.sub("-", wanted).strip("-_")[:_LONGEST_NAME] or kind
        taken = {place[1] for place in self._tables if len(place) > 1} | {"internet"}
        found, number = base, 1
        while found in taken:
            number += 1
            found = f"{base[: _LONGEST_NAME - len(str(number))]}{number}"
        return found

    def names(self, kind: str) -> list[str]:
        """The names of the nodes of a kind, in order."""
        return [place[1] for place in self._tables if len(place) == 2 and place[0] == kind]

    @property
    def open(self) -> tuple[str, ...]:
        """What the report left open, a sentence each."""
        return (
            *self._notes,
            *(f"{'.'.join(place)}.{key}: {why}" for (place, key), why in self._marks.items()),
        )

    def toml(self) -> str:
        """The text of the file."""
        lines = [f"{key} = {toml_value(value)}" for key, value in self._head.items()]
        lines += [f"# {_one_line(note)}" for note in self._notes]
        for place, values in self._tables.items():
            lines += ["", f"[{'.'.join(map(toml_key, place))}]"]
            for key, value in values.items():
                mark = self._marks.get((place, key))
                comment = f"  # {_one_line(mark)}" if mark else ""
                lines.append(f"{toml_key(key)} = {toml_value(value)}{comment}")
        return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    """As a comment holds it: TOML lets no control characters stand there."""
    return "".join(each if each.isprintable() else " " for each in text[:_TEXT_LIMIT])


def toml_key(key: str) -> str:
    """A key, in quotes unless it may stand bare (TOML 1.0)."""
    return key if _BARE.fullmatch(key) else _quoted(key)


def toml_value(value: Any) -> str:
    """A value on one line; tables become inline tables. TypeError: TOML has nothing like it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{toml_key(key)} = {toml_value(each)}" for key, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    raise TypeError(f"no TOML for {type(value).__name__}")


def _quoted(text: str) -> str:
    """A basic string: whatever could end it or is no printable character is escaped."""
    return '"' + "".join(_escaped(each) for each in text[:_TEXT_LIMIT]) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    if 0xD800 <= code < 0xE000:
        return "?"
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
