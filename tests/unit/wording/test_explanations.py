"""Every code has an explanation, and whoever mistypes one is helped."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest

from nattools.model.report import TECHNIQUE_IDS, TechniqueId
from nattools.wording.explanations import TOPICS, all_codes, explain, near_codes, topic_of
from nattools.wording.explanations.lookup import OTHERS
from nattools.wording.sentences import tables
from nattools.wording.terms import TECHNIQUES

CODES = [code for table in tables().values() for code in table]


def test_every_code_is_explained() -> None:
    assert set(CODES) <= set(all_codes())
    for code, sentence in all_codes().items():
        found = explain(code)
        assert found is not None
        assert found.sentence == sentence
        assert found.topic.meaning
        assert found.topic.found
        assert found.remedy or found.topic.do


@pytest.mark.parametrize("technique", TECHNIQUE_IDS)
def test_every_technique_is_explained(technique: TechniqueId) -> None:
    found = explain(technique)
    assert found is not None
    assert found.code == technique
    assert found.sentence == TECHNIQUES[technique]
    for text in (found.topic.meaning, found.topic.found, found.topic.do):
        assert text.endswith(".")


def test_few_codes_have_nothing_of_their_own_to_say() -> None:
    general = [code for code in CODES if topic_of(code).name == OTHERS]
    assert len(general) < len(CODES) / 10


def test_topics_go_with_the_codes() -> None:
    """A code that goes takes its pattern with it."""
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)
    idle = [
        pattern
        for topic in TOPICS
        for pattern in topic.codes
        if not any(fnmatchcase(code, pattern) and topic_of(code) is topic for code in CODES)
    ]
    assert not idle


@pytest.mark.parametrize(
    ("code", "topic"),
    [
        ("direct-stopped-host", "firewall"),
        ("direct-stopped-unknown", "firewall"),
        ("direct-filtered", "firewall"),
        ("direct-search-failed", "connection-lost"),
        ("direct-failed", "plan"),
    ],
)
def test_codes_that_begin_alike_may_be_about_different_things(code: str, topic: str) -> None:
    assert topic_of(code).name == topic


def test_texts_are_whole_sentences() -> None:
    for topic in TOPICS:
        for text in (topic.meaning, topic.found, topic.do):
            assert text[0].isupper() or text.startswith(("`", "nattools", "--")), text
            assert text.endswith("."), text
            assert "  " not in text


@pytest.mark.parametrize(
    ("typed", "code", "says"),
    [
        ("upnp-igd-718", "upnp-igd-718", "ConflictInMappingEntry"),
        ("UPnP 718", "upnp-igd-718", "ConflictInMappingEntry"),
        ("igd 718", "upnp-igd-718", "ConflictInMappingEntry"),
        ("NAT-PMP 2", "nat-pmp-2", "NOT_AUTHORIZED"),
        ("PCP 8", "pcp-8", "NO_RESOURCES"),
        ("Port_Per_Peer", "port-per-peer", "a different port for each peer"),
        ("black-hole", "ipv6-problem-black-hole", "Large packets vanish"),
        ("IPv6 two-routers", "ipv6-problem-two-routers", "More than one router"),
        ("enable-mappings-at", "enable-mappings-at", "(http://<router>)"),
    ],
)
def test_a_code_as_people_type_it(typed: str, code: str, says: str) -> None:
    found = explain(typed)
    assert found is not None
    assert found.code == code
    assert says in found.sentence


def test_near_codes_are_suggested() -> None:
    assert explain("port-pre-peer") is None
    assert near_codes("port-pre-peer")[0] == "port-per-peer"
    assert "nat64-not-named" in near_codes("nat64 named")
    assert near_codes("") == []
    assert near_codes("\x1b[2J{}*[!]") == []


def test_what_must_differ_by_product_does() -> None:
    for name in ("port-mapping-off", "port-per-peer", "second-nat", "firewall", "ipv6-firewall"):
        topic = next(topic for topic in TOPICS if topic.name == name)
        assert len(set(topic.products)) == 8
