"""Whose network an address is of, by a table on disk."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from msgspec.structs import replace
from report_samples import home_router

from nattools.errors import UsageError
from nattools.model.provider import Provider
from nattools.report.redaction import Redaction, redacted
from nattools.report.redaction.networktable import provider_of

ROWS = (
    "11.0.0.0\t11.255.255.255\t64500\tUS\tEVERYTHING\n"
    "11.1.0.0\t11.1.0.255\t64501\tDE\tEXAMPLE-NET Example GmbH\n"
    "11.2.0.0\t11.2.0.255\t0\tNone\tNot routed\n"
    "2a10::\t2a10:ffff:ffff:ffff:ffff:ffff:ffff:ffff\t64502\tfr\tSIX\n"
)


@pytest.mark.parametrize("compressed", [False, True])
def test_the_narrowest_row_counts(tmp_path: Path, compressed: bool) -> None:
    table = tmp_path / ("t.tsv.gz" if compressed else "t.tsv")
    table.write_bytes(gzip.compress(ROWS.encode()) if compressed else ROWS.encode())
    assert provider_of(table, "11.1.0.2") == Provider(
        asn=64501, name="EXAMPLE-NET Example GmbH", country="DE"
    )
    assert provider_of(table, "11.9.0.2") == Provider(asn=64500, name="EVERYTHING", country="US")
    assert provider_of(table, "2a10::1") == Provider(asn=64502, name="SIX", country="FR")
    assert provider_of(table, "11.2.0.2") is None
    assert provider_of(table, "12.0.0.1") is None
    with pytest.raises(UsageError, match="outside address is none"):
        provider_of(table, "nowhere")


@pytest.mark.parametrize("text", ["no tabs here\n", "a\tb\tc\td\te\n", "\x00" * 10000])
def test_what_is_no_table_is_named(tmp_path: Path, text: str) -> None:
    table = tmp_path / "t.tsv"
    table.write_text(text)
    with pytest.raises(UsageError, match="line 1"):
        provider_of(table, "11.1.0.2")
    with pytest.raises(UsageError, match="cannot read"):
        provider_of(tmp_path / "missing.tsv", "11.1.0.2")


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ((), None),
        (("country",), Provider(country="DE")),
        (("asn",), Provider(asn=64501, name="EXAMPLE-NET")),
        (("asn", "country"), Provider(asn=64501, name="EXAMPLE-NET", country="DE")),
    ],
)
def test_only_what_is_to_be_kept_is_kept(keep: tuple[str, ...], kept: Provider | None) -> None:
    provider = Provider(asn=64501, name="EXAMPLE-NET", country="DE")
    told = redacted(home_router(), Redaction(keep=frozenset(keep), provider=provider))
    assert told.provider == kept
    held = redacted(replace(home_router(), provider=provider), Redaction(keep=frozenset(keep)))
    assert held.provider == kept
