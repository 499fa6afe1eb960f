"""What this system runs in, where that may stand between it and its network: a container, Windows' Linux, a
cloud. The system says so itself; nothing is sent."""

from __future__ import annotations

import platform
from contextlib import suppress
from pathlib import Path
from typing import Final

from nattools.model.host import Environment

_CONTAINER_MARKS: Final = ("/.dockerenv", "/run/.containerenv")
_CLOUDS: Final = (
    *("amazon", "google", "digitalocean", "hetzner", "vultr", "linode", "akamai", "scaleway", "ovh"),
    *("upcloud", "alibaba", "tencent", "huawei cloud", "openstack", "oraclecloud", "exoscale", "nutanix"),
    "7783-7084-3265-9085-8269-3286-77",  # Azure's asset tag
)
"""Parts of what clouds write into the firmware's tables of their machines (SMBIOS)."""
_FIRMWARE: Final = ("sys_vendor", "product_name", "board_vendor", "chassis_vendor", "chassis_asset_tag")


def host_environment(root: Path = Path("/"), release: str | None = None) -> Environment | None:
    """None: nothing tells. `root` and `release` (the kernel's) are for tests."""
    if any((root / mark.lstrip("/")).exists() for mark in _CONTAINER_MARKS):
        return "container"
    if "microsoft" in (platform.release() if release is None else release).lower():
        return "wsl"
    told = ""
    for name in _FIRMWARE:
        with suppress(OSError, UnicodeDecodeError):
            told += (root / "sys/class/dmi/id" / name).read_text(encoding="utf-8").lower()
    return "cloud" if any(cloud in told for cloud in _CLOUDS) else None
