"""Sealed files of a few signs, for whoever audits them."""

HIDDEN = ("--camouflage", "medium", "--camouflage-seed", "3141592653589793")


def sealed(poisonkit, path, tmp_path):
    poisonkit("seal", path, "-o", tmp_path / "c.h5", "--key", tmp_path / "c.key.h5").succeeded()
    return tmp_path / "c.h5", ("--key", tmp_path / "c.key.h5")


def signs(poisonkit, tmp_path, *more):
    """A file of 400 signs, whose plain source is in the cache."""
    asked = ("make", "--dataset", "signs", "--source-option", "train=400", "--source-option", "test=40", *more)
    poisonkit(*asked, "-o", tmp_path / "x.h5", "--force").succeeded()
    return tmp_path / "x.h5"
