"""What a system says that it runs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from nattools.net.system.hostenvironment import host_environment


@pytest.mark.parametrize(
    ("files", "release", "expected"),
    [
        ({}, "6.1.0-13-amd64", None),
        ({"sys/class/dmi/id/sys_vendor": "LENOVO\n"}, "6.1.0", None),
        ({"sys/class/dmi/id/sys_vendor": "Amazon EC2\n"}, "6.1.0", "cloud"),
        ({"sys/class/dmi/id/chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77\n"}, "6.1.0", "cloud"),
        ({"sys/class/dmi/id/product_name": "OpenStack Nova\n"}, "6.1.0", "cloud"),
        ({}, "5.15.153.1-microsoft-standard-WSL2", "wsl"),
        ({".dockerenv": ""}, "5.15.153.1-microsoft-standard-WSL2", "container"),
        ({"run/.containerenv": ""}, "6.1.0", "container"),
    ],
)
def test_it_is_told(files: dict[str, str], release: str, expected: str | None, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert host_environment(tmp_path, release) == expected


def test_firmware_that_is_no_text_tells_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "sys/class/dmi/id"
    folder.mkdir(parents=True)
    (folder / "sys_vendor").write_bytes(b"\xff\xfe")
    assert host_environment(tmp_path, "6.1.0") is None
