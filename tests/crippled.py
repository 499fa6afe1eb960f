"""Runs nattools as on a machine that lacks something: `python crippled.py AT_ONCE LIMIT_S`, in a network and
a mount namespace of its own (`unshare -rnm`).

What a kernel or a container's filter refuses is refused by a seccomp filter (seccomp(2)), which takes no
privilege; what a file system lacks, by mounts, which take a mount namespace of one's own (`unshare -rm`).
The program and all that it starts are crippled.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import pkgutil
import platform
import resource
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import nattools

# AUDIT_ARCH_* of linux/audit.h, and numbers of system calls (asm/unistd.h)
_ARCHITECTURES = {
    "x86_64": (
        0xC000003E,
        {"socket": 41, "sendto": 44, "sendmsg": 46, "setsockopt": 54, "clone": 56, "prctl": 157},
    ),
    "aarch64": (
        0xC00000B7,
        {"socket": 198, "sendto": 206, "sendmsg": 211, "setsockopt": 208, "clone": 220, "prctl": 167},
    ),
}
_CLONE3 = 435
_LOAD, _EQUAL, _HAS, _RETURN = 0x20, 0x15, 0x45, 0x06  # linux/bpf_common.h
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_PR_SET_SECUREBITS, _NOROOT_FOR_EVER = 28, 0b11
_MOUNT_SETATTR, _HERE, _RECURSIVELY, _READ_ONLY = 442, -100, 0x8000, 1
_MS_BIND = 4096
_CLONE_NEWNS = 0x20000
_CLONE_THREAD = 0x10000

LIBC = ctypes.CDLL(None, use_errno=True)


def _called(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


# --- what the kernel refuses


def refuse(call: str, error: int, argument: int | None = None, value: int = 0) -> None:
    """From here on this system call fails with that error, if one is given only with this value as its
    argument of that number."""
    architecture, numbers = _ARCHITECTURES[platform.machine()]
    test = [] if argument is None else [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument), (_EQUAL, 0, 1, value)]
    _filter(architecture, [(_EQUAL, 0, 1 + len(test), numbers[call]), *test, (_RETURN, 0, 0, _ERRNO | error)])


def _refuse_threads() -> None:
    """clone(2) for a thread fails as beyond a limit of processes; clone3 is not there, so that it is used."""
    architecture, numbers = _ARCHITECTURES[platform.machine()]
    _filter(architecture, [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)])
    thread = [(_LOAD, 0, 0, _ARGUMENTS), (_HAS, 0, 1, _CLONE_THREAD), (_RETURN, 0, 0, _ERRNO | errno.EAGAIN)]
    _filter(architecture, [(_EQUAL, 0, len(thread), numbers["clone"]), *thread])


def _filter(architecture: int, rule: list[tuple[int, int, int, int]]) -> None:
    start = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 0, len(rule) + 1, architecture), (_LOAD, 0, 0, _NUMBER)]
    program = b"".join(struct.pack("=HBBI", *each) for each in (*start, *rule, (_RETURN, 0, 0, _ALLOW)))
    held = ctypes.create_string_buffer(program)
    described = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(held)))
    _called(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no seccomp filter here")
    _called(LIBC.prctl(_PR_SET_SECCOMP, _MODE_FILTER, described, 0, 0), "no seccomp filter here")


def _no_capabilities() -> None:
    """Root is nobody special after the next exec (capabilities(7))."""
    _called(LIBC.prctl(_PR_SET_SECUREBITS, _NOROOT_FOR_EVER, 0, 0, 0), "securebits")


# --- what the file system lacks


def _mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    strings = (source.encode(), target.encode(), kind.encode())
    _called(LIBC.mount(*strings, ctypes.c_ulong(flags), options.encode()), f"cannot mount {target}")


def _empty(*files: str) -> None:
    with tempfile.NamedTemporaryFile() as nothing:
        for file in files:
            if os.path.exists(file):
                _mount(nothing.name, file, flags=_MS_BIND)


def _read_only() -> None:
    attributes = struct.pack("=QQQQ", _READ_ONLY, 0, 0, 0)
    result = LIBC.syscall(_MOUNT_SETATTR, _HERE, b"/", _RECURSIVELY, attributes, ctypes.c_size_t(32))
    _called(result, "cannot make everything read-only")


def _full() -> None:
    """Nothing more can be written where programs write."""
    folder = os.environ["HOME"]
    _mount("none", folder, "tmpfs", options="size=16k,mode=777")
    os.chdir(folder)
    for number in range(8):
        try:
            Path(f"{folder}/{number}").write_bytes(bytes(4096))
        except OSError:
            return


def _no_folder() -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


def _without(*variables: str, **instead: str) -> None:
    for name in variables:
        os.environ.pop(name, None)
    os.environ.update(instead)


# --- what the program's start lacks


def _stream(number: int, file: str | None) -> None:
    if file is None:
        os.close(number)
        setattr(sys, ("stdin", "stdout", "stderr")[number], None)  # as Python does at its start
        return
    descriptor = os.open(file, os.O_WRONLY)
    os.dup2(descriptor, number)
    os.close(descriptor)


def _streams(file: str | None, *numbers: int) -> Callable[[], None]:
    def cripple() -> None:
        for number in numbers:
            _stream(number, file)

    return cripple


def _limit(kind: int, value: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (value, value))


def _no_more_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + (4 << 20))()


_HOMES = ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")


def _no_home() -> None:
    _without(*_HOMES, "USER", "LOGNAME")
    _empty("/etc/passwd")


DEFECTS: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "IPv6": partial(refuse, "socket", errno.EAFNOSUPPORT, 0, int(socket.AF_INET6)),
    "netlink": partial(refuse, "socket", errno.EACCES, 0, int(socket.AF_NETLINK)),
    "internet": lambda: [
        refuse("socket", errno.EPERM, 0, int(family)) for family in (socket.AF_INET, socket.AF_INET6)
    ],
    "IP options": lambda: [refuse("setsockopt", errno.ENOPROTOOPT, 1, level) for level in (0, 41)],
    "socket options": partial(refuse, "setsockopt", errno.EPERM),
    "sending": lambda: [refuse(call, errno.EPERM) for call in ("sendto", "sendmsg")],
    "threads": _refuse_threads,
    "its parent's end": partial(refuse, "prctl", errno.EPERM, 0, _PR_SET_PDEATHSIG),
    "capabilities": _no_capabilities,
    "/proc": partial(_mount, "none", "/proc", "tmpfs"),
    "/sys": partial(_mount, "none", "/sys", "tmpfs"),
    "writing": _read_only,
    "space": _full,
    "a home": _no_home,
    "its home": partial(_without, *_HOMES, HOME="/proc/nobody"),
    "a folder": _no_folder,
    "a terminal": partial(_without, "TERM", "COLUMNS", "LINES"),
    "letters": partial(
        _without, "LANG", "LC_CTYPE", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0", TERM="vt52"
    ),
    "assertions": partial(_without, PYTHONOPTIMIZE="1"),
    "docstrings": partial(_without, PYTHONOPTIMIZE="2"),
    "names": lambda: _empty("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services"),
    "PATH": partial(_without, "PATH"),
    "64 files": _limit(resource.RLIMIT_NOFILE, 64),
    "16 files": _limit(resource.RLIMIT_NOFILE, 16),
    "memory": _no_more_memory,
    "stream: input": _streams(None, 0),
    "stream: output": _streams(None, 1),
    "stream: errors": _streams(None, 2),
    "stream: any": _streams(None, 0, 1, 2),
    "stream: output's space": _streams("/dev/full", 1),
    "stream: errors' space": _streams("/dev/full", 2),
    "stream: any space": _streams("/dev/full", 1, 2),
}
"""What is lacking, and how to take it away."""


STARTS = ("a home", "a terminal", "letters", "assertions", "docstrings", "PATH")
"""What shows only in a process that starts with it."""


SERVES_S = 5.0
"""How long a server is left alone until it is ended by SIGTERM."""


class Cell(NamedTuple):
    """A command on a machine that lacks something."""

    lack: str
    command: tuple[str, ...]


class Outcome(NamedTuple):
    """Its exit code (below 0: the signal that ended it) and what it wrote."""

    code: int
    out: str
    err: str


def _be(cell: Cell, streams: tuple[int, int]) -> None:
    """In a child of its own: cripple it, and run nattools. Never returns."""
    import nattools.__main__

    code = 99
    try:
        for number, stream in enumerate((os.open(os.devnull, os.O_RDONLY), *streams)):
            os.dup2(stream, number)
        os.environ["HOME"] = home = tempfile.mkdtemp(dir=os.environ["HOME"])
        os.chdir(home)
        LIBC.unshare(_CLONE_NEWNS)
        DEFECTS[cell.lack]()
        if cell.lack in STARTS:
            os.execv(sys.executable, [sys.executable, "-m", "nattools", *cell.command])
        sys.argv[1:] = cell.command
        code = nattools.__main__.main()
        sys.stdout.flush()
    finally:
        os._exit(code)


def run(cells: list[Cell], at_once: int, limit_s: float) -> list[Outcome]:
    """Each in a child of this process, which has imported what they need; what is not over in time is killed
    (code -9)."""
    waiting, running = list(enumerate(cells)), {}
    outcomes: dict[int, Outcome] = {}
    serving: set[int] = set()
    while waiting or running:
        while waiting and len(running) < at_once:
            number, cell = waiting.pop(0)
            files = [open(os.memfd_create(name), "w+b") for name in ("out", "err")]  # noqa: SIM115
            pid = os.fork()
            if pid == 0:
                _be(cell, (files[0].fileno(), files[1].fileno()))
            if "serve" in cell.command:
                serving.add(pid)
            running[pid] = number, files, time.monotonic() + limit_s
        for pid, (_, _, until) in running.items():
            left_s = until - time.monotonic()
            if pid in serving and left_s < limit_s - SERVES_S:
                serving.remove(pid)
                os.kill(pid, signal.SIGTERM)
            if left_s < 0:
                os.kill(pid, signal.SIGKILL)
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            time.sleep(0.02)
            continue
        number, files, _ = running.pop(pid)
        texts = []
        for file in files:
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
            file.close()
        outcomes[number] = Outcome(os.waitstatus_to_exitcode(status), *texts)
    return [outcomes[number] for number in range(len(cells))]


def main() -> None:
    """Cells as JSON on standard input, their outcomes on standard output."""
    cells = [Cell(lack, tuple(command)) for lack, command in json.load(sys.stdin)]
    for module in pkgutil.walk_packages(nattools.__path__, "nattools."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    json.dump(run(cells, int(sys.argv[1]), float(sys.argv[2])), sys.stdout)


if __name__ == "__main__":
    main()
