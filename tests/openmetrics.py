"""A strict reader of OpenMetrics 1.0: a text that it takes is one that monitoring takes."""

from __future__ import annotations

import re
from typing import NamedTuple

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_META = re.compile(rf"# (TYPE|HELP|UNIT) ({_NAME}) (.*)")
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]Inf|NaN)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')
_SUFFIXES = {"gauge": ("",), "counter": ("_total", "_created"), "info": ("_info",)}

Labels = tuple[tuple[str, str], ...]


class Family(NamedTuple):
    """One metric: its type, its help, and a value for each set of labels of each of its samples."""

    kind: str
    help: str
    samples: dict[tuple[str, Labels], float]


def parsed(text: str) -> dict[str, Family]:
    """The families of a text. AssertionError: it breaks a rule of the format."""
    assert text.endswith("\n# EOF\n")
    assert text.isprintable() or all(each.isprintable() or each == "\n" for each in text)
    found: dict[str, Family] = {}
    open_name = ""
    for line in text.split("\n")[:-2]:
        assert line, "no empty lines"
        if line.startswith("#"):
            meta = _META.fullmatch(line)
            assert meta, line
            kind, name, rest = meta.groups()
            open_name = _described(found, open_name, kind, name, rest)
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, line
        family = found[open_name]
        name, labels, value = sample[1], _labels(sample[2]), float(sample[3])
        assert name in [open_name + suffix for suffix in _SUFFIXES[family.kind]], f"{name} in {open_name}"
        assert (name, labels) not in family.samples, f"twice: {line}"
        assert family.kind != "counter" or value >= 0, line
        family.samples[name, labels] = value
    assert all(family.samples for family in found.values()), "a family without samples"
    return found


def _described(found: dict[str, Family], open_name: str, kind: str, name: str, rest: str) -> str:
    """The family that a line of metadata is about: a new one, or the open one before its samples."""
    if kind == "TYPE":
        assert name not in found, f"{name} is described twice, or not in one piece"
        assert rest in _SUFFIXES, rest
        assert not any(name + suffix in found for suffix in ("_total", "_info"))
        found[name] = Family(rest, "", {})
        return name
    assert name == open_name, "metadata of another family"
    assert not found[name].samples, "metadata behind samples"
    assert kind == "HELP", "units are for names that end with them"
    assert not found[name].help
    assert re.fullmatch(r'(?:[^\\]|\\[\\"n])+', rest), rest
    found[name] = found[name]._replace(help=rest)
    return name


def _labels(text: str | None) -> Labels:
    """All of a sample's, none twice."""
    found, place = [], 0
    while text is not None and place < len(text):
        label = _LABEL.match(text, place)
        assert label, text
        found.append((label[1], label[2]))
        place = label.end()
        assert label[3] or place == len(text)
    assert text != "", "no labels, but their brackets"
    assert len({name for name, _ in found}) == len(found), text
    return tuple(sorted(found))
