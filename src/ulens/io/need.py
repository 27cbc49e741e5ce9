"""What an input takes, as its header says: compared with what there is before it is allocated.

Two limits, for every format: a file holds no more than its length allows at the best compression of
its kind, and nothing is read that takes more than the memory which is free.
"""

import io
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from ulens.errors import FileError, UlensError
from ulens.image import name_shape

BEST_RATIO = {"none": 1.0, "deflate": 1032.0, "lzw": 2560.0, "packbits": 64.0, "other": 131_072.0}
"""Bytes that come of a byte, at most: of zlib, PNG and gzip; of codes of 12 bits; of runs of 128;
of the blocks of Zstandard, beyond which no format here goes."""
COPIES = 2.5
"""How often pixels are in memory while a file is read; measured of PNG, which takes most."""

WORTH_TELLING_BYTES = 2e9


class LargeImageWarning(UserWarning):
    """An image takes much memory, though not more than there is."""


def free_memory(
    meminfo: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")
) -> float:
    """Return the bytes that a program may still take; infinity where the system does not tell.

    Parameters
    ----------
    meminfo, group : where Linux tells them: of the computer, and of the container
    """
    found = [_read_number(meminfo, "MemAvailable:", 1024)]
    limit, used = (_read_number(group / f"memory.{name}", "", 1) for name in ("max", "current"))
    if limit is not None and used is not None:
        # what is kept of files counts as used, and is given up when it is needed
        kept = (f"{each}_file " for each in ("active", "inactive"))
        cache = sum(_read_number(group / "memory.stat", each, 1) or 0.0 for each in kept)
        found.append(limit - used + cache)
    if found[0] is None and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found.append(float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES"))
    return min((each for each in found if each is not None), default=float("inf"))


def check_length(path: Path, stored_bytes: int, file_bytes: int, kind: str = "other") -> None:
    """Raise FileError where a file is too short for what its header claims.

    Parameters
    ----------
    stored_bytes : what is claimed, before compression
    file_bytes : length of the file, or of the files that belong to it
    kind : of compression, as in `BEST_RATIO`
    """
    most = BEST_RATIO[kind] * file_bytes
    if stored_bytes > most:
        raise FileError(
            f"{path} says that it holds {in_bytes(stored_bytes)} of pixels, but its "
            f"{in_bytes(file_bytes)} can hold {in_bytes(most)} at most; it is damaged: copy it "
            "again from its source"
        )


def check_memory(
    what: str, needed_bytes: float, instead: str, *, error: type[UlensError] = FileError
) -> None:
    """Raise an error where something takes more memory than there is.

    Parameters
    ----------
    what : takes it, such as the name of a file and its size
    instead : what the user can do

    Examples
    --------
    >>> check_memory("a.png", 1e15, "crop it")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ulens.errors.FileError: a.png takes about 1,000,000.0 GB of memory, ... free; crop it
    """
    free = free_memory()
    if needed_bytes > free:
        raise error(
            f"{what} takes about {in_bytes(needed_bytes)} of memory, {in_bytes(free)} are free; "
            f"{instead}"
        )


def check_image_memory(
    path: Path, shape: Sequence[int], pixel_bytes: int, instead: str, *,
    tell_from: float = WORTH_TELLING_BYTES,
) -> None:  # fmt: skip
    """Raise FileError where reading an image takes more memory than there is; warn if it is much.

    Parameters
    ----------
    shape : in pixels
    pixel_bytes : of a pixel, with all channels that `shape` does not count
    instead : what the user can do
    tell_from : bytes from which on a LargeImageWarning says what it will take
    """
    what, needed = f"{path} of {name_shape(shape)} pixels", COPIES * pixel_bytes * math.prod(shape)
    check_memory(what, needed, instead)
    if needed >= tell_from:
        text = f"{what} takes about {in_bytes(needed)} of memory; to take less, {instead}"
        warnings.warn(text, LargeImageWarning, stacklevel=2)


class BoundedReader(io.BufferedReader):
    """A file that gives room to no more bytes than it has, whatever its parts say of their length.

    Examples
    --------
    >>> with BoundedReader(Path(__file__)) as file:
    ...     len(file.read(10**15)) == Path(__file__).stat().st_size
    True
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._length = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read so many bytes, or all that are left."""
        left = max(0, self._length - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def in_bytes(number: float) -> str:
    """Return a number of bytes for the eye.

    Examples
    --------
    >>> in_bytes(3_600_000_000), in_bytes(12_000), in_bytes(7)
    ('3.6 GB', '12.0 kB', '7 bytes')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            # of numbers without end nobody reads the digits
            return f"{number / size:,.1f} {unit}" if number < 1e21 else "more than 10²¹ bytes"
    return f"{number:.0f} bytes"


def _read_number(path: Path, name: str, unit: int) -> float | None:
    """Return the number behind a name in a file of the system, or None."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        found = next(line.removeprefix(name) for line in lines if line.startswith(name))
        return float(found.split()[0]) * unit
    except (OSError, ValueError, IndexError, StopIteration):
        return None
