"""Reading scenario files: what is right is read, what is wrong is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nattools import boundedtoml
from nattools.errors import UsageError
from nattools.lab import expect, scenariofiles
from nattools.lab.scenariofiles import load, parse
from nattools.lab.tomlfields import line_of

GOOD = """\
title = "Two homes"

[nat.home]
filtering = "address-dependent"
range = [2000, 3000]

[nat.isp]
mapping = "address-and-port-dependent"
block = 512
address = "100.64.0.0/10"

[nat.flat]
behind = "isp"

[host.alice]
behind = "home"
delay_ms = 15
[host.bob]
behind = ["flat", "home"]
vpn = ["home"]

[options]
lifetime = true
max_lifetime_s = 60

[expect.alice.nat.udp4]
mapping = "endpoint-independent"
[expect.pair.alice-bob]
strategy = "birthday"
"""


def complaint(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(text, "scenarios/x.toml")
    message = str(caught.value)
    assert message.startswith("scenarios/x.toml")
    assert "\n" not in message
    return message


def test_reads_what_it_should() -> None:
    scenario = parse(GOOD, "folder/two-homes.toml")
    assert scenario.name == "two-homes"
    assert scenario.nat["home"].filtering == "address-dependent"
    assert scenario.nat["home"].range == (2000, 3000)
    assert scenario.nat["home"].lifetime_s == 180.0
    assert scenario.host["alice"].delay_ms == 15.0
    assert scenario.host["bob"].behind == ("flat", "home")
    assert list(scenario.server) == ["stun"]
    assert scenario.options == {"lifetime": True, "max_lifetime_s": 60.0}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("filtering", '"port"', "nat.home.filtering: 'port' is not one of 'endpoint-independent'"),
        ("filterin", '"port"', "unknown key; did you mean 'filtering'?"),
        ("delay_ms", "-1", "nat.home.delay_ms: -1 is not between 0 and 60000"),
        ("loss", "1.5", "not between 0 and 1"),
        ("loss", "nan", "not between 0 and 1"),
        ("loss", '"much"', "'much' has the wrong type: expected a number, got text"),
        ("lifetime_s", "0", "not above 0"),
        ("lifetime_s", "inf", "not above 0"),
        ("step", "0", "not between 1 and 65535"),
        ("step", "2.5", "has the wrong type: expected a whole number, got a number"),
        ("step", "true", "has the wrong type"),
        ("step", "2", 'step is for allocation = "sequential"'),
        ("range", "[0, 10]", "not a range of ports"),
        ("range", "[10, 5]", "not a range of ports"),
        ("range", "[10]", "has the wrong type"),
        ("address", '"10.0.0.0/33"', "not an IPv4 network"),
        ("address", '"10.0.0.1/24"', "not an IPv4 network"),
        ("address", '"11.0.1.0/24"', "not usable as an inside network"),
        ("address", '"10.0.1.0/30"', "prefix of /8 to /29"),
        ("open_ports", '["tcp/0"]', "not a list of ports"),
        ("open_ports", '["sctp/9"]', "not a list of ports"),
        ("session_limit", "0", "not between 1"),
        ("block", "70000", "not between 1 and 65535"),
        ("behind", '"nowhere"', "'nowhere' is neither a nat nor a firewall here"),
        ("behind", '"hom"', "did you mean 'home'?"),
        ("behind", '"home"', "'home' is behind itself"),
        ("mtu", "0xffffffffffffffffffff", "nat.home.mtu"),
    ],
)
def test_a_bad_value_is_named_with_its_line(key: str, value: str, reason: str) -> None:
    text = f'title = "x"\n\n[nat.home]\nparity = true\n{key} = {value}\n\n[host.alice]\nbehind = "home"\n'
    message = complaint(text)
    assert message.startswith("scenarios/x.toml, line 5: ")
    assert reason in message


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('title = "x"\n', 1, "a scenario needs a host"),
        ("[host.alice]\n", 1, "'title' is missing"),
        ("title = 3\n[host.alice]\n", 1, "expected text"),
        ('title = "x"\n[hots.alice]\n', 2, "did you mean 'host'?"),
        ('title = "x"\n[host]\nalice = 3\n', 3, "expected a table, not 3"),
        ('title = "x"\nhost = 3\n', 2, "expected a table"),
        ('title = "x"\n[host.a]\n[server.stun]\nport = 70000\n', 4, "not between 1 and 65534"),
        ('title = "x"\n[host.a]\n[server.stun]\nport = 0\n', 4, "not between 1 and 65534"),
        ('title = "x"\n[host.a]\n[server.a]\n', 3, "taken by another node"),
        ('title = "x"\n[host.internet]\n', 2, "taken by another node"),
        ('title = "x"\n[host."a b"]\n', 2, "a name has 1 to 12 letters"),
        ('title = "x"\n[host.a]\nbehind = "home"\n', 3, "neither a nat nor a firewall here"),
        ('title = "x"\n[host.a]\nipv4 = false\n', 3, "needs ipv6 = true"),
        ('title = "x"\n[nat.n]\n[host.a]\nbehind = "n"\nvpn = ["m"]\n', 5, "is not behind 'm'"),
        ('title = "x"\n[nat.n]\n[host.a]\nbehind = "n"\nipv6 = true\n', 5, "the router decides"),
        ('title = "x"\n[nat.n]\n[host.a]\nbehind = ["n", "n"]\n', 4, "different routers"),
        ('title = "x"\n[host.a]\n[options]\nlifetim = true\n', 4, "did you mean 'lifetime'?"),
        ('title = "x"\n[host.a]\n[expect.b]\n', 3, "no host is called 'b'"),
        ('title = "x"\n[host.a]\n[expect.a.nat.udp4]\nmaping = "none"\n', 4, "did you mean 'mapping'?"),
        ('title = "x"\n[nat]\nn = { step = 0 }\n[host.a]\n', 3, "not between 1 and 65535"),
        ('title = "x"\nnat.n.step = 0\n[host.a]\n', 2, "not between 1 and 65535"),
        ('title = "x"\n[nat."n"]\nblock = 9\nallocation = "random"\n[host.a]\n', 3, "block is for"),
        ('title = "x"\n[nat.n]\nblock = 512\nrange = [2000, 2500]\n[host.a]\n', 3, "fits into 2000 to 2500"),
    ],
)
def test_complaints_about_the_whole(text: str, line: int, reason: str) -> None:
    message = complaint(text)
    assert message.startswith(f"scenarios/x.toml, line {line}: ")
    assert reason in message


def test_circles_and_overlapping_networks() -> None:
    routers = '[nat.a]\nbehind = "b"\n[nat.b]\nbehind = "a"\n'
    assert "line 3: nat.a.behind: 'a' is behind itself" in complaint(f'title = "x"\n{routers}[host.h]\n')
    nested = '[nat.a]\nbehind = "b"\n[nat.b]\naddress = "10.0.0.0/8"\n'
    assert "line 5: nat.b.address" in complaint(f'title = "x"\n{nested}[host.h]\nbehind = "a"\n')


def test_not_toml_and_too_much_of_it() -> None:
    assert "not TOML" in complaint('title = "x')
    assert "line 2" in complaint('title = "x"\n[[[')
    assert "nested too deeply" in complaint("title = " + "[" * 3900)
    assert "longer than" in complaint("#" * (boundedtoml.SIZE_LIMIT + 1))
    for line in ("a." * 50_000 + "a = 1", "[" + "a." * 70 + "a]", f"a = {{{'b.' * 70}b = 1}}", "x" * 5000):
        assert "scenarios/x.toml: line 3 is too long" in complaint(f'title = "x"\n[host.h]\n{line}\n')
    many = "".join(f"[host.h{number}]\n" for number in range(41))
    assert "too many" in complaint(f'title = "x"\n{many}')


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none.toml", binary, tmp_path):
        with pytest.raises(UsageError):
            load(str(path) if path != tmp_path else f"{tmp_path}/")
    with pytest.raises(UsageError):
        load("a\0b.toml")


def test_a_file_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD)
    assert load(str(file)).name == "mine"


def test_an_unknown_name_is_answered_with_a_near_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home-router.toml").write_text(GOOD)
    monkeypatch.setattr(scenariofiles, "folder", lambda: tmp_path)
    assert scenariofiles.available() == ["home-router"]
    assert load("home-router").title == "Two homes"
    with pytest.raises(UsageError, match="did you mean 'home-router'"):
        load("home-ruter")


def test_lines_of_keys() -> None:
    text = '# c\na.b = 1\n[x."y z".w]\nkey = { deep = 1, er = 2 }\n[[t]]\n'
    assert line_of(text, ("a", "b")) == 2
    assert line_of(text, ("x", "y z", "w")) == 3
    assert line_of(text, ("x", "y z", "w", "other")) == 3
    assert line_of(text, ("x", "y z", "w", "key", "er")) == 4
    assert line_of(text, ("t",)) == 5
    assert line_of(text, ("unknown",)) == 1


@pytest.mark.parametrize("name", scenariofiles.available())
def test_every_scenario_that_comes_with_nattools_is_sound(name: str) -> None:
    scenario = load(name)
    assert scenario.name == name
    assert scenario.description
    hosts = list(scenario.host)
    paired = {
        host
        for kind in (expect.PAIR, expect.PWNAT)
        for pair in expect.pairs(scenario.expect, hosts, kind)
        for host in pair
    }
    described = set(scenario.expect) - {expect.PAIR, expect.PWNAT}
    assert set(scenario.host) <= described | paired, "something is said of every host"
    assert all({"nat", "ended", "ipv6"} & set(scenario.expect[host]) for host in described)


def test_there_are_scenarios_for_all_behaviours() -> None:
    specs = [nat for name in scenariofiles.available() for nat in load(name).nat.values()]
    assert len(specs) >= 24
    assert {nat.mapping for nat in specs} == {nat.filtering for nat in specs}
    assert {nat.allocation for nat in specs} == {None, "sequential", "random", "block"}
