"""What a program in a lab sees of the file system besides its network: names and interfaces of the lab, not
of the machine (Linux).

Everything is mounted in a mount namespace of the program's own, so nothing shows outside or stays behind.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

from nattools.net.namespace import unshare_mounts

_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_SCRATCH = "/mnt"
# Local services that answer questions for names over Unix sockets: they would ask on the machine's network
_RESOLVERS = ("/run/systemd/resolve", "/run/nscd", "/var/run/nscd", "/run/avahi-daemon")


def see_only(hosts: str) -> None:
    """In a child before it runs a program: /etc/hosts is `hosts`, nobody else knows names, and /sys shows the
    interfaces of the namespace that the process is in. What the system refuses stays as it was."""
    with suppress(OSError):
        unshare_mounts()
        _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
        for place in _RESOLVERS:
            if os.path.isdir(place):
                _mount("tmpfs", place, "tmpfs")
        _replace({"/etc/hosts": hosts, "/etc/resolv.conf": ""})
        _mount("sysfs", "/sys", "sysfs")


def hosts_table(names: dict[str, tuple[str, ...]]) -> str:
    """The text of an /etc/hosts with these names and their addresses."""
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    lines += [f"{address} {name}" for name, addresses in names.items() for address in addresses]
    return "".join(f"{line}\n" for line in lines)


def _replace(files: dict[str, str]) -> None:
    """Put files of a memory file system in the place of existing ones."""
    _mount("tmpfs", _SCRATCH, "tmpfs")
    try:
        for number, (place, text) in enumerate(files.items()):
            copy = f"{_SCRATCH}/{number}"
            with open(copy, "w") as file:
                file.write(text)
            if os.path.exists(place):
                # a link (as /etc/resolv.conf often is) leads to what must be replaced
                _mount(copy, os.path.realpath(place), None, _MS_BIND)
    finally:
        _call("umount2", _SCRATCH.encode(), _MNT_DETACH)


def _mount(source: str | None, place: str, kind: str | None, flags: int = 0) -> None:
    _call(
        "mount",
        source.encode() if source else None,
        place.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        None,
    )


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
