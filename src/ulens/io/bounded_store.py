"""A Zarr store that gives out no chunk which inflates beyond what a chunk of its array takes."""

import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import zarr.storage

_STEP = 2**20
_BLOSC_HEADER = 16


class BoundedStore(zarr.storage.WrapperStore[Any]):
    """The files of a Zarr, for reading.

    Parameters
    ----------
    path : of the folder

    Notes
    -----
    zarr inflates a chunk whole before it looks at its size. So chunks are inflated here first, up
    to the limit and piece by piece, where they could go beyond; what is not compressed, or in a way
    that tells its size and is believed (Blosc), costs nothing.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(zarr.storage.LocalStore(path, read_only=True))
        self._most_bytes: int | None = None
        self._has_blosc = False

    def limit(self, stored: Any, piece_bytes: int) -> None:
        """Bound the chunks of an array from now on."""
        self._most_bytes = 2 * piece_bytes + _STEP
        self._has_blosc = "blosc" in str(stored.metadata.to_dict())

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Return what is stored, as the store below; raises ValueError where it is too large."""
        found = await super().get(key, prototype, byte_range)
        if found is not None and self._most_bytes is not None:
            self._check(key, found.to_bytes(), self._most_bytes)
        return found

    def _check(self, key: str, data: bytes, most: int) -> None:
        if len(data) > most or _inflates_beyond(data, most, has_blosc=self._has_blosc):
            raise ValueError(
                f"chunk {key} of {len(data):,} bytes holds more than {most:,}, the most that a "
                "chunk of this array takes"
            )


def _inflates_beyond(data: bytes, most: int, *, has_blosc: bool) -> bool:
    if data[:2] == b"\x1f\x8b" or (data[:1] == b"\x78" and int.from_bytes(data[:2]) % 31 == 0):
        return len(data) * 1040 > most and _zlib_inflates_beyond(data, most)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return _overflows(imagecodecs.zstd_decode, data, most)
    if data[:3] == b"BZh":
        return _overflows(imagecodecs.bz2_decode, data, most)
    if data[:6] == b"\xfd7zXZ\x00":
        return _overflows(imagecodecs.lzma_decode, data, most)
    return has_blosc and len(data) >= _BLOSC_HEADER and int.from_bytes(data[4:8], "little") > most


def _zlib_inflates_beyond(data: bytes, most: int) -> bool:
    """Whether gzip or zlib data are larger; damaged ones are left to their reader."""
    done = 0
    while data:
        member = zlib.decompressobj(47)  # either header
        try:
            while not member.eof and (chunk := member.decompress(data, _STEP)):
                done, data = done + len(chunk), member.unconsumed_tail
                if done > most:
                    return True
        except zlib.error:
            return False
        data = member.unused_data if member.eof else b""
    return False


def _overflows(decode: Any, data: bytes, most: int) -> bool:
    try:
        return len(decode(data, out=most + 1)) > most
    except Exception:  # too large or damaged: what is damaged is refused, too
        return True
