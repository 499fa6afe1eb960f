"""Which name servers a system asks, by the files that say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from nattools.net import ipv6setup


@pytest.mark.parametrize(
    ("first", "second", "named"),
    [
        ("nameserver 2a10::53\nnameserver 10.0.0.53\n", "nameserver 127.0.0.53\n", ("2a10::53", "10.0.0.53")),
        ("# none yet\n", "nameserver fe80::1%eth0\nnameserver nonsense\n", ("fe80::1",)),
        ("nameserver 127.0.0.1\n", "nameserver 10.0.0.53\n", ("10.0.0.53",)),
        (None, "nameserver 10.0.0.53\n", ("10.0.0.53",)),
        ("nameserver ::1\n", None, ()),
    ],
)
def test_name_servers(
    first: str | None,
    second: str | None,
    named: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = (tmp_path / "first", tmp_path / "second")
    for file, text in zip(files, (first, second), strict=True):
        if text is not None:
            file.write_text(text)
    monkeypatch.setattr(ipv6setup, "_RESOLVER_FILES", files)
    assert ipv6setup.ipv6_setup(resolvers=True).resolvers == named
