"""Only what pyproject.toml cannot say: the scenarios, which stand at the top of the repository for their
authors, are part of the installed package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithScenarios(build_py):
    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return  # a clone finds them beside the package
        # what an earlier version had and this one has not would be installed with it
        shutil.rmtree(Path(self.build_lib) / "nattools", ignore_errors=True)
        super().run()
        target = Path(self.build_lib) / "nattools" / "scenarios"
        self.mkpath(str(target))
        for scenario in sorted(Path("scenarios").glob("*.toml")):
            self.copy_file(str(scenario), str(target / scenario.name))


setup(cmdclass={"build_py": BuildWithScenarios})
