"""The standard streams, so that every command can rely on them: each of them is there; what standard output
does not take is an error in words, and what standard error does not take is lost. Who reads no further
(`| head`) changes nothing: a command does its work, and its exit code is the answer to it."""

from __future__ import annotations

import io
import os
import sys

from nattools.descriptors import PatientFile
from nattools.errors import CannotRun

TYPE_CHECKING = False  # as typing's, which takes 2 ms that `--version` does not need
if TYPE_CHECKING:
    from typing import Any, TextIO


class Output(io.TextIOWrapper):
    """Standard output. CannotRun: the system does not take what is written. `unread`: nobody reads it any
    more, and what is written is lost."""

    unread = False

    def write(self, text: str) -> int:
        """As any stream's."""
        try:
            return super().write(text)
        except OSError as error:
            self._refused(error)
        return len(text)

    def flush(self) -> None:
        """As any stream's."""
        try:
            super().flush()
        except OSError as error:
            self._refused(error)

    def _refused(self, error: OSError) -> None:
        if not isinstance(error, BrokenPipeError):
            raise cannot_write(error, "to standard output") from None
        self.unread = True
        _to_nowhere(self)


class BestEffortStderr(io.TextIOWrapper):
    """Standard error: it says what may be of interest, and that stops nothing."""

    def write(self, text: str) -> int:
        """As any stream's."""
        try:
            return super().write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """As any stream's."""
        try:
            super().flush()
        except OSError:
            return


def is_read() -> bool:
    """Does anybody read standard output, as far as is known?"""
    return not (isinstance(sys.stdout, Output) and sys.stdout.unread)


def cannot_write(error: OSError, where: str) -> CannotRun:
    """Writing to `where` failed for a reason that the user can do something about."""
    return CannotRun(f"cannot write {where}: {error.strerror or error}")


def prepare() -> None:
    """Do this first: a stream that is closed is missing as a number too, and the next socket would get it."""
    if os.name == "posix":
        for number in range(3):
            try:
                os.fstat(number)
            except OSError:  # this one is the lowest that is free; what is written to the output is refused
                os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_opened(0)))
    sys.stdout = _remade(sys.stdout, 1, Output)
    sys.stderr = _remade(sys.stderr, 2, BestEffortStderr)


def _remade(stream: Any, number: int, kind: type[io.TextIOWrapper]) -> io.TextIOWrapper:
    """Characters that the stream cannot show are escaped."""
    if stream is None:
        given = io.BufferedWriter(_opened(number))
        return kind(given, errors="backslashreplace", line_buffering=number == 2)
    encoding, lines, at_once = stream.encoding, stream.line_buffering, stream.write_through
    return kind(
        _patient(stream.detach(), number),
        encoding,
        "backslashreplace",
        line_buffering=lines,
        write_through=at_once,
    )


def _patient(given: Any, number: int) -> Any:
    """The same file, waited for where it is non-blocking."""
    if os.name != "posix":
        return given
    given.flush()
    patient = PatientFile(number, "w", closefd=False)
    return patient if isinstance(given, io.RawIOBase) else io.BufferedWriter(patient)


def _opened(number: int) -> io.FileIO:
    """The descriptor of a stream that Python found closed, opened."""
    mode = "w" if number else "r"
    return io.FileIO(number, mode, closefd=False) if os.name == "posix" else io.FileIO(os.devnull, mode)


def settle_output() -> None:
    """Write out what is left, or forget it: Python would try again at its end, and complain."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, CannotRun):
        try:
            _to_nowhere(sys.stdout)
        except OSError:
            sys.stdout = None


def _to_nowhere(stream: TextIO) -> None:
    """What it has not yet written, and all that follows."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
