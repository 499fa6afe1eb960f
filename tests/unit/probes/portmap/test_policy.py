"""In which order protocols are asked, and what forbids the next one."""

from __future__ import annotations

import pytest

from nattools.model.portmapping import MappingProtocol
from nattools.probes.portmap import Refused, policy
from nattools.protocols.igd import ErrorCode
from nattools.wording.refusals import natpmp_refusal, pcp_refusal, upnp_refusal

BUSY = Refused(protocol="upnp-igd", failure="timeout")
FORBIDDEN = Refused(protocol="upnp-igd", failure="refused", refusal=upnp_refusal(606))
OFFLINE = Refused(protocol="upnp-igd", failure="refused", refusal=upnp_refusal(501))
BY_PCP = Refused(protocol="pcp", failure="refused", refusal=pcp_refusal(2))
BY_NATPMP = Refused(protocol="nat-pmp", failure="refused", refusal=natpmp_refusal(2))


@pytest.mark.parametrize(
    ("refusals", "allowed"),
    [
        ([], ["upnp-igd", "pcp", "nat-pmp"]),
        ([BUSY], ["upnp-igd", "pcp", "nat-pmp"]),
        ([OFFLINE], ["upnp-igd", "pcp", "nat-pmp"]),
        ([FORBIDDEN], ["upnp-igd"]),
        ([OFFLINE, FORBIDDEN], ["upnp-igd"]),
        ([FORBIDDEN, BY_PCP], ["upnp-igd"]),
        ([BY_PCP, BY_NATPMP], ["upnp-igd", "pcp", "nat-pmp"]),
    ],
)
def test_what_forbids_the_next_protocol(refusals: list[Refused], allowed: list[MappingProtocol]) -> None:
    assert [protocol for protocol in policy.ORDER if policy.may_ask(protocol, refusals)] == allowed


def test_the_number_is_that_of_the_protocol() -> None:
    assert policy.NOT_AUTHORIZED == ErrorCode.NOT_AUTHORIZED
