"""ZIP archives from strangers, unpacked so that they can do no harm."""

import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from ulens.errors import FileError, OutputError

_CHUNK_BYTES = 2**17
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    UnicodeDecodeError,
)
_ENCRYPTED = 0x1  # of zipfile's flag_bits
# What file managers leave in archives, at any level.
_CLUTTER = {"__MACOSX", ".DS_Store", "Thumbs.db"}


class Unpacked(NamedTuple):
    """How many bytes of how many are unpacked."""

    num_bytes: int
    total_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What an archive may grow to.

    Parameters
    ----------
    max_bytes : of all files together
    max_ratio : of that number to the size of the archive. Deflate alone reaches 1032; label
        images, nearly all zeros, come close to it, but lie beside images, which do not
    max_files : number of files and folders
    """

    max_bytes: int = 64 * 2**30
    max_ratio: float = 200.0
    max_files: int = 200_000


class _Entry(NamedTuple):
    info: zipfile.ZipInfo
    parts: tuple[str, ...]


def unpack(archive: Path, out: Path, limits: Limits | None = None) -> Iterator[Unpacked]:
    """Unpack a ZIP archive into a new folder, which appears when it is complete.

    A folder that holds everything in the archive is left out: its content becomes that of
    `out`.

    Raises
    ------
    FileError : the archive is damaged, or it holds paths that lead elsewhere, links, encrypted
        files, or more than the limits allow; nothing of it stays
    OutputError : `out` exists or cannot be written
    """
    refuse_existing(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # beside it, so that renaming needs no copy
        with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
            complete = Path(temporary) / "content"
            complete.mkdir()
            yield from _extract_all(archive, complete, limits or Limits())
            refuse_existing(out)
            complete.rename(out)
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written ({error.strerror or error}); nothing of it stays: free "
            "space or choose another folder"
        ) from error


def refuse_existing(out: Path) -> None:
    """Raise OutputError where something of that name is."""
    if out.exists() or out.is_symlink():
        raise OutputError(f"{out} exists, and is not overwritten; choose another folder with -o")


def _extract_all(archive: Path, folder: Path, limits: Limits) -> Iterator[Unpacked]:
    try:
        with _open(archive) as opened:
            entries = _check(opened.infolist(), archive, limits)
            total = sum(entry.info.file_size for entry in entries)
            free = shutil.disk_usage(folder).free
            if total > free:
                raise OutputError(
                    f"{archive} unpacks to {total:,} bytes, but {folder.parent.parent} has "
                    f"{free:,} left; free space or choose another folder with -o"
                )
            done = 0
            for entry in entries:
                for num_bytes in _extract(opened, entry, folder, archive):
                    done += num_bytes
                    yield Unpacked(done, total)
    except _DAMAGE as error:
        raise FileError(
            f"{archive} is no ZIP archive or a damaged one ({error}); remove it and run the same "
            "command again to fetch it again"
        ) from error


def _open(archive: Path) -> zipfile.ZipFile:
    """Open an archive; what the system says of a damaged one is not to be taken for a full disk."""
    try:
        return zipfile.ZipFile(archive)
    except OSError as error:
        raise zipfile.BadZipFile(error.strerror or str(error)) from error


def _read(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield what a file holds; raises as `_open` does."""
    try:
        with opened.open(info) as source:
            while chunk := source.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise zipfile.BadZipFile(error.strerror or str(error)) from error


def _extract(opened: zipfile.ZipFile, entry: _Entry, folder: Path, archive: Path) -> Iterator[int]:
    """Write one file; yields the sizes of its chunks as they are written."""
    target = folder.joinpath(*entry.parts)
    if entry.info.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    left = entry.info.file_size
    with target.open("xb") as file:
        for chunk in _read(opened, entry.info):
            left -= len(chunk)
            if left < 0:
                raise _refuse(archive, f"{entry.info.filename!r} is larger than it says")
            file.write(chunk)
            yield len(chunk)
    if left:
        raise _refuse(archive, f"{entry.info.filename!r} is {left} bytes shorter than it says")


def _check(infos: list[zipfile.ZipInfo], archive: Path, limits: Limits) -> list[_Entry]:
    """Return what to unpack and where to, or refuse the archive."""
    if len(infos) > limits.max_files:
        raise _refuse(archive, f"{len(infos):,} files are more than {limits.max_files:,}")
    entries = []
    for info in infos:
        parts = _safe_parts(info, archive)
        if parts and not _CLUTTER.intersection(parts):
            entries.append(_Entry(info, parts))
    _check_sizes(entries, archive, limits)
    _check_names(entries, archive)
    return _without_top_folder(entries)


def _safe_parts(info: zipfile.ZipInfo, archive: Path) -> tuple[str, ...]:
    """Return the parts of a path, or refuse one that could lead out of the folder."""
    # orig_filename: zipfile itself cuts the name at a zero byte
    name = info.orig_filename.replace("\\", "/")
    parts = tuple(name.removesuffix("/").split("/"))
    # a colon makes a drive or a hidden stream on Windows
    if any(part in {"", ".", ".."} or re.search(r"[\x00-\x1f:]", part) for part in parts):
        raise _refuse(archive, f"the path {name!r} leads elsewhere")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise _refuse(archive, f"{name!r} is a link or a device")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise _refuse(archive, f"{name!r} is compressed in a way that is seldom used")
    if info.flag_bits & _ENCRYPTED:
        raise _refuse(archive, f"{name!r} is encrypted")
    return parts


def _check_sizes(entries: list[_Entry], archive: Path, limits: Limits) -> None:
    """Refuse a small archive that unpacks to a large folder."""
    packed = sum(entry.info.compress_size for entry in entries)
    total = sum(entry.info.file_size for entry in entries)
    size = archive.stat().st_size
    if packed > size:
        raise _refuse(archive, f"its files overlap: {packed:,} bytes in a file of {size:,}")
    if total > limits.max_bytes:
        raise _refuse(archive, f"it unpacks to {total:,} bytes, more than {limits.max_bytes:,}")
    if total > limits.max_ratio * size:
        raise _refuse(archive, f"it unpacks to {total:,} bytes from {size:,}, as a bomb does")


def _check_names(entries: list[_Entry], archive: Path) -> None:
    """Refuse two entries that would be one file, also where a system ignores case."""
    paths = ["/".join(entry.parts).casefold() for entry in entries]
    files: set[str] = set()
    for entry, path in zip(entries, paths, strict=True):
        if entry.info.is_dir():
            continue
        if path in files:
            raise _refuse(archive, f"it holds {entry.info.filename!r} twice")
        files.add(path)
    for entry, path in zip(entries, paths, strict=True):
        above = path.split("/") if entry.info.is_dir() else path.split("/")[:-1]
        if any("/".join(above[: n + 1]) in files for n in range(len(above))):
            raise _refuse(archive, f"{entry.info.filename!r} lies in a file, not in a folder")


def _without_top_folder(entries: list[_Entry]) -> list[_Entry]:
    tops = {entry.parts[0] for entry in entries}
    if len(tops) != 1 or any(len(e.parts) == 1 and not e.info.is_dir() for e in entries):
        return entries
    return [_Entry(entry.info, entry.parts[1:]) for entry in entries if len(entry.parts) > 1]


def _refuse(archive: Path, why: str) -> FileError:
    return FileError(
        f"{archive} is not unpacked: {why}; it is not what the publisher offers, so remove it "
        "and fetch the data set again, over another network if need be"
    )
