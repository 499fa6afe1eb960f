"""The few ways in which nattools itself, rather than the network, fails.

A network failure (a timeout, a refusal) is data and becomes an observation; these are for everything else.
"""


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
