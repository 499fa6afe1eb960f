"""Finds the explanation of a code: of a statement, or of a router's refusal."""

from __future__ import annotations

import re
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple

from nattools.wording import refusals
from nattools.wording.explanations import (
    aboutchanges,
    aboutconnections,
    aboutipv6,
    aboutmeasuring,
    aboutnetworks,
    aboutrouters,
)
from nattools.wording.explanations.aboutways import WAYS
from nattools.wording.explanations.topic import Topic
from nattools.wording.sentences import tables
from nattools.wording.terms import TECHNIQUES

TOPICS: tuple[Topic, ...] = (
    *aboutipv6.TOPICS,
    *aboutrouters.TOPICS,
    *aboutnetworks.TOPICS,
    *aboutchanges.TOPICS,
    *aboutmeasuring.TOPICS,
    *aboutconnections.TOPICS,
)
"""In the order in which they are tried."""
_OF_TABLES = {
    "punch": "punch",
    "pwnat": "pwnat",
    "tailscale": "programs",
    "libp2p": "programs",
    "lan": "programs",
}
"""What there is to say of a code that no topic names."""
OTHERS = "finding"
_TABLES = {
    "upnp-igd": refusals.UPNP_MAPPING,
    "upnp-pinhole": refusals.UPNP_PINHOLE,
    "nat-pmp": refusals.NAT_PMP,
    "pcp": refusals.PCP,
}
REFUSED = "port-mapping-refused"
_MOST_NEAR = 5
_BLANK = re.compile(r"\{(\w+)(?::([^{}]*))?\}")


class Explanation(NamedTuple):
    """`code` with its sentence (values in angle brackets), the topic, and for a router's refusal what to do
    about this very one."""

    code: str
    sentence: str
    topic: Topic
    remedy: str = ""


@cache
def _by_name() -> dict[str, Topic]:
    return {topic.name: topic for topic in TOPICS}


@cache
def topic_of(code: str) -> Topic:
    """What there is to say of a code of a statement."""
    for topic in TOPICS:
        if any(fnmatchcase(code, pattern) for pattern in topic.codes):
            return topic
    table = next((name for name, sentences in tables().items() if code in sentences), "")
    return _by_name()[_OF_TABLES.get(table, OTHERS)]


@cache
def _sentences() -> dict[str, str]:
    return {code: template for table in tables().values() for code, template in table.items()}


@cache
def _refusals() -> dict[str, tuple[str, str, str]]:
    """What routers say instead of a mapping: by protocol and number, the name, what happened, what to do."""
    return {f"{name}-{code}": texts for name, table in _TABLES.items() for code, texts in table.items()}


def all_codes() -> dict[str, str]:
    """Every code with its sentence: those of statements by table, then routers' refusals."""
    found = {code: _readable(template) for code, template in _sentences().items()}
    return found | {code: f"{name}: {meaning}" for code, (name, meaning, _) in _refusals().items()}


def _readable(template: str) -> str:
    """The sentence with `<name>` where a value stands."""
    return _BLANK.sub(lambda blank: f"<{blank[1]}>", template.replace("{{", "{").replace("}}", "}"))


def explain(code: str) -> Explanation | None:
    """What a code means; None: there is no such code. Case and blanks are forgiven, and a router's error may
    be given as `UPnP 718`. A technique's id is explained too, though it is no finding."""
    wanted = _normal(code)
    for technique, way in WAYS.items():
        if technique == wanted:
            return Explanation(technique, TECHNIQUES[technique], way)
    if wanted not in _sentences():  # as `ipv6.problems[].code` has it
        problem = f"ipv6-problem-{wanted.removeprefix('ipv6-')}"
        wanted = problem if problem in _sentences() else wanted
    if wanted in _sentences():
        return Explanation(wanted, _readable(_sentences()[wanted]), topic_of(wanted))
    refused = _refusals().get(wanted)
    if refused is None:
        return None
    name, meaning, remedy = refused
    return Explanation(wanted, f"{name}: {meaning}", _by_name()[REFUSED], remedy)


def _normal(code: str) -> str:
    plain = code.strip().strip("[]()\\`'\".,; \t\n")  # as pages and sentences have it around a code
    words = re.sub(r"[\s_/:-]+", "-", plain.lower())
    return re.sub(r"^(upnp|igd)-(?=\d)", "upnp-igd-", words)


def near_codes(code: str) -> list[str]:
    """Codes that may have been meant: spelled alike, or with these words in them."""
    wanted, known = _normal(code), [*WAYS, *all_codes()]
    words = [word for word in wanted.split("-") if len(word) > 2 or word.isdigit()]
    alike = get_close_matches(wanted, known, n=_MOST_NEAR, cutoff=0.7)
    holding = [each for each in known if words and all(word in each.split("-") for word in words)]
    return list(dict.fromkeys([*alike, *holding]))[:_MOST_NEAR]
