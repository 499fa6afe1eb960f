"""How a fake router behaves, and which faults it has."""

from __future__ import annotations

from typing import Literal

import msgspec

Protocols = Literal["pcp", "nat-pmp", "upnp"]
Xml = Literal[
    "good", "slow", "endless", "entities", "not xml", "not well-formed", "doctype", "gzip", "utf-16"
]
Rows = Literal[
    "good",
    "gaps",
    "foreign",
    "blank",
    "hidden",
    "unlisted",
    "repeated",
    "unreadable",
    "first",
    "both",
    "doubled",
    "turned",
    "from one",
    "either",
]
Names = Literal["kept", "prefixed", "upper", "replaced", "cut"]
Reserved = Literal["true", "asked", "none", "zero"]
Framing = Literal["close", "left open", "too long", "keep-alive", "bytes", "chunked", "gzip"]
Leases = Literal["good", "end", "run on"]
ToldLeases = Literal["true", "minutes", "none", "left out", "words"]
Epoch = Literal["true", "back", "stuck", "ahead", "jumps"]
TypeCase = Literal["as it is", "lower", "upper"]


class RouterBehaviour(msgspec.Struct, frozen=True, kw_only=True):
    """A router without faults that speaks all three protocols, unless told otherwise.

    What is asked of which protocol: `protocols`. `services` are the IGD's, by the end of their type
    ("WANIPConnection:2"), those of the DSL Forum with "dsl:" before; `igd_version` its device's.

    Faults, all seen in real routers:
    `external`: claims this address instead of its own ("0.0.0.0", "" or a private one).
    `permanent_only`: UPnP error 725 for every lease but 0. `lease_fault`: error 402 for every lease but 0;
    `permanent_fault`: error 402 for lease 0. `same_ports`: error 724 unless both ports are equal.
    `lease_error`: this code for every lease but 0. `any_port_error`: AddAnyPortMapping fails with this code,
    or the connection is reset (0). `repeats_call`: results are named as the call. `framing`: the end of an
    HTTP response is marked by closing, by nothing, by a length that is too large, or right, with a connection
    that stays open whatever the client wants ("keep-alive"); or by chunks with trailers; each byte comes in a
    segment of its own ("bytes"); or the body is compressed unasked ("gzip"). `web_port`: the web server only
    sends clients to another one on this port.
    `rows`: the table has a row with an unknown protocol first ("foreign"), numbers with gaps, blank rows
    instead of errors, rows that GetSpecificPortMappingEntry never shows ("hidden"), or that the list does not
    ("unlisted"), a first row for ever ("repeated") or a first one without numbers ("unreadable"); the first
    one is shown whatever port is asked for ("first"), or each is said to be for "TCP/UDP" ("both"); each
    comes twice ("doubled"), or another one is the first with every question ("turned"); the first has the
    number 1 ("from one"); one that is asked for by its port is shown for either transport ("either").
    `told_leases`: its table tells what is left in minutes, in words, always as 0, or not at all ("left out").
    `padded`: its numbers have blanks around them.
    `names`: what becomes of descriptions. `moves`: UPnP makes the external port that is asked for plus this,
    and does not say so. `reserved`: what AddAnyPortMapping says that it made; `any_makes`: where it fails it
    makes the port plus 100 all the same. `one_per_inside`: a new external port takes the place of the old
    one; `one_per_port`: a new mapping takes the place of the other transport's. `deletes_both`:
    DeletePortMapping takes the other transport's mapping too. `most`: so many mappings
    by UPnP, then 728; `room`: so many by whatever protocol. `fails_first`: AddPortMapping fails with 501 so
    many times; `again_fails`: it does for what is there already.
    `status`, `uptime`: what GetStatusInfo says. `fault_status`: the HTTP status of faults. `busy`: so many
    calls are answered with 503. `one_at_a_time`: a second connection at once is reset. `continues`: 100
    Continue comes before each response. `rate`: what comes beyond so many requests a second is answered with
    503, by PCP and NAT-PMP not at all. `restarts_after`: it restarts with the request of this number.
    `list_error`: the list is refused with this code. `row_s`: how long each row of it takes.
    `upnp_error`: AddPortMapping fails with this code. `upnp_status`: it answers with this HTTP status and no
    XML. `pcp_result`, `natpmp_result`: mappings fail with this result; `pcp_downgrade`: PCP is answered with
    NAT-PMP's version 0. `pcp_alone`: NAT-PMP is answered with PCP's version.
    `ignores_prefer_failure`: assigns another port all the same. `other_port`: PCP and NAT-PMP assign the
    suggested port plus one. `taken`: external ports that belong to another machine.
    `lies`: says success and forwards nothing. `full`: says success and makes nothing. `then_fails`:
    AddPortMapping makes the mapping and fails with this code all the same, or the connection is reset (0).
    `leases`: a mapping with a lifetime by UPnP ends at once ("end"), or is not renewed by asking again ("run
    on"). `lease_becomes`: every lifetime by UPnP becomes this (0: permanent). `renewal_result`: PCP and
    NAT-PMP refuse to renew what lives. `announce` False: PCP's ANNOUNCE is not answered. `told_lifetime_s`,
    `told_port`: PCP and NAT-PMP say this of every mapping that they make; `failure_s`: and this lifetime of
    failures. `renewal_moves`: by these a renewal gets another external port. `to_own_number`: a mapping by
    PCP or NAT-PMP leads to the inside port of the same number as the outside one, which is drawn ("P2P
    servers" of VPN providers). `noise`: before each answer by PCP
    or NAT-PMP come some that are none. `lost`: the first so many answers of these are lost.
    `epoch`: each is less than the one before, all are the same, they run at twice the speed, or jump.
    `wrong_nonce`: PCP answers have another nonce, before the right one if `then_right`.
    `ends_last_s`: what is to end by these protocols lives on for so long, and that is what they say.
    `answer_port`: SSDP answers come from this port. `pmp_port`: NAT-PMP and PCP answers do; `pmp_outside`:
    they come from the outside address.
    `copies`: SSDP answers come so many times. `hears_multicast` False: only M-SEARCHes to its own address are
    answered. `only_target`: only M-SEARCHes for this are. `location`: names this URL.
    `down_first`: another IGD of its own, which is offline, answers first. `decoys`: so many others do too.
    `devices_first`: so many devices of its own that are no gateways answer before it.
    `redirect`: whoever asks for the description is sent there. `control`: the control URL that the
    description names, `url_base` its URLBase, `control_at` where alone calls are answered. `xml`: what its
    description is like.
    `call_status`: every call is answered with this HTTP status and a page. `known_type`: calls by another
    service type ("WANIPConnection:1") fail with 401. `down_services`: so many of its connections are offline;
    `dead_services`: so many reset whoever calls them. `own_tables`: each connection has a table of its own;
    `first_refuses`: the first one makes no mappings, with this code; `flips`: after so many questions for its
    status the first one is offline, and before that the second one. `type_case`: how service types are
    written.
    `crashes_at`: at the first of such calls its web server ends, and is there again after `crash_s`; at "end"
    it is the question for a row behind the last one, each time.
    `code_words`: errorCode has words after its number. `done_status`: the HTTP status of changes that were
    made, which then have no body.
    `delete_error`: DeletePortMapping fails with this code where there is no such mapping, instead of 714 (0:
    it says success);
    `keeps`: it says success and removes nothing. `longest_name`: longer descriptions fail with `name_error`.
    `garbled`: successes of these actions are answered with nonsense. `change_s`: how long changes take;
    `applies_after_s`: so long after the answer they come into force.
    `ports`: others than these are refused, inside and outside. `announces`: it tells its clients when it has
    (re)started; `announces_every_s`: and ever again. `delay_s`: how late it answers everything.
    `forgets_owner`: a pinhole that PCP is asked for
    twice, be it by the same request sent again, is removed for nobody any more (miniupnpd 2.3.1).
    """

    protocols: tuple[Protocols, ...] = ("pcp", "nat-pmp", "upnp")
    igd_version: int = 2
    services: tuple[str, ...] = ("WANIPConnection:2", "WANIPv6FirewallControl:1")
    connected: bool = True
    external: str | None = None
    permanent_only: bool = False
    lease_fault: bool = False
    permanent_fault: bool = False
    same_ports: bool = False
    lease_error: int | None = None
    any_port_error: int | None = None
    repeats_call: bool = False
    framing: Framing = "close"
    rows: Rows = "good"
    list_error: int | None = None
    row_s: float = 0.0
    told_leases: ToldLeases = "true"
    padded: bool = False
    web_port: int | None = None
    upnp_error: int | None = None
    upnp_status: int | None = None
    pcp_result: int = 0
    natpmp_result: int = 0
    pcp_downgrade: bool = False
    pcp_alone: bool = False
    ignores_prefer_failure: bool = False
    other_port: bool = False
    taken: tuple[int, ...] = ()
    lies: bool = False
    full: bool = False
    then_fails: int | None = None
    leases: Leases = "good"
    lease_becomes: int | None = None
    renewal_result: int = 0
    renewal_moves: bool = False
    failure_s: int = 30
    announce: bool = True
    told_lifetime_s: int | None = None
    told_port: int | None = None
    ends_last_s: int = 0
    noise: bool = False
    lost: int = 0
    epoch: Epoch = "true"
    wrong_nonce: bool = False
    then_right: bool = False
    answer_port: int | None = None
    pmp_port: int | None = None
    pmp_outside: bool = False
    names: Names = "kept"
    moves: int = 0
    reserved: Reserved = "true"
    any_makes: bool = False
    one_per_inside: bool = False
    one_per_port: bool = False
    deletes_both: bool = False
    most: int | None = None
    room: int | None = None
    fails_first: int = 0
    again_fails: bool = False
    status: str | None = None
    uptime: str | None = None
    fault_status: int = 500
    busy: int = 0
    one_at_a_time: bool = False
    rate: int | None = None
    restarts_after: int | None = None
    continues: bool = False
    to_own_number: bool = False
    copies: int = 1
    hears_multicast: bool = True
    only_target: str | None = None
    location: str | None = None
    redirect: str | None = None
    down_first: bool = False
    decoys: int = 0
    devices_first: int = 0
    control: str | None = None
    url_base: str | None = None
    control_at: str | None = None
    call_status: int | None = None
    known_type: str | None = None
    down_services: int = 0
    dead_services: int = 0
    own_tables: bool = False
    first_refuses: int | None = None
    flips: int | None = None
    type_case: TypeCase = "as it is"
    garbled: tuple[str, ...] = ()
    crashes_at: str | None = None
    crash_s: float = 3.0
    code_words: bool = False
    done_status: int | None = None
    delete_error: int = 714
    keeps: bool = False
    longest_name: int = 80
    name_error: int = 605
    change_s: float = 0.0
    applies_after_s: float = 0.0
    xml: Xml = "good"
    pinholes_allowed: bool = True
    ports: tuple[int, int] = (0, 65535)
    announces: bool = True
    announces_every_s: float | None = None
    delay_s: float = 0.0
    forgets_owner: bool = False
    min_lifetime_s: int = 0
    max_lifetime_s: int = 86400

    def maps(self, *ports: int) -> bool:
        """Does it make mappings of all these ports?"""
        return all(self.ports[0] <= port <= self.ports[1] for port in ports)

    def lifetime_s(self, asked_s: int) -> int:
        """The lifetime that it gives to one who asks for so much."""
        return max(self.min_lifetime_s, min(asked_s, self.max_lifetime_s))
