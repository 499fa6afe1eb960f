"""What a person reads: the essential words are there, in every format, and fit the width."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser

import msgspec
import pytest
from report_samples import TECHNIQUES, home_router, port_restricted
from terminals import Terminal

from nattools.model.nat import Nat, NatByTransport
from nattools.model.report import Report, Server
from nattools.report.document import Prose
from nattools.report.html import render_html
from nattools.report.markdown import _prose, render_markdown
from nattools.report.savedreport import load, render_json
from nattools.report.terminal import print_report, render_text

replace = msgspec.structs.replace


def joined(text: str) -> str:
    """A text with its line breaks and columns taken out."""
    return " ".join(text.split())


def test_the_answer_comes_first_and_what_to_do_next() -> None:
    lines = [line.strip() for line in render_text(home_router()).splitlines() if line.strip()]
    assert joined(" ".join(lines[:2])) == (
        "Measured in the scenario home-router:alice (simulated), not on this machine's network."
    )
    assert lines[2] == "This machine can be reached directly, by hole punching."
    assert lines[3].startswith("Best way     UDP hole punching: works with 8 of 9")
    assert lines[4] == "In games     Moderate (PlayStation Type 2, Nintendo B)"
    assert lines[5] == "Works        calls (some through a relay), joining games; not hosting a server"
    assert lines[6].startswith("To do        For all of them: switch on UPnP")
    assert lines[7] == "Keep a relay."
    assert lines[8] == "Beware       The server stun.example.org answered from another address."


def test_on_the_host_nothing_is_said_of_scenarios() -> None:
    assert "scenario" not in render_text(replace(home_router(), substrate="host", scenario=None))


def test_every_verdict_stands_with_its_reason() -> None:
    text = joined(render_text(home_router(), detail=1))
    for word, start in (("no", "10.0.0.2 is a"), ("yes", "Your NAT gives"), ("skipped", "This version")):
        assert f" {word} {start}" in text
    assert "TCP hole punching unknown No server here" in text
    assert "Run nattools serve on a" in text


def test_what_was_tried_stands_before_what_was_not() -> None:
    text = render_text(home_router(), detail=1)
    assert text.index("TCP hole punching") < text.index("UPnP   ")


def test_what_the_summary_says_to_do_is_not_said_twice() -> None:
    report = replace(home_router(), command="map", action="probe")
    advised = tuple(replace(one, advice="Restart the router.") for one in report.techniques[:1])
    report = replace(report, techniques=advised)
    assert joined(render_text(report)).count("Restart the router.") == 1
    said = replace(report, advice=replace(report.advice, to_do=("Restart the router.",)))
    assert "Restart the router." not in joined(render_text(said).partition("TECHNIQUE")[2])


def test_nat_says_what_the_nat_does_and_the_rest_on_request() -> None:
    report = replace(home_router(), command="nat")
    text = render_text(report)
    assert "TECHNIQUE" not in text
    assert "CONNECTING" not in text
    assert joined(text).startswith(
        "Measured in the scenario home-router:alice (simulated), not on this machine's network. "
        "Your NAT gives one external port for all peers, and lets in only addresses and ports that you sent "
        "to."
    )
    assert "TECHNIQUE" in render_text(report, detail=1)


@pytest.mark.parametrize(
    ("nat", "says"),
    [
        (
            Nat(present=False, filtering="endpoint-independent"),
            "There is no NAT, and nothing keeps packets out.",
        ),
        (Nat(present=False), "There is no NAT; whether a firewall filters is not known."),
        (
            Nat(present=False, filtering="address-dependent"),
            "There is no NAT; a firewall lets in only addresses that you sent to.",
        ),
        (Nat(), "Whether there is a NAT is not known."),
        (Nat(present=True), "There is a NAT; what it does is not known."),
        (
            Nat(present=True, mapping="address-dependent"),
            "gives a different external port for each peer address.",
        ),
        (Nat(reachable=False), "Nothing came back: it is blocked, or no server answered."),
    ],
)
def test_the_first_line_of_nat(nat: Nat, says: str) -> None:
    report = replace(home_router(), command="nat", nat=NatByTransport(udp4=nat))
    assert says in joined(render_text(report).partition("UDP OVER IPV4")[0])


def test_the_first_line_is_about_what_got_through() -> None:
    nat = NatByTransport(udp4=Nat(reachable=False), tcp4=Nat(present=True))
    text = joined(render_text(replace(home_router(), command="nat", nat=nat)))
    assert "TCP over IPv4: There is a NAT;" in text


def test_tcp_is_compared_with_udp() -> None:
    udp = port_restricted()
    tcp = replace(
        udp,
        filtering="endpoint-independent",
        hairpinning=None,
        double_nat=None,
        binding_lifetime_s=None,
        binding_lifetime_bounds_s=None,
        unknowns={"double_nat": "No router answered.", "hairpinning": "Not tried."},
    )
    report = replace(home_router(), command="nat", nat=NatByTransport(udp4=udp, tcp4=tcp))
    text = joined(render_text(report).partition("TCP OVER IPV4")[2].partition("WARNINGS")[0])
    assert text == (
        "one NAT, no second one behind it "
        "Filtering lets anybody in, once a port is in use endpoint-independent "
        "As over UDP mapping, ports, from outside, old name, blocked, open "
        "Not known hairpinning. Not tried."
    )
    assert "TCP OVER IPV4 one NAT, no second one behind it Mapping" in joined(render_text(report, detail=1))


def test_a_wide_terminal_has_a_column_for_what_to_do() -> None:
    lines = render_text(home_router(), columns=200, detail=1).splitlines()
    assert any(line.split()[:1] == ["TECHNIQUE"] and line.endswith("WHAT TO DO") for line in lines)
    assert any(line.endswith("Run nattools serve on a public machine.") for line in lines)


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("detail", [0, 1, 2])
def test_no_line_is_wider_than_the_terminal(columns: int, detail: int) -> None:
    text = render_text(home_router(), columns=columns, detail=detail)  # type: ignore[arg-type]
    assert max(len(line) for line in text.splitlines()) <= columns
    assert not re.search(r"[ \t]+$", text, re.MULTILINE)


@pytest.mark.parametrize("columns", [50, 120])
def test_a_dumb_terminal_has_its_own_width_too(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = render_text(home_router(), columns=columns)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    assert render_text(home_router(), columns=columns) == expected
    assert max(map(len, expected.splitlines())) <= columns


def test_terms_are_whole_at_80_columns() -> None:
    nat = replace(port_restricted(), mapping="address-and-port-dependent")
    text = render_text(replace(home_router(), nat=NatByTransport(udp4=nat)), detail=1)
    assert text.count(" address-and-port-dependent\n") == 2


def test_nat_in_plain_words_and_in_terms() -> None:
    text = joined(render_text(home_router(), detail=1))
    assert "UDP OVER IPV4 one NAT, no second one behind it" in text
    assert "Mapping one external port for all peers endpoint-independent" in text
    assert "port-restricted cone RFC 3489" in text
    assert "lives 29 s unused, is gone after 31 s of" in joined(
        render_text(home_router(), columns=120, detail=1)
    )
    assert "Blocked to ports 53" in text
    assert "Not known what keeps a mapping alive. The server could not send" in text
    assert "TCP OVER IPV4 nothing came back: blocked, or no server answered" in text


@pytest.mark.parametrize(
    ("nat", "says"),
    [
        (Nat(present=False, mapping="none"), "no NAT: your own address is seen outside"),
        (Nat(present=None), "not known whether there is a NAT"),
        (Nat(present=True, cgnat=True), "your provider shares one address among customers (CGNAT)"),
        (Nat(present=True, cgnat=True, double_nat=True), "(CGNAT) behind your own router"),
        (Nat(present=True, double_nat=True), "two NATs, one behind the other"),
        (Nat(present=True), "whether a second one stands behind it is not known"),
    ],
)
def test_what_stands_between(nat: Nat, says: str) -> None:
    report = replace(home_router(), nat=NatByTransport(udp6=nat), advice=None, command="nat")
    text = joined(render_text(report))
    heading, _, rest = text.partition(" Mapping ")
    assert rest
    assert heading.endswith(says)


def test_without_nat_there_are_no_rows_about_ports_and_hairpinning() -> None:
    nat = Nat(present=False, mapping="none", filtering="endpoint-independent")
    text = joined(render_text(replace(home_router(), nat=NatByTransport(udp4=nat)), detail=1))
    assert "Hairpinning" not in text
    assert "Mapping no translation: others see your own no NAT address" in text


def test_a_nat_that_counts() -> None:
    nat = Nat(present=True, port_allocation="sequential", port_step=2, port_range=(1024, 4096))
    text = joined(render_text(replace(home_router(), nat=NatByTransport(udp4=nat)), detail=1))
    assert "counts up by 2, from 1024 to 4096 sequential" in text


def test_ports_of_a_set_that_others_share_the_address_with() -> None:
    nat = Nat(present=True, port_allocation="random", port_range=(1024, 65535), port_mask=(0xFC0, 0x340))
    text = joined(render_text(replace(home_router(), nat=NatByTransport(udp4=nat)), detail=1, columns=160))
    assert "of a port set alone (port & 0xfc0 is 0x340): others share the address" in text
    without = joined(render_text(home_router(), detail=1, columns=160))
    assert "port set" not in without


def test_peers_with_way_and_odds() -> None:
    text = joined(render_text(home_router(), detail=1, columns=120))
    assert "CONNECTING TO WAY HOW" in text
    assert "symmetric, random direct hole punching, birthday probes, 98% in 4 s" in text
    assert "UDP blocked relay through a relay" in text


def test_figures_and_rfc_rows_on_request() -> None:
    plain, more = (joined(render_text(home_router(), detail=detail)) for detail in (0, 1))
    for words in ("RFC 4787 (UDP) REQUIREMENT STATUS WHY", "REQ-1", "untested", "Round trip 30.1 ms"):
        assert words not in plain.replace("RFC 4787 REQ", "")
        assert words in more
    assert "Hop 1 10.0.0.1 NAT" in more
    assert "Default route IPv4 10.0.0.1 on eth0" in more


def test_observations_on_further_request() -> None:
    assert "seen as 11.1.0.2:40001" not in joined(render_text(home_router(), detail=1))
    text = joined(render_text(home_router(), detail=2))
    assert "#1 0.010 mapping: udp 10.0.0.2:40001 to 11.201.0.2:3478: seen as" in text
    assert "asking for another address and port: timeout after 400 ms, 3 sent" in text
    assert "hairpin: udp 10.0.0.2:1 to 11.1.0.2:2: 0 of 3" in text
    assert "pystun3 2.0.0 says: Full Cone (8.1 s)" in text
    for number in range(1, 10):
        assert f"#{number} " in text


def test_servers_are_named_when_something_is_wrong_with_one() -> None:
    report = replace(home_router(), command="nat")
    assert "did not answer: the name does not resolve" in joined(render_text(report))
    fine = Server(uri="stun:a", answered=True)
    assert "SERVER" not in render_text(replace(report, servers=(fine,)))


def test_markdown_has_everything_and_folds_the_details() -> None:
    text = render_markdown(home_router())
    assert text.startswith("## nattools diagnose\n")
    assert "**This machine can be reached directly, by hole punching.**" in text
    assert "| Direct IPv4 | no | 10.0.0.2 is a private address" in text
    assert text.count("<details>") == text.count("</details>") == 4
    for number in range(1, 10):
        assert f"| \\#\u200b{number} |" in text


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("- a list", "\\- a list"),
        ("    a block of code", "a block of code"),
        ("1. a list", "1\\. a list"),
        ("=== a heading", "\\=== a heading"),
        ("see http://evil.example/ or WWW.evil.example", "see http\\://evil.example/ or WWW\\.evil.example"),
        ("GH-12, me/it#12, @all", "GH-\u200b12, me/it\\#\u200b12, @\u200ball"),
        ("$x$ and :smile:", "\\$x\\$ and :\u200bsmile:"),
        ("2a10:1:100:2::3", "2a10:1:\u200b100:2::3"),
        ("2a10:1:2::3 at 03:04:05", "2a10:1:2::3 at 03:04:05"),
    ],
)
def test_markdown_draws_text_as_it_is(text: str, drawn: str) -> None:
    """What a router says becomes neither a link nor a list, on a page where it is pasted."""
    report = replace(home_router(), warnings=(text,))
    assert drawn.lstrip("\\") in render_markdown(report)
    assert list(_prose(Prose(text))) == [drawn]
    assert list(_prose(Prose(text, " "))) == [f"- {drawn}"]


def test_markdown_tables_have_one_width() -> None:
    for block in re.findall(r"(?:^\|.*\n)+", render_markdown(home_router()), re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


class Tags(HTMLParser):
    """Checks that tags are closed in order, and notes all tags and attributes."""

    VOID = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_well_formed_and_loads_nothing() -> None:
    page = render_html(home_router())
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    assert not tags.seen & {"script", "link", "img", "iframe"}
    assert not tags.attributes & {"src", "href", "onload", "style"}
    assert "url(" not in page
    assert "prefers-color-scheme: dark" in page
    assert "This machine can be reached directly" in page


def test_json_is_one_document_that_reads_back() -> None:
    text = render_json(home_router())
    assert json.loads(text)["schema"] == "nattools.report/1"
    assert load(text.encode()) == home_router()


ATTACK = '\x1b[2J\x9b31m\u202e\x07\r<script>alert("1")</script> [x](http://e) `|` @all \ud7ff\u2028'


def hostile() -> Report:
    report = home_router()
    server = Server(uri="stun:x", answered=True, problem=ATTACK)
    techniques = tuple(replace(one, summary=ATTACK, advice=ATTACK) for one in report.techniques)
    nat = replace(port_restricted(), external=(ATTACK,), unknowns={ATTACK: ATTACK})
    seen = tuple(
        replace(one, **{f: ATTACK for f in ("mapped", "detail", "says", "local", "name") if hasattr(one, f)})
        for one in report.observations
    )
    return replace(
        report,
        servers=(server,),
        techniques=techniques,
        nat=NatByTransport(udp4=nat),
        warnings=(ATTACK,),
        observations=seen,
        scenario=ATTACK,
        started=ATTACK,
    )


def printable(text: str) -> bool:
    return all(c.isprintable() or c in "\n\u200b" for c in text)


def test_a_hostile_server_cannot_drive_the_terminal() -> None:
    for detail in (0, 1, 2):
        text = render_text(hostile(), detail=detail)  # type: ignore[arg-type]
        assert printable(text)
        assert max(len(line) for line in text.splitlines()) <= 80
    assert "\\x1b[2J\\x9b31m\\u202e\\x07" in render_text(hostile())
    assert printable(render_json(hostile()))
    assert load(render_json(hostile()).encode()) == hostile()


def test_a_hostile_server_cannot_write_html() -> None:
    page = render_html(hostile())
    assert printable(page)
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.seen


def test_a_hostile_server_cannot_write_markdown() -> None:
    text = render_markdown(hostile())
    assert printable(text)
    assert "<script" not in text
    assert "[x](" not in text
    assert "@all" not in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


@pytest.fixture
def colour_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


def test_colour_only_repeats_the_words(colour_terminal: Terminal) -> None:
    print_report(home_router(), colour_terminal, detail=1)
    drawn = colour_terminal.getvalue()
    assert "\x1b[32myes" in drawn
    assert re.sub(r"\x1b\[[0-9;]*m", "", drawn) == render_text(home_router(), detail=1)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_plain_text_where_colour_is_not_wanted(
    colour_terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    print_report(home_router(), colour_terminal)
    assert colour_terminal.getvalue() == render_text(home_router())


def test_a_pipe_gets_plain_text_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    pipe = io.StringIO()
    print_report(home_router(), pipe)
    assert pipe.getvalue() == render_text(home_router())


def test_the_samples_have_every_verdict() -> None:
    assert {verdict for verdict, _, _ in TECHNIQUES.values()} == {"works", "fails", "unknown", "skipped"}
