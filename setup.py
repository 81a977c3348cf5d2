"""Copy the documentation that help texts point to into the built package; everything else is in setup.cfg."""

import importlib.util
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PICTURES_AND_TABLES = ("*.png", "attacks/*.png", "*.json")


def site_pages():
    """Load docs/site_pages.py: which pages live outside docs/, and where links lead once all are in one folder."""
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = site_pages()


class BuildWithPages(build_py):
    """Build the packages, and `poisonkit/docs` from docs/ and the pages outside it that docs/ links to."""

    def pages(self) -> dict[Path, Path]:
        """Return where each page goes, and where it comes from. An editable installation has them in the checkout."""
        if self.editable_mode:
            return {}
        docs = ROOT / "docs"
        inside = [page for pattern in ("*.md", *PICTURES_AND_TABLES) for page in sorted(docs.glob(pattern))]
        names = {str(page.relative_to(docs)): page for page in inside}
        names |= {name: ROOT / source for source, name in PAGES.OUTSIDE.items()}
        return {self.folder() / name: page for name, page in names.items()}

    def folder(self) -> Path:
        """Return where the documentation goes."""
        return Path(self.build_lib) / "poisonkit" / "docs"

    def run(self) -> None:
        super().run()
        for target, source in self.pages().items():
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))
            if source.suffix == ".md":
                page = target.relative_to(self.folder()).as_posix()
                text = PAGES.with_links(source.read_text(encoding="utf-8"), page)
                target.write_text(text, encoding="utf-8", newline="\n")

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *map(str, self.pages())]

    def get_output_mapping(self) -> dict[str, str]:
        return super().get_output_mapping() | {str(target): str(source) for target, source in self.pages().items()}


setup(cmdclass={"build_py": BuildWithPages})
