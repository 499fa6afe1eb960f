"""Codes that two people tell each other: `7-crossover-clockwork`.

The number is the nameplate, the room of the mailbox, and no secret. The words are: each is one of 256, so
two words hold 16 bits and a guess is right once in 65,536 times. That is enough because a code dies with its
first wrong guess: SPAKE2 gives whoever guesses one try, and nothing to try further guesses on.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable
from difflib import get_close_matches
from typing import Final, NamedTuple

from nattools.errors import UsageError
from nattools.protocols.mailbox.messages import MAX_NAMEPLATE
from nattools.traversal.words import FIRST, SECOND

WORDS: Final = 2
MAX_WORDS: Final = 8
BITS_A_WORD: Final = 8
_MAX_TYPED: Final = 200
_EXAMPLE: Final = "7-crossover-clockwork"
_SEPARATORS: Final = re.compile(r"[\s_.,/+:\u00ad\u2010-\u2015\u2043\u2212\ufe58\ufe63\uff0d-]+")
"""What people and their programs put between words: every hyphen and dash of Unicode among them."""


class Code(NamedTuple):
    """A code. `nameplate` None: the mailbox is to choose one."""

    nameplate: int | None
    words: tuple[str, ...]

    @property
    def secret(self) -> bytes:
        """What the two peers share, for SPAKE2."""
        return "-".join(self.words).encode()

    @property
    def bits(self) -> int:
        """How many bits of chance there are in the words, if they were chosen at random."""
        return BITS_A_WORD * len(self.words)

    def __str__(self) -> str:
        parts = self.words if self.nameplate is None else (str(self.nameplate), *self.words)
        return "-".join(parts)


def new_code(words: int = WORDS, *, entropy: Callable[[int], bytes] = os.urandom) -> Code:
    """A code without a nameplate; UsageError: no such number of words."""
    if not WORDS <= words <= MAX_WORDS:
        raise UsageError(f"a code has {WORDS} to {MAX_WORDS} words, not {words}")
    return Code(None, tuple(_list(place)[byte] for place, byte in enumerate(entropy(words))))


def parse_code(text: str) -> Code:
    """Read a code as it was typed or pasted: in any case, with any hyphens or blanks between its parts.

    UsageError says what is wrong, and which word may have been meant."""
    if len(text) > _MAX_TYPED:
        raise UsageError(f"a code is short, like {_EXAMPLE}; this has {len(text)} characters")
    plain = unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).lower().strip(_AROUND)
    parts = [part for part in _SEPARATORS.split(plain) if part]
    if not parts:
        raise UsageError(f"there is no code; a code looks like {_EXAMPLE}")
    nameplate = _nameplate(parts[0])
    words = parts[1:]
    if not WORDS <= len(words) <= MAX_WORDS:
        raise UsageError(
            f"a code has a number and {WORDS} words, like {_EXAMPLE}; this has {_counted(len(words))}"
        )
    return Code(nameplate, tuple(_word(place, word) for place, word in enumerate(words)))


def complete(typed: str) -> list[str]:
    """What the code may become with its current word finished: for a shell's completion.

    Words are completed, the nameplate is not: nobody here knows it."""
    head, separator, start = typed.rpartition("-")
    if not separator or len(typed) > _MAX_TYPED:
        return []
    before = head.split("-")
    place = len(before) - 1
    if place >= MAX_WORDS or not before[0].isdecimal():
        return []
    last = "" if place + 1 >= WORDS else "-"
    return [f"{head}-{word}{last}" for word in _list(place) if word.startswith(start.lower())]


_AROUND: Final = "\"'`<>()[]*\u00ab\u00bb\u2018\u2019\u201c\u201d\u201e. \t\r\n"
_INVISIBLE: Final = dict.fromkeys((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))


def _list(place: int) -> tuple[str, ...]:
    return SECOND if place % 2 else FIRST


def _nameplate(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"a code begins with its number, like {_EXAMPLE}; {_shown(text)} is none")
    if len(text) > 9 or not 1 <= int(text) <= MAX_NAMEPLATE:
        raise UsageError(f"the number of a code is between 1 and {MAX_NAMEPLATE}")
    return int(text)


def _word(place: int, word: str) -> str:
    known = _list(place)
    if word in known:
        return word
    if word in _list(place + 1):
        raise UsageError(
            f"{_shown(word)} is a word of codes, but not in place {place + 1}: is the order right?"
        )
    near = get_close_matches(word[:24], known, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(f"{_shown(word)} is not a word of codes{hint}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 24 else text[:21] + "...")


def _counted(words: int) -> str:
    return "none" if words == 0 else f"{words} word{'s' * (words > 1)}"
