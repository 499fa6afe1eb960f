"""Events of `--events` beside those of a measurement: how the command ended, and what is said for a person
otherwise. They are made without anything that would have to be imported first: a machine that refuses that
may be why the command ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from nattools.defects import DEFECTS, ErrorInWords, say_in_words
from nattools.report.safetext import json_escape, valid_text

_WITHOUT_MEMORY = (
    b'{"event":"failed","at_s":null,"text":"this machine refuses: out of memory",'
    b'"advice":"Give it more memory, or end other programs.","exit_code":3}\n'
)


class Reader:
    """Who reads standard error: a person, or a program that asked for events."""

    is_program = False

    def choose(self, *, program: bool) -> None:
        """From here on what is told of, defects too, is told to this one."""
        self.is_program = program
        DEFECTS.say = _taken_as_notice if program else say_in_words


READER = Reader()


def wants_events(arguments: Sequence[str]) -> bool:
    """Is what is written to standard error read by a program? Of `lab` the option is about something else."""
    return "--events" in arguments and arguments[0] != "lab"


def notice(text: str) -> None:
    """Something to know."""
    write_event("notice", text=text.removeprefix("nattools").lstrip(": "))


def last_event(exit_code: int, message: str = "", remedy: str = "") -> None:
    """How the command ended; nothing follows. Codes above 1 are those of a failure."""
    try:
        if exit_code in (0, 1):
            write_event("done", exit_code=exit_code)
        else:
            write_event("failed", text=message, advice=remedy, exit_code=exit_code)
    except MemoryError:
        with suppress(OSError):
            os.write(2, _WITHOUT_MEMORY)


def write_event(kind: str, **values: str | int) -> None:
    """A line in ASCII, whatever the locale is. A standard error that cannot be written to stops nothing."""
    fields = "".join(f',"{name}":{_json(value)}' for name, value in values.items())
    with suppress(OSError, ValueError):
        sys.stderr.write(f'{{"event":"{kind}","at_s":null{fields}}}\n')
        sys.stderr.flush()


def in_ascii(document: str) -> str:
    """JSON as it can be written wherever standard error's encoding is not UTF-8, with nothing in it that a
    terminal would obey."""
    return "".join(c if " " <= c <= "~" else json_escape(c) for c in document)


def _json(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    text = valid_text(value).replace("\\", r"\\").replace('"', r"\"")
    return f'"{in_ascii(text)}"'


def _taken_as_notice(taken: ErrorInWords) -> None:
    notice(f"{taken.message} {taken.remedy}".rstrip())
