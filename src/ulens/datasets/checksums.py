"""The cache folder of downloads: what a file is called there, and the checksum it had at first."""

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pooch

from ulens.errors import FileError, SettingError
from ulens.io.atomic import write_file
from ulens.record import read_json

CHECKSUMS = "checksums.json"


def cached_file(url: str, cache: Path) -> Path:
    """Return where a file stands, or will stand, in the cache.

    Examples
    --------
    >>> cached_file("https://host/sets/Fluo-N2DH-SIM%2B.zip?v=1", Path("c")).name
    'Fluo-N2DH-SIM+.zip'
    """
    return cache / Path(unquote(urlsplit(url).path)).name


def read_checksums(cache: Path) -> dict[str, str]:
    """Return the sha256 of each file by its URL, as recorded.

    Raises
    ------
    FileError : the record cannot be read
    """
    path = cache / CHECKSUMS
    try:
        checksums = read_json(path.read_bytes(), CHECKSUMS)
    except FileNotFoundError:
        return {}
    except (OSError, SettingError) as error:
        raise FileError(f"{path} cannot be read ({error}); repair or remove it") from error
    if not isinstance(checksums, dict):
        raise FileError(f"{path} is no list of checksums; repair or remove it")
    return {str(url): str(checksum) for url, checksum in checksums.items()}


def record_checksum(url: str, cache: Path) -> str | None:
    """Record the sha256 of a cached file, unless one is recorded.

    Returns
    -------
    the checksum, if it is new
    """
    checksums = read_checksums(cache)
    if url in checksums:
        return None
    checksums[url] = pooch.file_hash(cached_file(url, cache))
    write_file(cache / CHECKSUMS, json.dumps(checksums, indent=2, sort_keys=True).encode())
    return checksums[url]
