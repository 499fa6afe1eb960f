"""What is installed out of a clone: this version, its scenarios, and nothing of an earlier one."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Copies:
    """As setuptools' `build_py`: it copies the modules that there are, and removes nothing."""

    editable_mode = False
    build_lib = "build/lib"

    def run(self) -> None:
        self.mkpath(f"{self.build_lib}/nattools")
        Path(self.build_lib, "nattools", "__init__.py").write_text("")

    def mkpath(self, path: str) -> None:
        Path(path).mkdir(parents=True, exist_ok=True)

    def copy_file(self, source: str, target: str) -> None:
        shutil.copy(source, target)


def test_what_an_earlier_version_left_in_the_clone_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: dict[str, Any] = {}
    setuptools, build = ModuleType("setuptools"), ModuleType("setuptools.command.build_py")
    vars(setuptools)["setup"] = lambda cmdclass: commands.update(cmdclass)
    vars(build)["build_py"] = Copies
    for name, module in (("setuptools", setuptools), ("setuptools.command.build_py", build)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "setuptools.command", ModuleType("setuptools.command"))
    monkeypatch.chdir(tmp_path)
    earlier = tmp_path / "build/lib/nattools"
    (earlier / "scenarios").mkdir(parents=True)
    (earlier / "gone.py").write_text("")
    (earlier / "scenarios" / "gone.toml").write_text("")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "here.toml").write_text("")
    runpy.run_path(str(ROOT / "setup.py"))
    commands["build_py"]().run()
    found = {str(each.relative_to(earlier)) for each in earlier.rglob("*") if each.is_file()}
    assert found == {"__init__.py", "scenarios/here.toml"}
