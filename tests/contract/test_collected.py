"""No test is left out in silence: pytest passes over folders with some names, `build` among them by default."""

import fnmatch


def test_no_folder_of_tests_is_passed_over(pytestconfig, root):
    patterns = pytestconfig.getini("norecursedirs")
    folders = {folder for path in (root / "tests").rglob("test_*.py") for folder in path.relative_to(root).parts[:-1]}
    assert "build" in folders
    assert not [folder for folder in folders if any(fnmatch.fnmatch(folder, pattern) for pattern in patterns)]
