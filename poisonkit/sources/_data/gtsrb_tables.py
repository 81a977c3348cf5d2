"""The tables of GTSRB in their two layouts, the official one and Kaggle's, as rows in one and the same order."""

import csv
import io
import posixpath
from typing import NamedTuple

from poisonkit.core.errors import Failure
from poisonkit.core.numbers import counted

TEST_TABLE = "GT-final_test.csv"
PICTURES = (".ppm", ".png")  # in either case: the tables may still say .ppm where the pictures were converted


class Row(NamedTuple):
    """One image: its class, the name that it is ordered by, and its path in the tree."""

    label: int
    name: str
    path: str


def rows(tree, classes: int, say) -> tuple[list[Row], list[Row]]:
    """List the rows of the training part, by class and file name, and of the test part, by file name.

    Parameters
    ----------
    tree : file_tree.Folder or file_tree.Zips
        Where to look: the layout is told by the tables that are there.
    classes : int
        A class number from there on is an error.
    say : callable
        Is told of images that no table lists; they are left out.

    Raises
    ------
    errors.Failure
        No tables, a column missing, a class out of range, an image that is not there or is listed twice.
    """
    found = _Tables(tree, classes)
    kaggle = sorted((name for name in tree.names if posixpath.basename(name) == "Train.csv"), key=len)
    train, test = found.kaggle(kaggle[0]) if kaggle else found.official()
    _report_unlisted(tree, train + test, say)
    return train, test


class _Tables:
    def __init__(self, tree, classes: int):
        self.tree = tree
        self.classes = classes

    def kaggle(self, table: str) -> tuple[list[Row], list[Row]]:
        """Train.csv and Test.csv, whose paths start where they lie."""
        folder = posixpath.dirname(table)
        test = posixpath.join(folder, "Test.csv")
        if test not in self.tree.names:
            raise Failure(f"{self.tree.where(table)}: there is no Test.csv next to it")
        train_rows, test_rows = (list(self._rows(name, ",", "Path", folder)) for name in (table, test))
        return self._by_class(train_rows), self._by_name(test_rows)

    def official(self) -> tuple[list[Row], list[Row]]:
        """GT-00000.csv … beside the images of each class, and GT-final_test.csv."""
        names = self.tree.names
        tables = [name for name in names if _is_class_table(posixpath.basename(name))]
        test = sorted(name for name in names if posixpath.basename(name) == TEST_TABLE)
        if not tables or not test:
            lacks = TEST_TABLE if tables else "Train.csv, and no GT-00000.csv … in class folders"
            raise Failure(f"{self.tree.path} is not a GTSRB data set: there is no {lacks}")
        self._check_every_class_has_a_table(tables)
        train_rows = [row for name in tables for row in self._rows(name, ";", "Filename", posixpath.dirname(name))]
        test_rows = list(self._rows(test[0], ";", "Filename", self._test_folder(test[0])))
        return self._by_class(train_rows), self._by_name(test_rows)

    def _check_every_class_has_a_table(self, tables: list[str]) -> None:
        """`Failure` where pictures lie in a class folder beside the others whose table is missing: a class would go."""
        listed = {posixpath.dirname(name) for name in tables}
        parents = {posixpath.dirname(folder) for folder in listed}
        for name in sorted(self.tree.names):
            folder = posixpath.dirname(name)
            number = posixpath.basename(folder)
            beside = posixpath.dirname(folder) in parents and len(number) == 5 and number.isdecimal()
            if beside and folder not in listed and _is_picture(name):
                count = sum(posixpath.dirname(other) == folder and _is_picture(other) for other in self.tree.names)
                raise Failure(
                    f"{self.tree.path}: the class folder {folder} has {count} images and no table: expected "
                    f"GT-{number}.csv in it (the others have theirs)"
                )

    def _test_folder(self, table: str) -> str:
        """Find the folder of the test images: that of the test table, or …/Final_Test/Images where the table is alone,
        as in its archive."""
        images = {posixpath.dirname(name) for name in self.tree.names if _is_picture(name)}
        if posixpath.dirname(table) in images:
            return posixpath.dirname(table)
        folders = sorted(name for name in images if name.endswith("Final_Test/Images"))
        if not folders:
            raise Failure(f"{self.tree.path}: there are no test images in GTSRB/Final_Test/Images")
        return folders[0]

    def _rows(self, table: str, separator: str, column: str, folder: str):
        """Yield the rows of one table, whose `column` holds paths from `folder` on."""
        where = self.tree.where(table)
        try:
            lines = csv.reader(io.StringIO(self.tree.read(table).decode("utf-8-sig"), newline=""), delimiter=separator)
            header = next(lines, [])
            missing = [name for name in (column, "ClassId") if name not in header]
            if missing:
                raise Failure(f"{where}: its header {separator.join(header)[:80]!r} lacks {' and '.join(missing)}")
            at_path, at_class = header.index(column), header.index("ClassId")
            empty = True
            for line in lines:
                if not line:
                    continue
                if len(line) != len(header):
                    raise Failure(f"{where}: line {lines.line_num} has {len(line)} values, expected {len(header)}")
                empty = False
                path = self._find(posixpath.join(folder, line[at_path].strip()))
                if path is None:
                    raise Failure(f"{where}: line {lines.line_num} names {line[at_path][:80]!r}, which is not there")
                yield Row(self._label(where, lines.line_num, line[at_class].strip()), _order_name(path), path)
        except (UnicodeDecodeError, csv.Error) as error:
            raise Failure(f"{where} is not a CSV file ({error})") from None
        if empty:
            raise Failure(f"{where} lists no images")

    def _find(self, path: str) -> str | None:
        """Find a picture that a table names; where it is not there, the one that differs only in its ending (.PPM,
        .png)."""
        if path in self.tree.names:
            return path
        stem, end = posixpath.splitext(path)
        found = [stem + other for one in PICTURES for other in (one, one.upper()) if stem + other in self.tree.names]
        return found[0] if len(found) == 1 and end.lower() in PICTURES else None

    def _label(self, where: str, line: int, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) < self.classes):
            raise Failure(f"{where}: line {line} has class {text[:80]!r}, expected 0 to {self.classes - 1}")
        return int(text)

    def _by_class(self, found: list[Row]) -> list[Row]:
        return self._unique(sorted(found, key=lambda row: (row.label, row.name)), lambda row: (row.label, row.name))

    def _by_name(self, found: list[Row]) -> list[Row]:
        return self._unique(sorted(found, key=lambda row: row.name), lambda row: row.name)

    def _unique(self, found: list[Row], key) -> list[Row]:
        for one, other in zip(found, found[1:], strict=False):
            if key(one) == key(other):
                raise Failure(f"{self.tree.where(one.path)} and {self.tree.where(other.path)} are the same image")
        return found


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES)


def _is_class_table(name: str) -> bool:
    return len(name) == 12 and name.startswith("GT-") and name.endswith(".csv") and name[3:8].isdecimal()


def _order_name(path: str) -> str:
    """Return a file's name as the official archives have it: Kaggle puts the class before it
    (00000_00000_00003.png)."""
    parts = posixpath.splitext(posixpath.basename(path))[0].split("_")
    return "_".join(parts[1:] if len(parts) == 3 else parts)


def _report_unlisted(tree, listed: list[Row], say) -> None:
    paths = {row.path for row in listed}
    folders = {posixpath.dirname(path) for path in paths}
    extra = [
        name for name in tree.names if _is_picture(name) and name not in paths and posixpath.dirname(name) in folders
    ]
    if extra:
        say(f"{tree.path}: {counted(len(extra), 'image')} in no table: left out, for one {tree.where(min(extra))}")
