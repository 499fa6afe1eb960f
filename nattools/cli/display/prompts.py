"""Asking the person at the terminal: for a code, with completion, and for a token, however it is pasted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nattools.descriptors import read_some
from nattools.errors import CannotRun, UsageError
from nattools.report.safetext import safe
from nattools.traversal.codes import Code, complete, parse_code
from nattools.traversal.tokens import decode_token

_TERMINALS = {"nt": "CONIN$"}
_CHUNK = 8192
READER = "token reader"
_LONGEST = 64 * 1024
Say = Callable[[str], None]


_NO_CODE = "Give the code on the command line: nattools punch CODE --pipe."
_NO_SECRET = "Give it on the command line: --secret TEXT."
_NO_TOKEN = "Start it at a terminal, or meet by a code instead: nattools punch --pipe."


def _terminal(remedy: str) -> int:
    """The terminal itself, for when standard input is something else. CannotRun: there is none."""
    try:
        return os.open(_TERMINALS.get(os.name, "/dev/tty"), os.O_RDONLY)
    except OSError:
        raise CannotRun(
            "there is no terminal to ask on, and standard input is the pipe's",
            remedy,
        ) from None


def ask_code(*, from_terminal: bool, say: Say) -> Code:
    """The code that the person types; words are completed with Tab where that can be. UsageError: what came
    is no code, and nobody is there to ask again."""
    if from_terminal or not sys.stdin.isatty():
        say("The code:")
        return parse_code(_first_line(_terminal(_NO_CODE) if from_terminal else sys.stdin.fileno()))
    with _completion():
        while True:
            try:
                return parse_code(_typed("The code: "))
            except UsageError as error:
                say(safe(str(error)))
            except EOFError:
                raise UsageError("no code was typed") from None


def ask_secret(*, from_terminal: bool, say: Say) -> str:
    """A secret that the person types, unseen where that can be."""
    if from_terminal or not sys.stdin.isatty():
        say("The secret:")
        return _first_line(_terminal(_NO_SECRET) if from_terminal else sys.stdin.fileno()).strip()
    from getpass import getpass

    return getpass("The secret: ").strip()


def _typed(prompt: str) -> str:
    """A line, edited and completed where the terminal is also standard output; the prompt is never in the way
    of what is."""
    if sys.stdout.isatty():
        return input(prompt)
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return input()


def _first_line(descriptor: int) -> str:
    data = b""
    while b"\n" not in data and len(data) < _LONGEST and (more := read_some(descriptor, _CHUNK)):
        data += more
    return data.decode(errors="replace").partition("\n")[0]


@contextmanager
def _completion() -> Iterator[None]:
    """Tab completes the words of codes, if this Python can edit lines (on Windows it cannot)."""
    try:
        import readline
    except ImportError:
        yield
        return
    old = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer(_complete)
    readline.set_completer_delims(" \t\n")
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    try:
        yield
    finally:
        readline.set_completer(old[0])
        readline.set_completer_delims(old[1])


def _complete(typed: str, number: int) -> str | None:
    found = complete(typed)
    return found[number] if number < len(found) else None


class TokenReader:
    """Reads the other side's token: over several lines if it was broken on its way, until it is whole.

    It reads the descriptor in a thread of its own, which a person who never answers leaves waiting: nothing
    waits for that thread in turn.
    """

    def __init__(self, *, from_terminal: bool, say: Say) -> None:
        self._from_terminal = from_terminal
        self._say = say
        self._lines: asyncio.Queue[str | None] | None = None

    async def __call__(self) -> str:
        """The token's text. UsageError: the input ended before one was whole."""
        self._say("Paste the other machine's token (if nothing happens, add an empty line):")
        if self._lines is None:
            self._lines = asyncio.Queue()
            self._start(asyncio.get_running_loop(), self._lines)
        text, problem = "", UsageError("there is no token")
        while (line := await self._lines.get()) is not None:
            if not line.strip() and not text:
                continue
            text += line
            try:
                decode_token(text)
            except UsageError as error:
                problem = error
            else:
                return text
            if not line.strip() or len(text) > _LONGEST:
                self._say(f"{safe(str(problem))}. Try again:")
                text = ""
        raise problem

    def _start(self, loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str | None]) -> None:
        descriptor = _terminal(_NO_TOKEN) if self._from_terminal else sys.stdin.fileno()

        def tell(line: str | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is over, and with it the question
                loop.call_soon_threadsafe(lines.put_nowait, line)

        threading.Thread(target=_read_lines, args=(descriptor, tell), daemon=True, name=READER).start()


def _read_lines(descriptor: int, tell: Callable[[str | None], None]) -> None:
    """Tell each line, the last one also without its end, then None."""
    rest = b""
    with contextlib.suppress(OSError):
        while data := read_some(descriptor, _CHUNK):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                tell(line.decode(errors="replace") + "\n")
            if len(rest) > _LONGEST:
                break
    if rest:
        tell(rest.decode(errors="replace"))
    tell(None)
