"""The last resort. What the machine refused, wherever it showed, is one sentence and a way out; a defect of
nattools itself is one line and a file for a bug report. Neither is ever a traceback on the screen."""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

from nattools.errors import CannotRun

TYPE_CHECKING = False  # as typing's, which takes 2 ms that `--version` does not need
if TYPE_CHECKING:
    from typing import Any

DEFECT = 70
"""The exit code: EX_SOFTWARE of sysexits.h."""
_MOST = 20
_SOON_S = 0.02
_NOT_HERE = "Something here lacks it, or a filter or a container forbids it: try it outside of that."
_FILES = "Allow more open files: ulimit -n 4096."
_SPACE = "Make room there, or name another place."
_MEMORY = "Give it more memory, or end other programs."
_NO_ROOM = "failed to map segment"
"""What the dynamic linker says where memory is short, or a folder is mounted without programs (dlopen(3))."""
_UNMAPPED = "Give it more memory, or put nattools in a folder from which programs may be run (not noexec)."
_PERMISSION = "A missing privilege, a filter or a container forbids it: try it as root, or outside of that."
_REFUSALS = {
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: _SPACE,
    errno.EROFS: _SPACE,
    errno.EIO: "The device may be broken.",
    errno.ENOMEM: _MEMORY,
    errno.ENOBUFS: _MEMORY,
    errno.EAGAIN: "Allow more processes, or end some: ulimit -u.",
    errno.EPERM: _PERMISSION,
    errno.EACCES: _PERMISSION,
    errno.ENOSYS: _NOT_HERE,
    errno.EAFNOSUPPORT: _NOT_HERE,
    errno.ENOPROTOOPT: _NOT_HERE,
    errno.EOPNOTSUPP: _NOT_HERE,
    errno.EPROTONOSUPPORT: _NOT_HERE,
}
_SAID_WITHOUT_MEMORY = f"nattools: this machine refuses: out of memory\n  {_MEMORY}\n".encode()
_ENOUGH = 4 << 20
_ABOUT_FILES = (_SPACE, _PERMISSION)


def refusal(error: BaseException) -> CannotRun | None:
    """What the machine refused in words, if that is what the error says; None: it is a defect."""
    for each in each_of(error):
        if isinstance(each, CannotRun):
            return each
        if isinstance(each, OSError) and each.errno in _REFUSALS:
            about = f" ({each.filename})" if each.filename and _REFUSALS[each.errno] in _ABOUT_FILES else ""
            return CannotRun(f"this machine refuses: {os.strerror(each.errno)}{about}", _REFUSALS[each.errno])
        if isinstance(each, MemoryError) or (isinstance(each, SystemError) and _memory_is_short()):
            return CannotRun("this machine refuses: out of memory", _MEMORY)
        if isinstance(each, RuntimeError) and str(each) == "can't start new thread":
            return CannotRun("this machine refuses: no more threads", _REFUSALS[errno.EAGAIN])
        if isinstance(each, ImportError):
            remedy = _UNMAPPED if _NO_ROOM in str(each) else "Install nattools again."
            return CannotRun(f"a part of nattools cannot be loaded: {each}", remedy)
    return None


def _memory_is_short() -> bool:
    """CPython does not always say so: then it says SystemError."""
    try:
        return not bytearray(_ENOUGH)
    except MemoryError:
        return True


def each_of(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group, of groups in it too; of any other error, that error."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from each_of(one)
    else:
        yield error


class ErrorInWords:
    """An error in words, and the exit code of a command that it ends. `again`: this has been told already."""

    __slots__ = ("again", "exit_code", "message", "remedy")

    def __init__(self, exit_code: int, message: str, remedy: str, again: bool) -> None:
        self.exit_code = exit_code
        self.message = message
        self.remedy = remedy
        self.again = again


class Defects:
    """Those of this process. The first is told of; the next ones, as far as they are not too many, are in the
    same file. `count`: how many there were; `sentence`: what is said of them; `say`: how it is said, which is
    in words until somebody else sees to it."""

    def __init__(self) -> None:
        self.count = 0
        self.sentence = ""
        self.say: Callable[[ErrorInWords], None] = say_in_words
        self._file: int | None = None
        self._refused: set[str] = set()

    def note(self, error: BaseException, what: str) -> int:
        """Write it down, and say so if it is the first; the exit code of a command that it ends. `what`:
        where it showed. What the machine refused is no defect, and told of once."""
        try:
            taken = self.taken(error, what)
            if not taken.again:
                self.say(taken)
        except MemoryError:  # there is not even enough to say it with what is not there yet
            with contextlib.suppress(OSError):
                os.write(2, _SAID_WITHOUT_MEMORY)
            return CannotRun.exit_code
        return taken.exit_code

    def taken(self, error: BaseException, what: str) -> ErrorInWords:
        """Write it down, and leave it to the caller to say so. MemoryError: there is not enough for that."""
        refused = refusal(error)
        if refused is not None:
            message = str(refused)
            again = message in self._refused
            self._refused.add(message)
            return ErrorInWords(refused.exit_code, message, refused.remedy, again)
        self.count += 1
        if self.count <= _MOST:
            self._record(error, what)
        return ErrorInWords(DEFECT, self.sentence, "", self.count > 1)

    def _record(self, error: BaseException, what: str) -> None:
        import traceback

        record = f"{what}\n{''.join(traceback.format_exception(error))}\n"
        if self.count == 1:
            self._begin(error, record)
        else:
            self._write(record)

    def _begin(self, error: BaseException, record: str) -> None:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        text = "".join(character if character.isprintable() else "?" for character in text)
        name = self._kept(f"{_circumstances()}\n{record}")
        name = name or f"none could be written; it was at {_place(error)}"
        self.sentence = f"a defect of nattools ({text}). The file for a bug report: {name}"

    def _kept(self, text: str) -> str | None:
        """The name of a new file with this text; None: there is no place for it, and none is left behind."""
        try:
            import tempfile

            self._file, name = tempfile.mkstemp(".txt", "nattools-defect-")
        except OSError:
            return None
        if self._write(text):
            return name
        with contextlib.suppress(OSError):
            os.unlink(name)
        return None

    def _write(self, record: str) -> bool:
        if self._file is None:
            return False
        try:
            os.write(self._file, record.encode(errors="backslashreplace"))
        except OSError:
            self._file = None
        return self._file is not None


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "no line" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def say_in_words(taken: ErrorInWords) -> None:
    """For a person, on standard error."""
    _say(f"nattools: {taken.message}" + (f"\n  {taken.remedy}" if taken.remedy else ""))


def _say(text: str) -> None:
    try:
        sys.stderr.write(f"{text}\n")
    except (AttributeError, OSError, ValueError):
        return


def _circumstances() -> str:
    """What a bug report needs to say; of the command line only what can be no secret and no address."""
    import platform

    from nattools import __version__

    options = [word.partition("=")[0] for word in sys.argv[1:] if word.startswith("-")]
    command = " ".join([word for word in sys.argv[1:2] if word.isalpha()] + options)
    return f"nattools {__version__} {command}\nPython {sys.version}\n{platform.platform()}"


DEFECTS = Defects()


def install() -> None:
    """From here on nothing that escapes is shown as a traceback."""
    sys.excepthook = lambda kind, error, trace: _escaped(error)
    sys.unraisablehook = _unraisable
    threading.excepthook = _in_thread


def _escaped(error: BaseException) -> None:
    if isinstance(error, KeyboardInterrupt):
        _say("nattools: interrupted")
    else:
        DEFECTS.note(error, "at the end")


def _unraisable(unraisable: Any) -> None:
    error = unraisable.exc_value
    if isinstance(error, KeyboardInterrupt):  # it could not be raised where it came: it comes again soon
        left = threading.Event()
        with contextlib.suppress(RuntimeError):  # no more threads
            _thread.start_new_thread(_interrupt_after, (left,))  # Thread.start would wait for it, in here
        left.set()
    elif error is not None:
        DEFECTS.note(error, f"{unraisable.err_msg or 'ignored in'} {type(unraisable.object).__name__}")


def _interrupt_after(left: threading.Event) -> None:
    """Once the main thread has left what would ignore it again."""
    left.wait(_SOON_S * 100)
    time.sleep(_SOON_S)
    _interrupt()


def _interrupt() -> None:
    """As Ctrl-C does: in the main thread, which may be waiting for something."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


def _in_thread(raised: threading.ExceptHookArgs) -> None:
    if raised.exc_value is not None and not isinstance(raised.exc_value, SystemExit):
        DEFECTS.note(raised.exc_value, "in a thread")


def watch_tasks() -> None:
    """Take what asyncio would log: exceptions of tasks that nobody retrieved, and of callbacks."""
    import logging

    class Handler(logging.Handler):
        """Of errors alone: what asyncio warns of is for its developers."""

        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info[1] if record.exc_info else None
            DEFECTS.note(error or RuntimeError(record.getMessage()), record.getMessage())

    logger = logging.getLogger("asyncio")
    logger.addHandler(Handler(logging.ERROR))
    logger.propagate = False
