"""Copy the documentation that help texts point to into the built package; everything else is in setup.cfg."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithPages(build_py):
    """Build the packages, and `poisonkit/docs` from the pages of docs/ and data/FORMAT.md."""

    def pages(self) -> dict[Path, Path]:
        """Return where each page goes, and where it comes from. An editable installation has them in the checkout."""
        if self.editable_mode:
            return {}
        target = Path(self.build_lib) / "poisonkit" / "docs"
        pages = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "data/FORMAT.md", ROOT / "data/schema.json"]
        return {target / page.name: page for page in pages}

    def run(self) -> None:
        super().run()
        for target, source in self.pages().items():
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *map(str, self.pages())]

    def get_output_mapping(self) -> dict[str, str]:
        return super().get_output_mapping() | {str(target): str(source) for target, source in self.pages().items()}


setup(cmdclass={"build_py": BuildWithPages})
