"""Archives: members are read, never unpacked; whatever points outside or is damaged is one line."""

import io
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from source_fixtures import cifar_batches, cifar_files, gtsrb_images, gtsrb_kaggle, small_cifar, write_tar, write_zip

from poisonkit.errors import Failure
from poisonkit.sources import archive, open_source

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
            list(archive.tar_members(path, dict.fromkeys(contents, 3000)))
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
