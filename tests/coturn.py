"""Debian's coturn as a relay on loopback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from certificates import certificate
from conftest import tool

from nattools.lab.netns.processes import await_listener

HOST = "127.0.0.1"
SECRET = "north"


class Coturn(NamedTuple):
    """Where it listens: for UDP and TCP, and for TLS."""

    port: int
    tls_port: int

    @property
    def uris(self) -> dict[str, str]:
        """By transport."""
        return {
            "udp": f"turn:{HOST}:{self.port}",
            "tcp": f"turn:{HOST}:{self.port}?transport=tcp",
            "tls": f"turns:{HOST}:{self.tls_port}",
        }


@contextmanager
def coturn(folder: Path, port: int, *options: str, credentials: tuple[str, ...] = ()) -> Iterator[Coturn]:
    """Run it with these options; by default alice's password is wonderland."""
    certificate_file, key_file = certificate(folder)
    path = tool("turnserver")
    assert path is not None
    who = credentials or ("--lt-cred-mech", "--user=alice:wonderland")
    command = [path, "-n", "--no-cli", "--no-dtls", f"--listening-ip={HOST}", f"--relay-ip={HOST}"]
    command += ["--realm=north", *who, f"--listening-port={port}", f"--tls-listening-port={port + 1}"]
    command += [f"--cert={certificate_file}", f"--pkey={key_file}", "--allow-loopback-peers"]
    command += ["--log-file=stdout", f"--pidfile={os.devnull}", f"--db={folder}/db", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    try:
        await_listener(process, port, 60, ("udp",))
        await_listener(process, port + 1, 60, ("tcp",))
        yield Coturn(port, port + 1)
    finally:
        process.kill()
        process.wait()
