"""Archives: members are read, never unpacked; whatever points outside or is damaged is one line."""

import io
import tarfile
import time
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_fixtures import cifar_batches, cifar_files, gtsrb_images, gtsrb_kaggle, small_cifar, write_tar, write_zip

from poisonkit.core.errors import Failure
from poisonkit.sources._fetch import archive, file_tree
from poisonkit.sources.opening import open_source

__all__ = ["small_cifar"]

OUTSIDE = ("../evil", "a/../../evil", "/etc/evil", "..", "\\evil", "a\\..\\..\\evil", "C:\\evil", "C:evil")


@pytest.mark.parametrize("name", OUTSIDE)
def test_members_that_point_outside_are_refused(name, tmp_path, small_cifar):
    files = {name: b"evil"} | cifar_files(cifar_batches())
    with pytest.raises(Failure, match="refused, its member .* points outside") as caught:
        open_source("cifar10", source=write_tar(tmp_path / "a.tar", files, "w"), cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    files = {name: b"evil"} | gtsrb_kaggle(*gtsrb_images())
    with pytest.raises(Failure, match="refused, its member .* points outside"):
        open_source("gtsrb", source=write_zip(tmp_path / "a.zip", files), cache=tmp_path / "cache")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("kind", (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE))
def test_links_and_devices_are_refused(kind, tmp_path, small_cifar):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(Failure, match="link or device, not a file"):
        open_source("cifar10", source=path, cache=tmp_path / "cache")


def test_a_link_in_a_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", gtsrb_kaggle(*gtsrb_images()))
    with zipfile.ZipFile(path, "a") as opened:
        info = zipfile.ZipInfo("Train/0/link.png")
        info.external_attr = 0o120777 << 16
        opened.writestr(info, "/etc/passwd")
    with pytest.raises(Failure, match="link or device, not a file"):
        open_source("gtsrb", source=path, cache=tmp_path / "cache")


def test_a_member_that_is_too_large_is_refused_before_it_is_read(tmp_path, small_cifar):
    files = cifar_files(cifar_batches()) | {"cifar-10-batches-bin/data_batch_3.bin": bytes(50 << 20)}
    with pytest.raises(Failure, match="data_batch_3.bin has 52428800 bytes, expected at most 61460"):
        open_source("cifar10", source=write_tar(tmp_path / "a.tar.gz", files), cache=tmp_path / "cache")
    files = gtsrb_kaggle(*gtsrb_images())
    files["Test/00001.png"] = bytes(65 << 20)
    with pytest.raises(Failure, match="Test/00001.png has 68157440 bytes"):
        open_source("gtsrb", source=write_zip(tmp_path / "a.zip", files), cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ("cifar10", "gtsrb"))
@pytest.mark.parametrize("content", (b"", b"hello", b"PK\x03\x04", b"\x1f\x8b\x08", bytes(2000), b"\x89HDF\r\n\x1a\n"))
def test_a_file_that_is_no_such_archive_is_one_line(name, content, tmp_path, small_cifar):
    path = tmp_path / "archive"
    path.write_bytes(content)
    with pytest.raises(Failure, match="get it again|holds no CIFAR-10") as caught:
        open_source(name, source=path, cache=tmp_path / "cache")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_archives_are_one_line(data, tmp_path_factory):
    """Cut anywhere, or with bytes changed anywhere: an error of one line, or the members as they were."""
    folder = tmp_path_factory.mktemp("damaged")
    contents = {f"f{i}": bytes([i]) * 3000 for i in range(3)}
    kind = data.draw(st.sampled_from(("tar", "tar.gz", "tar.bz2", "tar.xz", "zip")))
    path = folder / f"a.{kind}"
    if kind == "zip":
        write_zip(path, contents)
    else:
        write_tar(path, contents, "w:" + kind[4:])
    raw = path.read_bytes()
    at = data.draw(st.integers(0, len(raw) - 1))
    bad = (
        raw[:at]
        if data.draw(st.booleans())
        else raw[:at] + data.draw(st.binary(min_size=1, max_size=4)) + raw[at + 1 :]
    )
    path.write_bytes(bad)
    try:
        if kind == "zip":
            with archive.damage(path), zipfile.ZipFile(path) as opened:
                for name in archive.zip_names(path, opened):
                    opened.read(name)
        else:
            list(archive.tar_members(path, dict.fromkeys(contents, 3000), archive.SMALL))
    except Failure as error:
        assert str(path) in str(error) and "\n" not in str(error)


def test_an_encrypted_zip_is_one_line(tmp_path):
    path = write_zip(tmp_path / "a.zip", gtsrb_kaggle(*gtsrb_images()))
    raw = bytearray(path.read_bytes())
    for signature, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(signature)
        while at >= 0:
            raw[at + flag] |= 1
            at = raw.find(signature, at + 1)
    path.write_bytes(raw)
    with pytest.raises(Failure, match="encrypted"):
        open_source("gtsrb", source=path, cache=tmp_path / "cache")


def test_hashes_of_a_file(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    hashes = archive.file_hashes(path)
    assert hashes["md5"] == "900150983cd24fb0d6963f7d28e17f72"
    assert hashes["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert archive.Archive("abc", "", md5=hashes["md5"]).matches(hashes)
    assert not archive.Archive("abc", "", md5=hashes["md5"], sha256="0").matches(hashes)


def test_a_disk_error_is_no_damaged_archive():
    with pytest.raises(PermissionError), archive.damage(io):
        raise PermissionError(13, "Permission denied")


def test_too_little_memory_is_no_damaged_archive():
    with pytest.raises(MemoryError), archive.damage(io):
        raise MemoryError("Unable to allocate output buffer.")


def test_a_member_of_a_zip_that_is_there_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("a/b.png", b"one")
        file.writestr("a/b.png", b"other")
    with pytest.raises(Failure, match="x.zip: a/b.png occurs twice"), file_tree.Zips([tmp_path / "x.zip"]):
        pass


# ---------------------------------------------------------------- bounds


def crafted_tar(path, kind, size):
    """An archive that is small on the disk and takes long: in front of CIFAR-10, many members or much filler."""
    mode = "w" if kind == "members" else "w:gz"
    with tarfile.open(path, mode) as tar:
        if kind == "members":
            for number in range(5_000):
                tar.addfile(tarfile.TarInfo(f"x/{number}"))
        elif kind == "zeros":
            info = tarfile.TarInfo("filler")
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(info.size)))
        else:
            info = tarfile.TarInfo("pax")
            info.pax_headers = {"comment": "x" * size}
            tar.addfile(info)
        for name, data in cifar_files(cifar_batches()).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


MUCH = "more than the limit of {} MB"
KINDS = [("members", "more than the limit of 1,000 members"), ("zeros", MUCH), ("header", MUCH)]


@pytest.mark.parametrize(("kind", "words"), KINDS)
@pytest.mark.parametrize("size", [8, pytest.param(512, marks=pytest.mark.slow)])
def test_a_crafted_tar_is_refused_soon(tmp_path, small_cifar, monkeypatch, kind, words, size):
    path = crafted_tar(tmp_path / "a.tar.gz", kind, (size + 8) << 20)
    assert path.stat().st_size < 4 << 20
    monkeypatch.setattr(archive, "SMALL", archive.Bounds(1_000, size << 20))
    start = time.process_time()
    with pytest.raises(Failure, match=words.format(size)):
        open_source("cifar10", source=path, cache=tmp_path / "cache")
    assert time.process_time() - start < 15


def test_a_file_larger_than_its_archive_may_be_is_not_even_hashed(tmp_path, small_cifar, monkeypatch):
    path = tmp_path / "a.tar"
    with open(path, "wb") as file:
        file.truncate(6 << 30)  # all of it a hole
    monkeypatch.setattr(archive, "file_hashes", None)
    with pytest.raises(Failure, match="more than the limit of 512 MB"):
        open_source("cifar10", source=path, cache=tmp_path / "cache")


@pytest.mark.parametrize("name", ["gtsrb", "sst2", "npz"])
def test_a_zip_of_many_members_is_refused_soon(tmp_path, name):
    """Its list is looked at before it is read: a million entries would take long."""
    path, entry = tmp_path / "a.zip", bytearray(zip_entry(tmp_path))
    count = 900_000
    listed = bytes(entry) * count
    end = b"PK\x05\x06" + bytes(4) + b"\xff\xff\xff\xff" + len(listed).to_bytes(4, "little") + bytes(6)
    path.write_bytes(listed + end)
    start = time.process_time()
    with pytest.raises(Failure, match="refused: more than the limit of"):
        open_source(name, source=path, cache=tmp_path / "cache")
    assert time.process_time() - start < 3


def zip_entry(folder):
    """One entry of a zip's list, of a file with a short name."""
    raw = write_zip(folder / "one.zip", {"x": b""}).read_bytes()
    return raw[raw.find(b"PK\x01\x02") : raw.find(b"PK\x05\x06")]


def test_a_zip_that_says_that_it_holds_very_much_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", gtsrb_kaggle(*gtsrb_images()))
    raw = bytearray(path.read_bytes())
    at = raw.find(b"PK\x01\x02")
    for _ in range(4):
        raw[at + 24 : at + 28] = (2**31).to_bytes(4, "little")
        at = raw.find(b"PK\x01\x02", at + 1)
    path.write_bytes(raw)
    with pytest.raises(Failure, match="more than the limit of 4,096 MB"):
        open_source("gtsrb", source=path, cache=tmp_path / "cache")


def test_an_archive_as_large_as_the_real_ones_is_read(tmp_path):
    """Sizes and counts of the published archives: CIFAR-10's nine members, GTSRB's 39,209 pictures."""
    archive.SMALL.check(tmp_path, 9, 186 << 20)
    archive.LARGE.check(tmp_path, 2 * 51_882, 1 << 30)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for number in range(39_209):
            file.writestr(f"GTSRB/Final_Training/Images/00000/{number:05}_00000.ppm", b"")
    with archive.opened_zip(tmp_path / "a.zip", archive.LARGE) as file:
        assert len(archive.zip_names(tmp_path, file)) == 39_209
