"""multistream-select 1.0: two ends of a stream agree on a protocol.

Each message is a line with its length in front. Both say `/multistream/1.0.0`; one proposes protocols, and
the other repeats the one that it takes, or says `na`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from nattools.errors import ProtocolError
from nattools.protocols.libp2p.uvarint import DelimitedReader, delimited

HEADER: Final = "/multistream/1.0.0"
FIRST_BYTE: Final = len(HEADER) + 1
"""What a connection begins with: the length of the first message."""
REFUSAL: Final = "na"
_LONGEST: Final = 256
_MOST_PROPOSALS: Final = 32


def _line(text: str) -> bytes:
    return delimited(f"{text}\n".encode())


class Negotiation:
    """One end. Pure: write what `data_to_send` returns, at first and after each `receive`; pass what is read
    to `receive` until `over`. `chosen`: the protocol; None: none was (the end that proposed has no other).
    `rest`: what came behind the last message, which belongs to the protocol.
    """

    def __init__(self, *, proposed: Sequence[str] = (), offered: Collection[str] = ()) -> None:
        """`proposed` is for the end that proposes, the preferred one first; `offered` for the other end."""
        self.chosen: str | None = None
        self.over = False
        self._proposed = list(proposed)
        self._offered = offered
        self._proposes = bool(proposed)
        self._greeted = False
        self._asked = 0
        self._reader = DelimitedReader(_LONGEST)
        self._leaving = [_line(HEADER)]
        if self._proposes:
            self._leaving.append(_line(self._proposed[0]))

    @property
    def rest(self) -> bytes:
        """See the class."""
        return self._reader.rest

    def data_to_send(self) -> bytes:
        """What is due now."""
        data = b"".join(self._leaving)
        self._leaving.clear()
        return data

    def receive(self, data: bytes) -> None:
        """ProtocolError: the other end does not speak this, or makes no end of it."""
        self._reader.feed(data)
        while not self.over:
            message = self._reader.next()
            if message is None:
                return
            self._take(message)

    def _take(self, message: bytes) -> None:
        if not message.endswith(b"\n"):
            raise ProtocolError("a line without its end")
        text = message[:-1].decode("utf-8", "replace")
        if not self._greeted:
            if text != HEADER:
                raise ProtocolError("it does not speak multistream-select 1.0")
            self._greeted = True
        elif self._proposes:
            self._take_answer(text)
        else:
            self._take_proposal(text)

    def _take_answer(self, text: str) -> None:
        if text == self._proposed[0]:
            self.chosen, self.over = text, True
        elif text != REFUSAL:
            raise ProtocolError("an answer that is neither yes nor no")
        else:
            del self._proposed[0]
            if self._proposed:
                self._leaving.append(_line(self._proposed[0]))
            else:
                self.over = True

    def _take_proposal(self, text: str) -> None:
        self._asked += 1
        if text in self._offered:
            self.chosen, self.over = text, True
            self._leaving.append(_line(text))
        elif self._asked >= _MOST_PROPOSALS:
            raise ProtocolError("it proposes without end")
        else:
            self._leaving.append(_line(REFUSAL))
