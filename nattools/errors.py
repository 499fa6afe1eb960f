"""The few ways in which nattools itself, rather than the network, fails.

A network failure (a timeout, a refusal) is data and becomes an observation; these are for everything else.
"""

from __future__ import annotations


def how_to_install(package: str) -> str:
    """The command that puts a package of the index where nattools runs: as a remedy. What a tool's installer
    has made may have no pip in it."""
    import shlex
    import sys
    from importlib.util import find_spec

    python = shlex.quote(sys.executable)
    installer = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    return f"Install it where nattools is: {installer} {package}"


class NattoolsError(Exception):
    """Base of all errors that the command line turns into one message and an exit code."""

    exit_code = 3


class UsageError(NattoolsError):
    """The user asked for something that makes no sense as asked: a bad option, token or scenario file."""

    exit_code = 2


class CannotRun(NattoolsError):  # noqa: N818 -- it reads as the sentence it is
    """The work could not be done here: a missing privilege or tool, no route, no server that answers.

    `remedy` says what the user can do about it, in one or two sentences.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ProtocolError(NattoolsError):
    """A peer's bytes broke the protocol. Decoders raise this and nothing else."""
