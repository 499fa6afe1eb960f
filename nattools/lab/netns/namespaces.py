"""Network namespaces of a lab, and the privilege to make them (Linux).

A namespace is held by an open file descriptor and has no name in the file system: when the process that
holds it ends, in whatever way, the kernel takes the namespace away with all that is in it. Its path,
`/proc/self/fd/N`, works in this process and in the children that it forks.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress

from nattools.errors import CannotRun
from nattools.net.system.libc import libc_call
from nattools.net.system.namespace import (
    entered,
    set_namespace,
    unshare_mounts,
    unshare_network,
    unshare_user,
)

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1  # netdevice(7)
_SIOCETHTOOL = 0x8946
_ETHTOOL_STXCSUM = 0x00000017
_ELSEWHERE = "Simulate it instead: --backend sim needs no privileges and runs everywhere."

# A lab asks for hundreds of ICMP errors a second; addresses must be usable at once, so there is no detection
# of duplicates, and no router is looked for
_SETTINGS = {
    "net/ipv4/ping_group_range": "0 0",  # ping sockets for those who run as root, also in a user namespace
    "net/ipv4/icmp_ratelimit": "0",
    "net/ipv4/icmp_msgs_per_sec": "1000000",
    "net/ipv4/icmp_msgs_burst": "1000000",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv6/icmp/ratelimit": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    "net/ipv6/conf/default/dad_transmits": "0",
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/default/router_solicitations": "0",
}
FORWARD4 = {"net/ipv4/ip_forward": "1"}
FORWARD6 = {"net/ipv6/conf/all/forwarding": "1"}
NO_IPV6 = {"net/ipv6/conf/default/disable_ipv6": "1"}


class Namespace:
    """A network namespace, for as long as this object holds its descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def descriptor(self) -> int:
        """The open file descriptor."""
        return self._descriptor

    @property
    def path(self) -> str:
        """Where this process and its forked children can open it."""
        return f"/proc/self/fd/{self._descriptor}"

    def close(self) -> None:
        """Let go of it. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def gain_privilege() -> None:
    """Make sure that this process may create network namespaces.

    Without root it moves itself into a user namespace where it is root, and into a network namespace of its
    own there, for good: its sockets see the machine's network no more. So it is for who is root in a user
    namespace alone, as in a container without one. CannotRun if the system forbids it.
    """
    if sys.platform != "linux":
        raise CannotRun("network namespaces need Linux", _ELSEWHERE)
    own = _own_network()
    try:
        unshare_network()
    except OSError:
        _become_root_of_own()
    else:
        try:
            set_namespace(own)
        except PermissionError:  # the network that it came from is another user namespace's
            _raise_loopback()
    finally:
        os.close(own)


def _own_network() -> int:
    """A descriptor of the network namespace that this thread is in. CannotRun: there is no /proc."""
    try:
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise CannotRun("network namespaces need /proc, and it is not mounted here", _ELSEWHERE) from None


def _become_root_of_own() -> None:
    user, group = os.geteuid(), os.getegid()
    try:
        unshare_user()
        unshare_network()
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"0 {user} 1")
        _write("/proc/self/gid_map", f"0 {group} 1")
        _raise_loopback()
    except OSError as error:
        if error.errno == errno.EINVAL and threading.active_count() > 1:
            raise CannotRun(
                "a process that has threads cannot get network namespaces of its own (unshare(2))",
                f"Build the lab before it starts any, or run it as root. {_ELSEWHERE}",
            ) from error
        raise CannotRun(
            f"user {user} may not create network namespaces on this system: {error.strerror}",
            "Run it as root, or allow unprivileged user namespaces (sysctl"
            " kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)."
            f" {_ELSEWHERE}",
        ) from error


def _raise_loopback() -> None:
    """What this process does with itself goes on as before in its new namespace."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))


def create(nodes: Iterable[str], settings: Mapping[str, Mapping[str, str]]) -> dict[str, Namespace]:
    """A new namespace for each node, with the lab's settings and the node's own (paths below /proc/sys)."""
    own = _own_network()
    made: dict[str, Namespace] = {}
    try:
        for node in nodes:
            unshare_network()
            made[node] = Namespace(_own_network())
            configure({**_SETTINGS, **settings.get(node, {})})
    except BaseException:
        for namespace in made.values():
            namespace.close()
        raise
    finally:
        set_namespace(own)
        os.close(own)
    return made


def configure(settings: Mapping[str, str]) -> None:
    """Write sysctls of the namespace that this thread is in; one that the kernel lacks is left out."""
    for name, value in settings.items():
        with suppress(FileNotFoundError):
            _write(f"/proc/sys/{name}", value)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def compute_checksums(namespace: Namespace, devices: Iterable[str]) -> None:
    """Switch off checksum offload, and with it that of segmentation, as it has to be where a program reads
    the frames at the other end: a veth hands on packets whose checksum nobody ever computed, and large ones.
    Kernels pass those on to each other, as a card's driver passes them on to the card."""
    import fcntl

    with entered(namespace.path), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for device in devices:
            argument = ctypes.create_string_buffer(struct.pack("=II", _ETHTOOL_STXCSUM, 0))
            request = struct.pack("16sP", device.encode(), ctypes.addressof(argument))
            fcntl.ioctl(sock, _SIOCETHTOOL, request.ljust(40, b"\0"))


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
        libc_call("umount2", _SCRATCH.encode(), _MNT_DETACH)


def _mount(source: str | None, place: str, kind: str | None, flags: int = 0) -> None:
    libc_call(
        "mount",
        source.encode() if source else None,
        place.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        None,
    )
