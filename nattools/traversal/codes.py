"""Codes that two people tell each other: `7-crossover-clockwork`.

The number is the nameplate, the room of the mailbox, and no secret. The words are: each is one of 256, so
two words hold 16 bits and a guess is right once in 65,536 times. That is enough because a code dies with its
first wrong guess: SPAKE2 gives whoever guesses one try, and nothing to try further guesses on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from difflib import get_close_matches
from typing import Final, NamedTuple

from nattools.chance import random_bytes
from nattools.errors import UsageError
from nattools.protocols.mailbox.messages import MAX_NAMEPLATE

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


def new_code(words: int = WORDS, *, entropy: Callable[[int], bytes] = random_bytes) -> Code:
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
    return SECOND_WORDS if place % 2 else FIRST_WORDS


def _nameplate(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"a code begins with a number, like {_EXAMPLE}; {_shown(text)} is not a number")
    if len(text) > 9 or not 1 <= int(text) <= MAX_NAMEPLATE:
        raise UsageError(f"the number of a code is between 1 and {MAX_NAMEPLATE}")
    return int(text)


def _word(place: int, word: str) -> str:
    known = _list(place)
    if word in known:
        return word
    if word in _list(place + 1):
        raise UsageError(
            f"{_shown(word)} is a code word, but not at position {place + 1}: is the order right?"
        )
    near = get_close_matches(word[:24], known, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(f"{_shown(word)} is not a code word{hint}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 24 else text[:21] + "...")


def _counted(words: int) -> str:
    return "none" if words == 0 else f"{words} word{'s' * (words > 1)}"


# The words: chosen by hand, common English nouns that most people can spell after hearing them. Within both
# lists together no two are one letter apart, and within a list no two begin with the same four letters.

_FIRST_LIST: Final = """
    acorn admiral alarm album almond amber anchor apple apron arcade arrow artist aspen atlas attic autumn
    avocado axle badger bagel ballad bamboo banjo barrel basket beacon beaver bedrock beetle bicycle birch
    biscuit blanket blizzard blossom bonfire bottle boulder bracelet breeze brick bridge bronze brush
    bubble bucket buffalo burrow button cabin cactus camera canal candle canyon carbon cargo carpet carrot
    castle catfish cavern cedar cello chalk cheese cherry chimney cinema circle citrus clarinet clay
    clover cobalt coconut comet compass copper coral cotton cradle crater crayon crimson crossover crystal
    curtain cymbal daisy dancer daylight desert diamond dinner doctor dolphin domino donkey dragon drum
    dusk dynamo eagle earth easel echo eclipse elbow elm emerald engine envelope escape fabric falcon
    ferry figure flamingo flint flute forest fossil fox frost fudge furnace galaxy gallop garden garlic
    gazelle geyser ginger giraffe glacier glove goblet goose granite grape gravel guitar gypsum hammer
    harbor harvest hazel hedge helmet heron hickory hiking honey horizon hornet husky iceberg igloo indigo
    insect island ivory jacket jaguar jasmine jelly jigsaw jockey journal jungle juniper jury kayak kettle
    kimono kitchen kiwi knuckle koala ladder lagoon lantern laurel lava leather lemon leopard lilac
    lobster lotus lumber lunar magnet mango maple marble market meadow mercury mirror mitten monsoon
    mosaic mountain muffin museum mustard napkin needle nickel nomad noodle nougat nugget oasis oatmeal
    ocean octopus olive onion opal orbit orchid osprey otter oxygen palace panda papaya parsley pebble
    pelican pepper piano picnic pigeon pillow pirate planet plum poppy prairie pretzel pumpkin pyramid
    quartz quiver rabbit radish raven ribbon river robin rocket ruby
"""

_SECOND_LIST: Final = """
    abacus academy acrobat airport alphabet aluminum ambulance antelope aquarium armadillo asteroid
    athlete avalanche balcony ballroom banana barnacle bazaar blueprint boomerang broccoli butterfly
    cabbage calendar camel candidate caravan carnival cartwheel cathedral celery century chameleon
    charcoal chestnut chocolate cinnamon clockwork cloudburst coffee concert cookie corridor cougar cowboy
    crocodile crossbow cucumber cyclone dandelion daughter decimal delta denim diagram diesel dinosaur
    drizzle duckling dungeon eggplant elephant elevator engraver equator evening everest explorer eyebrow
    factory fanfare festival fireplace flagship flowerpot folklore football fortune freckle freight
    gallery gardener gateway genius gondola gorilla grapefruit greenhouse gymnast habitat halibut hamster
    handshake harmony hatchet haystack headline hedgehog helium hexagon holiday horseshoe hurricane hyena
    inkwell ironwood jackpot jamboree javelin jellyfish jewel jukebox jumper kangaroo kestrel keyboard
    kingdom labyrinth lacrosse landmark lavender lemonade library lifeboat lighthouse lobby locomotive
    lollipop lullaby macaroni magazine marathon marigold melody meteor midnight molecule monument morning
    motorway mulberry mushroom mystery narwhal necklace nightfall notebook nutmeg octagon omelette opera
    orange orchestra origami ostrich outlaw overcoat oyster package paddock painter pancake parachute
    passenger patchwork peacock pendulum penguin peppermint photograph pineapple pistachio platinum polka
    porcupine potato professor propeller puzzle python quarry quicksand quilt raccoon radio rainbow
    raspberry recipe reindeer republic riddle rosemary roulette runway saddle saffron sandwich sapphire
    satellite saxophone seagull seashell shadow shepherd silver skeleton snowflake spaghetti sparrow
    spectrum spinach squirrel stadium starfish sunflower swallow symphony syrup tambourine tangerine
    tapestry telescope thunder tiger tornado tractor treasure triangle trumpet tugboat turbine turquoise
    twilight typhoon umbrella unicorn uniform universe vanilla velvet victory village vinegar violin
    volcano voyager waffle walnut waterfall weekend whisper windmill wizard woodland xylophone zigzag
"""

FIRST_WORDS: Final = tuple(_FIRST_LIST.split())
SECOND_WORDS: Final = tuple(_SECOND_LIST.split())
