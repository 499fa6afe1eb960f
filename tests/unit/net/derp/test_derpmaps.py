"""Maps are fetched once a day, and survive that nobody answers."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pages import Pages, response
from simulated import open_internet, run

from nattools.errors import UsageError
from nattools.lab.sim.simlab import SimLab
from nattools.net.derp.derpmaps import KEPT_S, LoadedMap, kept_age_s, load_map

URL = "http://bob/map"
MAP = b'{"Regions":{"900":{"Nodes":[{"HostName":"derp.example"}]}}}'


def loaded(folder: Path | None, page: bytes | None = response(MAP)) -> tuple[LoadedMap | str, int]:
    """What is loaded, and how often the page was asked for."""

    async def main(lab: SimLab) -> tuple[LoadedMap | str, int]:
        pages = Pages({} if page is None else {"/map": page})
        await pages.open(lab.network("bob"))
        return await load_map(lab.network("alice"), URL, folder), len(pages.asked)

    return run(open_internet(), main)


def age(folder: Path, seconds: float) -> None:
    """Let what is kept grow old."""
    for path in folder.iterdir():
        os.utime(path, (time.time() - seconds,) * 2)


def test_a_page_is_asked_once_a_day(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "nattools"
    assert kept_age_s(URL, folder) is None
    first, asked = loaded(folder)
    assert isinstance(first, LoadedMap)
    assert (first.origin, first.map.regions[0].id, asked) == ("fetched", 900, 1)
    age(folder, 3600)
    kept, asked = loaded(folder)
    assert isinstance(kept, LoadedMap)
    assert (kept.origin, kept.map, asked) == ("kept", first.map, 0)
    assert kept.age_s == pytest.approx(3600, abs=60)
    age(folder, KEPT_S + 1)
    again, asked = loaded(folder)
    assert isinstance(again, LoadedMap)
    assert (again.origin, asked) == ("fetched", 1)
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("page", [None, response(b"<html>log in</html>"), response(MAP[:-3])])
def test_what_is_kept_serves_where_nothing_better_comes(tmp_path: Path, page: bytes | None) -> None:
    assert isinstance(loaded(tmp_path, page)[0], str)
    loaded(tmp_path)
    age(tmp_path, 10 * KEPT_S)
    kept = loaded(tmp_path, page)[0]
    assert isinstance(kept, LoadedMap)
    assert kept.origin == "kept"
    assert kept.problem


def test_what_a_wrong_clock_kept_for_years_is_fetched_again(tmp_path: Path) -> None:
    loaded(tmp_path)
    age(tmp_path, -10 * 365 * KEPT_S)
    assert loaded(tmp_path)[1] == 1


def test_what_is_kept_and_damaged_is_fetched_again(tmp_path: Path) -> None:
    loaded(tmp_path)
    next(tmp_path.iterdir()).write_bytes(b"{")
    assert loaded(tmp_path)[1] == 1


def test_where_nothing_can_be_kept_the_map_serves_all_the_same(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    for folder in (None, blocked):
        found = loaded(folder)[0]
        assert isinstance(found, LoadedMap)
        assert found.origin == "fetched"


def test_a_file_is_read_or_named(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_bytes(MAP)
    (tmp_path / "other.json").write_bytes(b"[]")

    async def main(lab: SimLab) -> LoadedMap | str:
        for name, why in (("none.json", "cannot be read"), ("other.json", "is not a DERP map")):
            with pytest.raises(UsageError, match=why):
                await load_map(lab.network("alice"), str(tmp_path / name), None)
        return await load_map(lab.network("alice"), str(tmp_path / "map.json"), None)

    found = run(open_internet(), main)
    assert isinstance(found, LoadedMap)
    assert found.origin == "file"


@pytest.mark.skipif(os.name != "posix", reason="Windows has neither such links nor FIFOs")
@pytest.mark.parametrize("suffix", [".json", ".new"])
def test_who_may_write_the_folder_does_not_choose_what_is_overwritten(tmp_path: Path, suffix: str) -> None:
    """With `sudo -E` root keeps maps in a user's folder."""
    victim, folder = tmp_path / "victim", tmp_path / "cache"
    victim.write_bytes(MAP)
    loaded(folder)
    (place,) = folder.iterdir()
    planted = place.with_suffix(suffix)
    planted.unlink(missing_ok=True)
    planted.symlink_to(victim)
    age(folder, KEPT_S + 1)
    found, asked = loaded(folder, response(MAP.replace(b"900", b"901")))
    assert isinstance(found, LoadedMap)
    assert (found.origin, found.map.regions[0].id, asked) == ("fetched", 901, 1)
    assert victim.read_bytes() == MAP
    assert place.is_file()
    assert not place.is_symlink()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no FIFOs")
def test_what_is_no_file_where_a_map_was_kept_is_not_waited_for(tmp_path: Path) -> None:
    """Nobody writes into it."""
    loaded(tmp_path)
    (place,) = tmp_path.iterdir()
    place.unlink()
    os.mkfifo(place)
    found, asked = loaded(tmp_path)
    assert isinstance(found, LoadedMap)
    assert (found.origin, asked) == ("fetched", 1)
    assert isinstance(loaded(tmp_path)[0], LoadedMap)
