"""`nattools serve` as a process: ready, ended, refused."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from served import COMMAND, serving

from nattools.cli import serve


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_says_when_it_is_ready_and_ends_cleanly(number: signal.Signals, code: int) -> None:
    command = [*COMMAND, "--listen", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        assert process.stderr.readline().startswith("nattools serve is ready: STUN")
        process.send_signal(number)
        out, rest = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert out == ""
    assert "Traceback" not in rest


def refused(*options: str) -> tuple[int, str]:
    finished = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in finished.stderr
    assert finished.stdout == ""
    return finished.returncode, finished.stderr


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--listen", "nowhere"), 2, "not an IP address"),
        (("--listen", "0.0.0.0"), 2, "not a single address"),
        (("--listen", "127.0.0.1", "--port", "70000"), 2, "not a port"),
        (("--listen", "127.0.0.1", "--port", "3478", "--alternate-port", "3478"), 2, "must differ from 3478"),
        (("--listen", "127.0.0.1", "--tls-cert", "cert.pem"), 2, "--tls-cert and --tls-key go together"),
        (
            ("--listen", "127.0.0.1", "--tls-cert", "none", "--tls-key", "none"),
            2,
            "cannot read none",
        ),
        (("--listen", "127.0.0.1", "--tls-cert", __file__, "--tls-key", __file__), 2, "key in PEM"),
        (("--listen", "192.0.2.1", "--port", "0"), 3, "no address 192.0.2.1"),
    ],
)
def test_what_cannot_be_is_refused(options: tuple[str, ...], code: int, says: str) -> None:
    found, message = refused(*options)
    assert found == code
    assert says in message


def test_a_taken_port_is_named() -> None:
    with serving("--listen", "127.0.0.1") as server:
        code, message = refused("--listen", "127.0.0.1", "--port", str(server.port))
        assert code == 3
        assert f"port {server.port} is in use" in message


@pytest.mark.parametrize(
    ("port", "alternate", "expected"),
    [(3478, None, 3479), (3478, 0, None), (3478, 5000, 5000), (0, None, 0), (0, 0, None)],
)
def test_the_second_port_is_the_next_one(port: int, alternate: int | None, expected: int | None) -> None:
    assert serve._alternate(port, alternate) == expected
