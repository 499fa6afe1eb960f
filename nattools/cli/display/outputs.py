"""Where reports go: standard output, and files by suffix. What cannot be written is said before measuring."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nattools.cli.display.plainevents import READER, in_ascii, notice
from nattools.cli.display.standardstreams import cannot_write
from nattools.errors import CannotRun, UsageError

if TYPE_CHECKING:
    from nattools.model.report import Report
    from nattools.report.document import Detail

SUFFIXES = (".json", ".md", ".html", ".txt")
_NO_NEW_FILE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY)
"""A folder that is not ours, or a file that is mounted."""


def checked_outputs(paths: list[Path]) -> tuple[Path, ...]:
    """Paths with a known suffix that can be written; UsageError otherwise."""
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            raise UsageError(f"cannot tell the format of {path}: its name must end in {', '.join(SUFFIXES)}")
        check_writable(path)
    return tuple(dict.fromkeys(paths))


def check_writable(path: Path) -> None:
    """UsageError if the file could not be written, without creating it."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:  # a name that is too long, say, or a link to itself
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    if stat.S_ISDIR(mode):
        raise UsageError(f"cannot write {path}: it is a directory")
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):  # it might be waited for, for ever
        raise UsageError(f"cannot write {path}: it is not a file")
    folder = path.parent
    if not folder.is_dir():
        raise UsageError(f"cannot write {path}: there is no directory {folder}")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UsageError(f"cannot write {path}: no permission, or a read-only file system")


def write_files(report: Report, paths: tuple[Path, ...], detail: Detail) -> None:
    """Write the report to each file in the format of its suffix; those that can be written are, and then
    CannotRun says which one the system refused."""
    refused: CannotRun | None = None
    for path in paths:
        try:
            write_text(path, renderer(path.suffix.lower().removeprefix("."), detail)(report))
        except CannotRun as error:
            refused = refused or error
    if refused is not None:
        raise refused


def write_secret(path: Path, text: str) -> None:
    """Write a file that nobody else may read, whole or not at all; CannotRun if the system refuses, or if it
    is a link or a device."""
    if not is_replaceable(path):
        raise CannotRun(f"cannot write {path}: it is not a file")
    try:
        _replace(path, text, 0o600)
    except OSError as error:
        raise cannot_write(error, str(path)) from None


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all: who reads it meanwhile gets the old text, and so does everybody if
    the disk is full. A link, a device, somebody else's file or one in a folder that takes no new ones stays
    what it is, and is written to. CannotRun: the system refuses."""
    try:
        if not (is_replaceable(path) and _replaced(path, text)):
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise cannot_write(error, str(path)) from None


def is_replaceable(path: Path) -> bool:
    """May another file take its place: is it a file, or nothing yet?"""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return True


def _replaced(path: Path, text: str) -> bool:
    """As `_replace`, with the mode that it has; False: it has to be written to instead."""
    try:
        before = os.lstat(path)
        if before.st_nlink > 1 or before.st_uid != (os.geteuid() if hasattr(os, "geteuid") else 0):
            return False
        mode = stat.S_IMODE(before.st_mode)
    except FileNotFoundError:
        mode = None
    try:
        _replace(path, text, 0o666 if mode is None else mode, exact=mode is not None)
    except OSError as error:
        if error.errno not in _NO_NEW_FILE:
            raise
        return False
    return True


def _replace(path: Path, text: str, mode: int, *, exact: bool = False) -> None:
    """Have a new file take its place, or its name. `exact`: whatever modes new files get here. OSError: the
    system refuses, and all is as before."""
    made = path.with_name(f".{path.name[:50]}.{os.getpid()}")
    with contextlib.suppress(OSError):
        os.unlink(made)  # of a process of the same number that was killed
    try:
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            if exact:
                os.chmod(made, mode)
            file.write(text)
        os.replace(made, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(made)
        raise


def renderer(form: str, detail: Detail = 0) -> Callable[[Report], str]:
    """How to draw a report as "json", "md", "html" or "txt"."""
    if form == "json":
        from nattools.report.savedreport import render_json

        return render_json
    if form == "md":
        from nattools.report.markdown import render_markdown

        return render_markdown
    if form == "html":
        from nattools.report.html import render_html

        return render_html
    from nattools.report.terminal import render_text

    return lambda report: render_text(report, detail=detail)


def write_out(text: str) -> None:
    """Write to standard output and flush. CannotRun: the system refuses."""
    sys.stdout.write(text)
    sys.stdout.flush()


def write_document(text: str) -> None:
    """The same with JSON, which is ASCII where standard output has another encoding than UTF-8: that of the
    locale is not one of JSON's (RFC 8259 8.1)."""
    if not text.isascii() and getattr(sys.stdout, "encoding", "utf-8").lower() not in ("utf-8", "utf8"):
        text = "\n".join(map(in_ascii, text.split("\n")))
    write_out(text)


def tell(text: str) -> None:
    """A line for a person, on standard error; with `--events` a notice."""
    if READER.is_program:
        notice(text)
        return
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def write_json(answer: object) -> None:
    """Write one JSON document to standard output, on one line; errors as for `write_out`."""
    write_document(msgspec.json.encode(answer).decode() + "\n")


def show(report: Report, *, as_json: bool, detail: Detail, quiet: bool = False) -> None:
    """A report on standard output: one JSON document, or for a person; `quiet`: its answer alone."""
    if as_json:
        write_document(renderer("json")(report))
        return
    from nattools.report.terminal import answer_line, print_report

    if quiet:
        write_out(f"{answer_line(report)}\n")
        return
    print_report(report, detail=detail)
    sys.stdout.flush()
