"""Asking for codes and tokens."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from terminals import Terminal

from nattools.cli.display import prompts
from nattools.cli.display.prompts import READER, TokenReader, ask_code
from nattools.cli.display.prompts import _complete as completed
from nattools.errors import CannotRun, UsageError
from nattools.model.endpoint import Endpoint
from nattools.traversal.tokens import Token, TokenCandidate, decode_token, encode_token

TOKEN = encode_token(
    Token(bytes(range(32)), "abcd", "a" * 22, (TokenCandidate("host", Endpoint("10.0.0.2", 40001)),))
)
WHOLE = decode_token(TOKEN)


@contextmanager
def typed(text: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard input is a pipe that holds this and then ends. It is closed when nobody reads it any more: the
    next one may have its number."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        try:
            yield
        finally:
            for thread in [each for each in threading.enumerate() if each.name == READER]:
                thread.join(10)


def token_of(text: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    said: list[str] = []
    with typed(text, monkeypatch):
        found = asyncio.run(TokenReader(from_terminal=False, say=said.append)())  # type: ignore[arg-type]
    return found, said


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"{TOKEN}\n",
        f"\n\n  {TOKEN.lower()}  \r\n",
        "\n".join(TOKEN[at : at + 30] for at in range(0, len(TOKEN), 30)) + "\n",
        f"> {TOKEN[:20]}"[2:] + f"\r\n{TOKEN[20:]}\r\nand something else\n",
    ],
)
def test_a_token_however_it_is_pasted(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = token_of(text, monkeypatch)
    assert decode_token(found) == WHOLE


def test_a_damaged_token_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found, said = token_of(f"{TOKEN[:-4]}\n\n{TOKEN}\n", monkeypatch)
    assert decode_token(found) == WHOLE
    assert "the token is cut off" in said[1]
    assert "Try again" in said[1]


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "is no token"), ("hello\n", "not a nattools token"), (TOKEN[:-9], "cut off")],
)
def test_input_that_ends_without_a_token(text: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=says):
        token_of(text, monkeypatch)


def test_a_code_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    with typed("7 crossover clockwork\n", monkeypatch):
        assert str(ask_code(from_terminal=False, say=lambda text: None)) == "7-crossover-clockwork"
    with typed("", monkeypatch), pytest.raises(UsageError, match="there is no code"):
        ask_code(from_terminal=False, say=lambda text: None)


def test_tab_completes_words() -> None:
    assert completed("7-cross", 0) == "7-crossover-"
    assert completed("7-cross", 1) is None
    assert completed("7-crossover-clockw", 0) == "7-crossover-clockwork"
    assert completed("", 0) is None


# --- a person at a terminal


class Readline(types.ModuleType):
    """GNU readline, or libedit in its place as on macOS."""

    def __init__(self, doc: str) -> None:
        super().__init__("readline", doc)
        self.bound: list[str] = []
        self.completer: object = "somebody's own"
        self.delims = " -"
        self.while_typing: list[object] = []

    def get_completer(self) -> object:
        return self.completer

    def set_completer(self, completer: object) -> None:
        self.completer = completer

    def get_completer_delims(self) -> str:
        return self.delims

    def set_completer_delims(self, delims: str) -> None:
        self.delims = delims

    def parse_and_bind(self, text: str) -> None:
        self.bound.append(text)


def at_terminal(monkeypatch: pytest.MonkeyPatch, typed: str, *, output: bool = True) -> tuple[str, str]:
    """Type at a terminal, with standard output on it or elsewhere: what was said to it, and what else was."""
    out, err, said = Terminal() if output else io.StringIO(), Terminal(), []
    for name, stream in (("stdin", Terminal(typed)), ("stdout", out), ("stderr", err)):
        monkeypatch.setattr(sys, name, stream)
    code = ask_code(from_terminal=False, say=said.append)
    assert str(code) == "7-crossover-clockwork"
    return "".join(said), (out if output else err).getvalue()


def test_a_mistyped_code_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    said, shown = at_terminal(monkeypatch, "7-crossover-clockwrk\n7 Crossover Clockwork\n")
    assert "clockwrk" in said
    assert shown == "The code: " * 2


def test_the_prompt_is_not_in_the_way_of_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    _, shown = at_terminal(monkeypatch, "7-crossover-clockwork\n", output=False)
    assert shown == "The code: "
    assert sys.stdout.getvalue() == ""  # type: ignore[attr-defined]


def test_a_person_who_leaves_gives_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no code was typed"):
        at_terminal(monkeypatch, "")


@pytest.mark.parametrize(
    ("doc", "binding"),
    [("Importing this enables GNU readline.", "tab: complete"), ("libedit readline", "bind ^I rl_complete")],
)
def test_tab_is_bound_while_a_code_is_typed_alone(
    doc: str, binding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    readline = Readline(doc)
    monkeypatch.setitem(sys.modules, "readline", readline)
    at_terminal(monkeypatch, "7-crossover-clockwork\n")
    assert readline.bound == [binding]
    assert (readline.completer, readline.delims) == ("somebody's own", " -")


def test_a_python_that_cannot_edit_lines_asks_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "readline", None)
    at_terminal(monkeypatch, "7-crossover-clockwork\n")


# --- standard input is the pipe's, and the terminal is asked


@contextmanager
def another_terminal(monkeypatch: pytest.MonkeyPatch, text: str) -> Iterator[None]:
    """The process's terminal, where somebody has typed this."""
    person, terminal = os.openpty()
    monkeypatch.setattr(prompts, "_TERMINALS", {os.name: os.ttyname(terminal)})
    os.write(person, text.encode())
    try:
        yield
    finally:
        os.close(person)
        os.close(terminal)


def test_a_code_and_a_token_from_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with another_terminal(monkeypatch, "7-crossover-clockwork\n"):
        assert str(ask_code(from_terminal=True, say=said.append)) == "7-crossover-clockwork"
    assert said == ["The code:"]
    with another_terminal(monkeypatch, f"{TOKEN}\n"):
        reader = TokenReader(from_terminal=True, say=said.append)
        assert decode_token(asyncio.run(reader())) == WHOLE  # type: ignore[arg-type]


def test_without_a_terminal_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "_TERMINALS", {os.name: "/nowhere/tty"})
    with pytest.raises(CannotRun, match="there is no terminal to ask on") as refused:
        ask_code(from_terminal=True, say=lambda text: None)
    assert "nattools punch CODE --pipe" in refused.value.remedy


def test_what_is_kept_of_a_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "_LONGEST", 1000)
    monkeypatch.setattr(prompts, "_CHUNK", 100)
    read: list[str] = []
    with typed("0" * 5000, monkeypatch):
        prompts._read_lines(sys.stdin.fileno(), lambda line: read.append(line or ""))
    assert 1000 < len("".join(read)) <= 1200
