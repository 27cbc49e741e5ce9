"""Files from the web: a cut download goes on, a finished one is kept and checked.

A cache folder holds::

    NAME.zip               a complete file
    NAME.zip.part          the first bytes of one, and NAME.zip.part.json: of which version
    checksums.json         the sha256 of every file, as its first download gave it
"""

import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pooch
import requests

from ulens.datasets.checksums import CHECKSUMS, cached_file, read_checksums
from ulens.errors import DownloadError, OutputError, SettingError
from ulens.io.atomic import write_file
from ulens.record import read_json, read_record

_CHUNK_BYTES = 2**16  # so much is lost at most when a connection is cut
_TIMEOUT_S = (15, 60)  # to connect, and between two packets
MOST_BYTES = 64 * 2**30
_NUMBER = r"[0-9]{1,18}"  # Python reads no numbers without end
_RANGE = rf"bytes ({_NUMBER})-{_NUMBER}/({_NUMBER})"
_BUSY = {408, 425, 429, 500, 502, 503, 504}


class Received(NamedTuple):
    """How far a download is; the total is None where the server does not tell."""

    num_bytes: int
    total_bytes: int | None


class Cut(NamedTuple):
    """A connection that broke; the download goes on by itself."""

    reason: str
    num_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How often to try again.

    Parameters
    ----------
    num_attempts : in succession without a single new byte
    pause_s : before the second one; it doubles from one to the next
    """

    num_attempts: int = 4
    pause_s: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Version:
    """Which version of which file a part is of, and its length once it is complete."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    num_bytes: int | None = None

    def __post_init__(self) -> None:
        for each in (self.etag, self.last_modified):
            if each is not None and not all(letter <= "ÿ" for letter in each):
                raise SettingError(f"{each!r} has letters that no header of HTTP holds")


class ResumingDownload:
    """The transfer of one file; what is complete is not fetched again.

    Parameters
    ----------
    url : of the file
    part : where the bytes received so far lie, and stay if the transfer breaks off
    most_bytes : where the file has more, whether its server says so or not, it is refused
    """

    def __init__(
        self,
        url: str,
        part: Path,
        patience: Patience | None = None,
        *,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.url, self.most_bytes = url, most_bytes
        self.part = part
        self.patience = patience or Patience()
        self._version_file = part.with_name(f"{part.name}.json")

    def steps(self) -> Iterator[Received | Cut]:
        """Fetch the file to `part`, from where an earlier transfer ended.

        Raises
        ------
        DownloadError : the server refuses, or the connection breaks too often
        OutputError : the disk is full or the folder not writable
        """
        num_failed, furthest = 0, 0
        while not self._is_complete():
            try:
                yield from self._transfer()
                continue
            except _BrokenError as error:
                reason = str(error)
            received = self._num_bytes()
            num_failed = 1 if received > furthest else num_failed + 1
            furthest = max(furthest, received)
            if num_failed >= self.patience.num_attempts:
                raise DownloadError(
                    f"{self.url} cannot be fetched ({reason}); {self._kept()}, or fetch the file "
                    f"by other means and save it as {self.part.with_suffix('')}"
                )
            yield Cut(reason, received)
            time.sleep(self.patience.pause_s * 2 ** (num_failed - 1))

    def _transfer(self) -> Iterator[Received]:
        """Ask once, and receive until the end or until the connection breaks."""
        try:
            with requests.get(
                self.url, headers=self._headers(), stream=True, timeout=_TIMEOUT_S
            ) as response:
                yield from self._receive(response)
        except requests.exceptions.SSLError as error:
            raise DownloadError(
                f"{self.url} cannot be fetched ({_innermost(error)}); the server's certificate "
                "is not valid here: check clock and network"
            ) from error
        except requests.exceptions.RequestException as error:
            if isinstance(error, _LASTING):
                raise DownloadError(f"{self.url} cannot be fetched ({error})") from error
            is_cut = isinstance(error, requests.exceptions.ChunkedEncodingError)
            reason = "the connection was cut" if is_cut else _innermost(error)
            raise _BrokenError(reason) from error

    def _receive(self, response: requests.Response) -> Iterator[Received]:
        num_bytes, total = self._begin(response)
        self._check_size(num_bytes if total is None else total)
        yield Received(num_bytes, total)
        for chunk in response.iter_content(_CHUNK_BYTES):
            num_bytes += len(chunk)
            self._check_size(num_bytes)
            _append(self.part, chunk)
            yield Received(num_bytes, total)
        if total is not None and num_bytes > total:
            self.forget()
            raise _BrokenError(f"{num_bytes} bytes came of a file of {total}")
        if total is not None and num_bytes < total:
            raise _BrokenError(f"the connection ended after {num_bytes} of {total} bytes")
        self._write_version(self._read_version() | {"num_bytes": num_bytes})

    def _begin(self, response: requests.Response) -> tuple[int, int | None]:
        """Return how many of the bytes are there already, and the total.

        A server that knows no ranges sends all of it; so does one whose file has changed since.
        """
        status = response.status_code
        if status == 206:
            span = re.fullmatch(_RANGE, response.headers.get("Content-Range", ""))
            known = self._read_version()
            same = all(known.get(key) == value for key, value in _version(response).items())
            if span is None or not same or int(span[1]) != self._num_bytes():
                self.forget()
                raise _BrokenError("the server went on with another version of the file")
            return int(span[1]), int(span[2])
        if status == 200:
            self.forget()
            length = response.headers.get("Content-Length", "")
            total = int(length) if re.fullmatch(_NUMBER, length) else None
            self._check_space(total)
            self._write_version(_version(response))
            _append(self.part, b"")
            return 0, total
        if status == 416:
            self.forget()
        if status == 416 or status in _BUSY:
            raise _BrokenError(f"the server answered {status} {response.reason}")
        raise DownloadError(
            f"{self.url} cannot be fetched: the server answered {status} {response.reason}; if a "
            "browser cannot open it either, the file has moved: fetch it by other means and save "
            f"it as {self.part.with_suffix('')}"
        )

    def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        version = self._read_version()
        # a weak tag promises the same meaning, not the same bytes
        strong = None if version.get("etag", "W/").startswith("W/") else version["etag"]
        unchanged = strong or version.get("last_modified")
        if self._num_bytes() and unchanged:
            headers |= {"Range": f"bytes={self._num_bytes()}-", "If-Range": unchanged}
        return headers

    def _num_bytes(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _is_complete(self) -> bool:
        return self.part.is_file() and self._read_version().get("num_bytes") == self._num_bytes()

    def _read_version(self) -> dict[str, Any]:
        path = self._version_file
        try:
            version = read_record(_Version, read_json(path.read_bytes(), path.name), path.name)
        except (OSError, SettingError):
            return {}
        known = {name: value for name, value in asdict(version).items() if value is not None}
        return known if version.url == self.url else {}

    def _write_version(self, version: dict[str, Any]) -> None:
        write_file(self._version_file, json.dumps({"url": self.url} | version).encode())

    def forget(self) -> None:
        """Remove what was received."""
        self._version_file.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def _check_size(self, num_bytes: int) -> None:
        if num_bytes > self.most_bytes:
            self.forget()
            raise DownloadError(
                f"{self.url} has {num_bytes:,} bytes or more, {self.most_bytes:,} were expected at "
                "most; nothing is kept: it is not what the publisher offers, or has grown"
            )

    def _check_space(self, total: int | None) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if total is not None and total > free:
            raise OutputError(
                f"{self.url} has {total:,} bytes, but {self.part.parent} has {free:,} left; free "
                "space or choose another cache folder"
            )

    def _kept(self) -> str:
        if not self._num_bytes():
            return "check the network and run the same command again"
        kept = f"{self._num_bytes():,} bytes are kept"
        return f"{kept}: run the same command again to go on, where the server allows it"


class _BrokenError(Exception):
    """A transfer that may succeed when tried again."""


_LASTING = (
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.TooManyRedirects,
)


def fetch(
    url: str, cache: Path, patience: Patience | None = None, *, most_bytes: int = MOST_BYTES
) -> Iterator[Received | Cut]:
    """Fetch a file into a cache folder, as `cached_file` names it, unless it is there.

    Parameters
    ----------
    cache : an existing folder
    most_bytes : as in `ResumingDownload`

    Yields
    ------
    how far the download is; nothing where the file is there and has the checksum recorded

    Raises
    ------
    DownloadError : it cannot be fetched, or is not what was fetched the first time; a file of
        an earlier download stays as it was
    OutputError : the folder cannot be written
    """
    file = cached_file(url, cache)
    known = read_checksums(cache).get(url)
    if file.is_file() and (known is None or pooch.file_hash(file) == known):
        return
    download = ResumingDownload(
        url, file.with_name(f"{file.name}.part"), patience, most_bytes=most_bytes
    )
    yield from download.steps()
    found = pooch.file_hash(download.part)
    if known not in (None, found):
        download.forget()
        raise DownloadError(
            f"{url} is not what it was at the first download: its sha256 is {found}, then it was "
            f"{known}. Nothing was replaced: run the same command again; if the publisher has "
            f"changed the file, remove its line from {cache / CHECKSUMS} to accept the new one"
        )
    download.part.replace(file)
    download.forget()


def _version(response: requests.Response) -> dict[str, Any]:
    """Return what tells one version of a file from another."""
    headers = {"etag": "ETag", "last_modified": "Last-Modified"}
    return {
        key: response.headers[name] for key, name in headers.items() if name in response.headers
    }


def _append(path: Path, data: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(data)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}); what there is stays: free "
            "space and run the same command again"
        ) from error


def _innermost(error: BaseException) -> str:
    """Return the reason at the bottom of requests' and urllib3's nested errors."""
    while True:
        reason = getattr(error, "reason", None)
        inner = reason if isinstance(reason, BaseException) else error.__cause__
        inner = inner or next(
            (each for each in error.args if isinstance(each, BaseException)), None
        )
        if inner is None:
            return str(error) or type(error).__name__
        error = inner
