"""Files that cannot be written, or are written while others read them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nattools.cli.display.outputs import write_text
from nattools.errors import CannotRun

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits, modes and links are POSIX's")
ROOT = Path(__file__).parents[3]
LIMITED = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000)); "
    "from nattools.cli.app import run; sys.exit(run(sys.argv[1:]))"
)
"""Files of 9,000 bytes at most, as on a disk that is nearly full."""


@pytest.mark.parametrize("option", ["-o", "--pcap"])
def test_what_was_measured_is_not_lost_with_the_file(option: str, tmp_path: Path) -> None:
    large, small = tmp_path / "report.json", tmp_path / "report.txt"
    large.write_text("yesterday's")
    command = ["nat", "--lab", "home-router", option, str(large), "-o", str(small)]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == f"nattools: cannot write {large}: File too large"
    assert "one external port for all peers" in done.stdout
    assert "one external port for all peers" in small.read_text()
    assert sorted(tmp_path.iterdir()) == ([large, small] if option == "-o" else [small])
    if option == "-o":
        assert large.read_text() == "yesterday's"


def test_who_reads_meanwhile_gets_the_old_text_or_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "report.txt"
    file.write_text("old")
    file.chmod(0o640)
    with file.open() as reading:
        write_text(file, "new")
        assert (reading.read(), file.read_text()) == ("old", "new")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_a_link_stays_one(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file, link = tmp_path / "file", tmp_path / "link.txt"
    file.write_text("old")
    make(file, link)
    write_text(link, "new")
    assert file.read_text() == link.read_text() == "new"


def test_a_file_in_a_folder_that_takes_no_new_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: object, flags: int, mode: int = 0o777) -> int:
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "report.txt"
    file.write_text("old")
    monkeypatch.setattr("nattools.cli.display.outputs.os.open", refused)
    write_text(file, "new")
    assert file.read_text() == "new"


def test_a_name_that_is_as_long_as_a_name_can_be(tmp_path: Path) -> None:
    file = tmp_path / ("n" * 251 + ".txt")
    write_text(file, "text")
    assert file.read_text() == "text"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_disk_that_is_full() -> None:
    with pytest.raises(CannotRun, match="cannot write /dev/full: No space left"):
        write_text(Path("/dev/full"), "text")
