"""Asking for codes and tokens."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nattools.cli.prompts import READER, TokenReader, ask_code
from nattools.cli.prompts import _complete as completed
from nattools.errors import UsageError
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
