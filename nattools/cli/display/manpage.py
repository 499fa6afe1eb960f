"""The manual page (`nattools --man`), made from what the commands say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nattools import __version__
from nattools.cli.display.help import EXAMPLES, grouped

_EXIT = "0 done; 1 the answer is no; 2 wrong usage; 3 it could not run; 70 a defect; 130 interrupted."


def manual(group: Any) -> str:
    """The page in man(7)'s macros, for the application."""
    lines = [f'.TH NATTOOLS 1 "" "nattools {__version__}" "User Commands"', ".SH NAME"]
    lines += ["nattools \\- NAT traversal toolkit and diagnostics", ".SH SYNOPSIS", ".B nattools"]
    lines += [".I COMMAND", "[OPTIONS] [ARGUMENTS]", ".SH DESCRIPTION", _roff(group.help)]
    with group.make_context("nattools", [], resilient_parsing=True) as context:
        lines += _options(group, context)
        for name in group.list_commands(context):
            lines += _command(group.get_command(context, name), context, name)
    lines += [
        ".SH EXIT STATUS",
        _EXIT,
    ]
    return "\n".join(lines) + "\n"


def _command(command: Any, parent: Any, path: str) -> Iterator[str]:
    with command.make_context(path.split()[-1], [], parent=parent, resilient_parsing=True) as context:
        yield f'.SH "NATTOOLS {path.upper()}"'
        usage = " ".join(command.collect_usage_pieces(context))
        yield from (f".B nattools {path}", _roff(usage), ".PP", _roff(command.help or ""))
        yield from _options(command, context)
        for typed, purpose in EXAMPLES.get(path, ()):
            yield from (".PP", _roff(purpose) + ":", ".br", f".B {_roff(typed)}")
        if hasattr(command, "list_commands"):
            for name in command.list_commands(context):
                yield from _command(command.get_command(context, name), context, f"{path} {name}")


def _options(command: Any, context: Any) -> Iterator[str]:
    for title, rows in grouped(command, context).items():
        yield f'.SS "{title}"'
        for names, purpose in rows:
            yield from (".TP", f".B {_roff(names)}", _roff(purpose) or "\\&")


def _roff(text: str) -> str:
    """Text of which no macro and no escape can come."""
    plain = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain[:1] in (".", "'") else plain
