from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nattools.cli.options import sharedoptions
from nattools.cli.options.sharedoptions import chosen_servers
from nattools.errors import UsageError
from nattools.model.serveruri import parse_server


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setattr(sharedoptions, "config_path", lambda: path)
    monkeypatch.delenv("NATTOOLS_SERVER", raising=False)
    return path


def hosts() -> list[str]:
    return [server.host for server in chosen_servers(()).uris]


def test_without_anything_the_public_servers(config: Path) -> None:
    chosen = chosen_servers(())
    assert chosen.public
    assert len(chosen.uris) >= 4
    assert all(server.scheme == "stun" for server in chosen.uris)


def test_the_nearest_wins(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text('server = "from.config"')
    assert hosts() == ["from.config"]
    monkeypatch.setenv("NATTOOLS_SERVER", " from.env:1, stun:second ")
    assert hosts() == ["from.env", "second"]
    named = chosen_servers((parse_server("named"),))
    assert [server.host for server in named.uris] == ["named"]
    assert not named.public


def test_a_list_in_the_file(config: Path) -> None:
    config.write_text('server = ["a", "b:1", "a"]')
    assert hosts() == ["a", "b"]


def test_an_empty_variable_counts_as_none(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATTOOLS_SERVER", " ,")
    assert chosen_servers(()).public


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("server = ", "not TOML"),
        ("server = " + "9" * 5000, "line 1 is too long"),
        ("server = " + "9" * 3990, 'write server = ["HOST:PORT", ...]'),
        ("server = 0x" + "f" * 3900, 'write server = ["HOST:PORT", ...]'),
        ("a" + ".a" * 100_000 + " = 1", "line 1 is too long"),
        ("server = " + "[" * 3900, "nested too deeply"),
        ("#" * (300 << 10), "longer than 256 KiB"),
        ("server = '\ud800'", "not text in UTF-8"),
        ("server = 3", 'write server = ["HOST:PORT", ...]'),
        ("server = [3]", 'write server = ["HOST:PORT", ...]'),
        ('server = "a:0"', "'0' is not a port"),
        ('servers = "a"', "unknown key 'servers'; there is only 'server'"),
    ],
)
def test_a_bad_file_is_named(config: Path, text: str, says: str) -> None:
    config.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(UsageError) as caught:
        chosen_servers(())
    assert says in str(caught.value)
    assert str(config) in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="has none of them")
def test_what_is_no_file_is_not_waited_for(config: Path) -> None:
    os.mkfifo(config)
    with pytest.raises(UsageError, match="it is not a file"):
        chosen_servers(())
    config.unlink()
    for target in ("/dev/zero", str(config)):
        config.symlink_to(target)
        with pytest.raises(UsageError, match=f"cannot read {config}"):
            chosen_servers(())
        config.unlink()


def test_a_bad_variable_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATTOOLS_SERVER", "a:99999")
    with pytest.raises(UsageError, match=r"NATTOOLS_SERVER: .*99999"):
        chosen_servers(())


def test_the_file_is_in_the_users_configuration_folder() -> None:
    assert sharedoptions.config_path().name == "config.toml"
    assert sharedoptions.config_path().parent.name == "nattools"
