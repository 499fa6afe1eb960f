"""Pages from a web server that may be anything."""

from __future__ import annotations

import pytest
from pages import Pages, response
from simulated import open_internet, run

from nattools.lab.sim.simlab import SimLab
from nattools.net.web.webrequest import fetch

TABLE = {
    "/map?x=1": response(b"the map"),
    "/moved": response(b"", "302 Found", "Location: map?x=1"),
    "/round": response(b"", "302 Found", "Location: /round"),
    "/away": response(b"", "302 Found", "Location: ftp://bob/"),
    "/nowhere": response(b"", "302 Found", "Location: http://["),
    "/nobody": response(b"", "302 Found", "Location: //\u2100.example/"),
    "/cut": response(b"whole")[:-1],
    "/large": response(bytes(101)),
    "/noise": b"\0\1\2\3\r\n\r\n",
    "/missing": response(b"", "404 Not Found"),
}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://bob/map?x=1", b"the map"),
        ("http://bob:80/moved", b"the map"),
        ("http://bob/round", "it leads from one page to another more than 3 times"),
        ("http://bob/away", "its answer makes no sense: 'ftp://bob/' is not an http: or https: URL"),
        ("http://bob/nowhere", "its answer makes no sense: 'http://[' is not a URL"),
        ("http://bob/nobody", "is not a URL"),
        ("http://bob/cut", "its answer makes no sense: a response cut short"),
        ("http://bob/large", "its answer makes no sense: a body of 101 bytes"),
        ("http://bob/noise", "its answer makes no sense: not a response of HTTP/1"),
        ("http://bob/missing", "it answered HTTP 404 Not Found"),
        ("http://bob/silent", "no answer in 3 s"),
        ("http://bob:81/", "reset"),
        ("http://nobody/", "nobody does not resolve"),
        ("https://bob:80/", "in 3 s"),
        ("http://bob/a b", "is not a URL"),
        ("http://bob:99999/", "is not an http: or https: URL"),
        ("bob", "is not an http: or https: URL"),
    ],
)
def test_a_page_or_why_there_is_none(url: str, expected: bytes | str) -> None:
    async def main(lab: SimLab) -> bytes | str:
        await Pages(TABLE).open(lab.network("bob"))
        return await fetch(lab.network("alice"), url, max_body=100, timeout_s=3)

    got = run(open_internet(), main)
    if isinstance(expected, bytes):
        assert got == expected
    else:
        assert isinstance(got, str)
        assert expected in got
