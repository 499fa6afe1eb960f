"""Every error code of a router has a name, a meaning and advice."""

from __future__ import annotations

import pytest

from nattools.protocols.igd import ErrorCode
from nattools.protocols.pcp import ResultCode
from nattools.wording import refusals
from nattools.wording.refusals import Texts, natpmp_refusal, pcp_refusal, upnp_refusal


@pytest.mark.parametrize(
    "table", [refusals.UPNP_MAPPING, refusals.UPNP_PINHOLE, refusals.PCP, refusals.NAT_PMP]
)
def test_every_code_has_a_name_a_meaning_and_advice(table: Texts) -> None:
    for name, meaning, advice in table.values():
        assert name
        assert meaning.endswith(".")
        assert advice.endswith(".")


def test_no_code_of_a_standard_is_missing() -> None:
    general = {401, 402, 403, 501, *range(600, 613)}
    mapping = {*range(703, 712), 713, 714, 715, 716, 718, *range(724, 734)}
    assert set(refusals.UPNP_MAPPING) == general | mapping
    assert set(refusals.UPNP_PINHOLE) == general | set(range(701, 710))
    assert set(refusals.PCP) == set(ResultCode) - {ResultCode.SUCCESS}
    assert set(refusals.NAT_PMP) == set(range(1, 6))
    assert set(ErrorCode) <= set(refusals.UPNP_MAPPING) | set(refusals.UPNP_PINHOLE)


def test_the_same_number_means_something_else_to_another_service() -> None:
    assert upnp_refusal(709).name == "InternetAccessDisabled"
    assert upnp_refusal(709, pinhole=True).name == "NoTrafficReceived"


def test_codes_that_no_standard_names() -> None:
    assert "It says: Nope." in upnp_refusal(899, description="Nope").meaning
    assert upnp_refusal(401, description="Unauthorized", from_http=True).name == "HTTP 401"
    assert (pcp_refusal(77).code, pcp_refusal(77).name) == (77, "result 77")
    assert "RFC 6886" in natpmp_refusal(9).meaning
