"""Downloads from a server on the loopback address: resumed, checked, refused."""

import hashlib
import threading

import pytest
from source_fixtures import (
    cifar_batches,
    cifar_files,
    gtsrb_images,
    gtsrb_official,
    server,
    small_cifar,
    write_tar,
    write_zip,
)

from poisonkit.core import progress
from poisonkit.core.errors import Failure
from poisonkit.sources import base
from poisonkit.sources._fetch import download
from poisonkit.sources._fetch.archive import Archive
from poisonkit.sources.image import cifar10, gtsrb
from poisonkit.sources.opening import open_source

__all__ = ["server", "small_cifar"]
DATA = bytes(range(256)) * 3000


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.01)
    monkeypatch.setattr(download, "BLOCK", 10_000)


def known(data: bytes = DATA, name: str = "a.bin", size: bool = True) -> Archive:
    sha256 = hashlib.sha256(data).hexdigest()
    return Archive(name, "http://127.0.0.1:9/unused", len(data) if size else None, None, sha256)


class Bar(progress.NullProgress):
    made: list = []

    def __init__(self, total=None, label="", unit=""):
        self.total, self.label, self.unit, self.done = total, label, unit, 0
        Bar.made.append(self)

    def update(self, count=1):
        self.done += count


@pytest.fixture
def fetch(tmp_path, monkeypatch, server):
    """``fetch(data, wanted)``: download it into tmp_path; the server is ``fetch.server``."""

    def call(wanted=None):
        monkeypatch.setenv("POISONKIT_TEST_URL", call.server.url + "/mirror/")
        context = base.SourceContext(1, Bar, call.lines.append)
        return download.fetch(wanted or known(), tmp_path, "POISONKIT_TEST_URL", context)

    call.server, call.lines, Bar.made = server({"a.bin": DATA}), [], []
    return call


def test_a_download_gets_its_name_when_it_is_whole_and_checked(fetch, tmp_path):
    path = fetch()
    assert path == tmp_path / "a.bin" and path.read_bytes() == DATA
    assert fetch.server.log == [("/mirror/a.bin", None)]
    assert not (tmp_path / "a.bin.part").exists()
    assert (Bar.made[0].done, Bar.made[0].total, Bar.made[0].unit) == (len(DATA), len(DATA), "B")
    assert fetch() == path and len(fetch.server.log) == 1


def test_a_file_that_was_damaged_since_is_downloaded_again(fetch):
    path = fetch()
    path.write_bytes(b"damaged")
    assert fetch().read_bytes() == DATA


def test_a_cut_connection_is_resumed(fetch):
    fetch.server.cut_after = [100_000, 50_000]
    assert fetch().read_bytes() == DATA
    ranges = [int(wanted[6:-1]) if wanted else 0 for _, wanted in fetch.server.log]
    assert ranges == [0, 100_000, 150_000]
    assert Bar.made[0].done == len(DATA)


def test_a_download_goes_on_where_an_earlier_run_stopped(fetch, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(DATA[:123_456])
    assert fetch().read_bytes() == DATA
    assert fetch.server.log == [("/mirror/a.bin", "bytes=123456-")]
    assert Bar.made[0].done == len(DATA)


def test_a_server_that_ignores_range_sends_everything_again(fetch, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(DATA[:123_456])
    fetch.server.ranges = False
    fetch.server.cut_after = [200_000]
    assert fetch().read_bytes() == DATA
    assert Bar.made[0].done == len(DATA)


@pytest.mark.parametrize("extra", (0, 5))
def test_a_part_that_is_already_whole_or_too_long(extra, fetch, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(DATA + bytes(extra))
    assert fetch().read_bytes() == DATA
    assert Bar.made[0].done == len(DATA)


@pytest.mark.parametrize("start", (b"", b"wrong so far"))
def test_what_does_not_match_the_published_hash_is_refused_and_removed(start, fetch, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(start)
    wrong = known() if start else known(b"another")
    with pytest.raises(Failure, match="expected .*it was removed") as caught:
        fetch(Archive("a.bin", "", None, None, wrong.sha256))
    assert "\n" not in str(caught.value) and "--source" in str(caught.value)
    assert not list(tmp_path.glob("a.bin")) and not list(tmp_path.glob("*.part"))
    assert fetch().read_bytes() == DATA


def test_more_bytes_than_published_stop_the_download(fetch, tmp_path):
    fetch.server.files["a.bin"] = DATA * 20
    with pytest.raises(Failure, match="it was removed"):
        fetch()
    assert Bar.made[0].done < 2 * len(DATA)


def test_not_found_is_one_line_at_once(fetch):
    fetch.server.files = {}
    with pytest.raises(Failure, match="cannot download .*: 404 .*--source"):
        fetch()
    assert len(fetch.server.log) == 1


def test_a_server_in_trouble_is_asked_again(fetch):
    fetch.server.status = [503, 500, 429]
    assert fetch().read_bytes() == DATA
    fetch.server.status = [503] * 9
    with pytest.raises(Failure, match="cannot download .*: 503"):
        fetch(known(b"", "b.bin"))


def test_a_connection_that_is_always_cut_ends_in_one_line_and_keeps_what_came(fetch, tmp_path):
    fetch.server.cut_after = [30_000] + [0] * 20
    with pytest.raises(Failure, match="the connection was cut after 30000 bytes; started again, it goes on from there"):
        fetch()
    assert (tmp_path / "a.bin.part").stat().st_size == 30_000
    fetch.server.cut_after = []
    assert fetch().read_bytes() == DATA


def test_no_network_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("POISONKIT_CIFAR10_URL", "http://127.0.0.1:9")
    with pytest.raises(Failure, match="cannot download http://127.0.0.1:9/cifar-10-binary.tar.gz: .*refused") as caught:
        open_source("cifar10", cache=tmp_path)
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("POISONKIT_CIFAR10_URL", "no such thing")
    with pytest.raises(Failure, match="POISONKIT_CIFAR10_URL"):
        open_source("cifar10", cache=tmp_path)


def test_a_silent_server_is_given_up(fetch, monkeypatch):
    """It takes the connection and says nothing."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(download, "TIMEOUT", 0.1)
        monkeypatch.setattr(download, "ATTEMPTS", 2)
        fetch.server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(Failure, match="timed out"):
            fetch()


def test_two_that_want_the_same_archive_download_it_once(fetch):
    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path for path, _ in fetch.server.log] == ["/mirror/a.bin"]


def test_cifar10_is_downloaded_decoded_and_then_cached(tmp_path, monkeypatch, server, small_cifar):
    data = write_tar(tmp_path / "archive", cifar_files(cifar_batches())).read_bytes()
    wanted = known(data, "cifar-10-binary.tar.gz")
    monkeypatch.setattr(cifar10, "ARCHIVES", (wanted,))
    monkeypatch.setattr(cifar10, "DOWNLOADED", (wanted,))
    running = server({wanted.name: data})
    monkeypatch.setenv("POISONKIT_CIFAR10_URL", running.url)
    lines = []
    source = open_source("cifar10", cache=tmp_path / "cache", say=lines.append)
    assert source.origin["official"] is True and len(source.train) == 100
    assert lines == [f"downloading {running.url}/{wanted.name} ({len(data) / 1e6:.1f} MB)"]
    assert open_source("cifar10", cache=tmp_path / "cache").digest == source.digest
    assert len(running.log) == 1


@pytest.mark.parametrize("asked", [("make", "--dataset", "cifar10", "--rate", "0"), ("grid", "--paper", "table3")])
def test_a_dry_run_says_that_it_needs_the_data_before_it_downloads_them(
    tmp_path, monkeypatch, server, small_cifar, poisonkit, asked
):
    data = write_tar(tmp_path / "archive", cifar_files(cifar_batches())).read_bytes()
    wanted = known(data, "cifar-10-binary.tar.gz")
    monkeypatch.setattr(cifar10, "DOWNLOADED", (wanted,))
    running = server({wanted.name: data})
    monkeypatch.setenv("POISONKIT_CIFAR10_URL", running.url)
    asked = (*asked, "--cache", tmp_path / "cache", "-o", tmp_path / "out", "--dry-run")
    first, second = poisonkit(*asked), poisonkit(*asked)
    needed = (
        "poisonkit: --dry-run needs the data of cifar10, which are not in the cache: they are fetched into it first"
    )
    assert first.errors[:2] == [
        needed,
        f"poisonkit: downloading {running.url}/{wanted.name} ({len(data) / 1e6:.1f} MB)",
    ]
    assert "--dry-run" not in second.err and "downloading" not in second.err and first.out == second.out
    assert not (tmp_path / "out").exists()
    fresh = poisonkit(*asked, "--fresh").errors
    assert needed not in fresh and not any("downloading" in line for line in fresh), "the archive is kept"


@pytest.mark.parametrize("command", ["make", "grid"])
def test_the_help_says_what_a_dry_run_needs(poisonkit, command):
    words = " ".join(poisonkit(command, "--help").succeeded().out.split())
    assert "clean data that are not in the cache are still downloaded" in words


def test_all_three_gtsrb_archives_are_downloaded(tmp_path, monkeypatch, server):
    archives = gtsrb_official(*gtsrb_images())
    data = {name: write_zip(tmp_path / name, files).read_bytes() for name, files in archives.items()}
    wanted = tuple(known(data[name], name) for name in data)
    monkeypatch.setattr(gtsrb, "ARCHIVES", wanted)
    monkeypatch.setattr(gtsrb, "DOWNLOADED", wanted)
    monkeypatch.setattr(gtsrb, "COUNTS", (12, 5))
    monkeypatch.setenv("POISONKIT_GTSRB_URL", server(data).url)
    source = open_source("gtsrb", cache=tmp_path / "cache")
    assert source.origin["official"] is True and source.origin["files"].keys() == data.keys()
