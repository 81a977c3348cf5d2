"""Downloads: with a progress bar, resumed where they were cut, checked against the published hash."""

import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

from poisonkit.core.errors import Failure
from poisonkit.sources import base
from poisonkit.sources._fetch import archive, locks

TIMEOUT = 30  # seconds without a single byte
ATTEMPTS = 5  # in a row without getting any further
PAUSE = 1.0  # seconds before the next one
BLOCK = 1 << 18
CUTS = (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


def address(wanted: archive.Archive, variable: str) -> str:
    """Where to download an archive: the mirror (a folder) that an environment variable names, else as published."""
    mirror = os.environ.get(variable)
    if mirror and not mirror.startswith(("http://", "https://")):
        raise Failure(f"{variable}: expected an address that starts with https:// or http://, got {mirror!r}")
    return f"{mirror.rstrip('/')}/{wanted.name}" if mirror else wanted.url


def fetch(wanted: archive.Archive, folder: Path, variable: str, context: base.SourceContext) -> Path:
    """Return an archive's path in `folder`, downloaded if it is not there.

    It is written to ``NAME.part``, which a later call resumes, and renamed only after its hash was checked: what does
    not match is removed, whatever the mirror.

    Raises
    ------
    errors.Failure
        No network, not found, cut too often, wrong hash.
    """
    path, part = folder / wanted.name, folder / f"{wanted.name}.part"
    with locks.held(
        folder / f"{wanted.name}.lock", lambda: context.say(f"waiting: another process downloads {wanted.name}")
    ):
        if path.is_file():
            if wanted.matches(archive.file_hashes(path)):
                return path
            path.unlink()  # damaged since
        url = address(wanted, variable)
        size = "" if wanted.size is None else f" ({wanted.size / 1e6:,.1f} MB)"
        context.say(f"downloading {url}{size}")
        _fill(part, url, wanted, context)
        hashes = archive.file_hashes(part)
        if not wanted.matches(hashes):
            part.unlink()
            kind = "sha256" if wanted.sha256 else "md5"
            raise Failure(
                f"{url}: the download has {kind} {hashes[kind]}, expected {getattr(wanted, kind)}; it was removed. Try "
                "again, or get the archive elsewhere and pass it with --source"
            )
        os.replace(part, path)
    return path


def _fill(part: Path, url: str, wanted: archive.Archive, context: base.SourceContext) -> None:
    """Download until the file is whole, going on where the connection was cut."""
    failures, have = 0, _size(part)
    with context.progress(wanted.size, f"downloading {wanted.name}", "B") as bar:
        bar.update(have)
        while True:
            try:
                if _go_on(part, url, wanted, bar):
                    return
                problem = "the connection was cut"
            except urllib.error.HTTPError as error:
                if error.code < 500 and error.code not in (408, 429):
                    raise _failure(url, f"{error.code} {error.reason}") from None
                problem = f"{error.code} {error.reason}"
            except (urllib.error.URLError, *CUTS) as error:
                problem = str(getattr(error, "reason", error)) or type(error).__name__
            failures = failures + 1 if _size(part) <= have else 1
            have = max(have, _size(part))
            if failures >= ATTEMPTS:
                raise _failure(url, f"{problem} after {have} bytes; started again, it goes on from there")
            time.sleep(PAUSE)


def _go_on(part: Path, url: str, wanted: archive.Archive, bar) -> bool:
    """Request what is still missing; return whether the file is complete now."""
    have = _size(part)
    headers = {"User-Agent": "poisonkit", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        reply = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if error.headers.get("Content-Range", "").endswith(f"/{have}"):
            return True  # nothing is missing
        part.unlink()  # longer than the archive: begin again
        bar.update(-have)
        return False
    with reply:
        resumed = reply.status == 206 and reply.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if have and not resumed:  # this server knows no ranges and sends everything
            bar.update(-have)
            have = 0
        length = reply.headers.get("Content-Length")
        end = have + int(length) if (length or "").isdecimal() else None
        with open(part, "r+b" if have else "wb") as file:
            file.seek(have)
            while block := reply.read(BLOCK):
                file.write(block)  # a full disk is no cut connection: its error goes on to the caller
                have += len(block)
                bar.update(len(block))
                if wanted.size is not None and have > wanted.size:
                    return True  # more than there can be: the hash will say so
        return have >= end if end is not None else True


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _failure(url: str, problem: str) -> Failure:
    return Failure(f"cannot download {url}: {problem}. Or get the archive elsewhere and name it with --source")
