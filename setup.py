"""Only what pyproject.toml cannot say: the scenarios, which stand at the top of the repository for their
authors, are part of the installed package."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithScenarios(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # a clone finds them beside the package
        target = Path(self.build_lib) / "nattools" / "scenarios"
        self.mkpath(str(target))
        for scenario in sorted(Path("scenarios").glob("*.toml")):
            self.copy_file(str(scenario), str(target / scenario.name))


setup(cmdclass={"build_py": BuildWithScenarios})
