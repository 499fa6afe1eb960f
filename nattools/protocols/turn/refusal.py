"""Why a relay did not do what it was asked: a value, since a network failure is data."""

from __future__ import annotations

from typing import Literal

import msgspec

from nattools.errors import ProtocolError
from nattools.model.endpoint import Endpoint
from nattools.protocols import stun
from nattools.protocols.stun.transaction import State
from nattools.protocols.turn.turnconstants import REASONS, TRY_ALTERNATE

Asked = Literal["allocate", "refresh", "permission", "channel", "connect", "connection-bind"]


class TurnRefusal(msgspec.Struct, frozen=True):
    """`asked`: for what. `state`: how the transaction ended; "failed" is an error response, whose `code` this
    is (RFC 8489 14.8, RFC 8656 19, RFC 6062 6.3), or a success response that cannot be understood. `detail`:
    the server's own words, or what is wrong with its answer; it comes from the network. With code 300
    `alternate` is the server to ask instead, and `domain` the name that its certificate has to have, if it
    is another one (RFC 8489 10)."""

    asked: Asked
    state: State
    code: int | None = None
    detail: str = ""
    alternate: Endpoint | None = None
    domain: str | None = None

    @property
    def reason(self) -> str:
        """The code with its name, else the detail, else how it ended."""
        if self.code is None:
            return self.detail or self.state
        return f"{self.code} {REASONS.get(self.code, self.detail)}".rstrip()


def refusal(asked: Asked, transaction: stun.Transaction) -> TurnRefusal | None:
    """Why a transaction that is over failed; None: it succeeded."""
    if transaction.state == "succeeded":
        return None
    response = transaction.response
    if response is None or transaction.state != "failed":
        return TurnRefusal(asked, transaction.state, None, transaction.problem)
    error = response.error if response.kind == "error" else None
    if error is None:
        return TurnRefusal(asked, "failed", None, transaction.problem)
    code, words = error
    if code != TRY_ALTERNATE:
        return TurnRefusal(asked, "failed", code, transaction.problem or words)
    try:
        return TurnRefusal(asked, "failed", code, words, response.alternate_server, response.alternate_domain)
    except ProtocolError as problem:
        return TurnRefusal(asked, "failed", code, str(problem))
